import type { BridgeId, Clock, PortId, RouterId } from "#core/base";
import { arpTag, type FlowTag, macMissTag, macPortTag } from "#core/flows";
import type { ArpEntry, ArpLearn, FlowState, MacEntry, MacLearn } from "#core/simulation";
import type { BridgeDevice, RouterDevice } from "#core/topology";

/** Without traffic a learned MAC is forgotten after this (the default of IEEE 802.1D). */
export const MAC_AGE_MS = 300_000;
/** A neighbour is asked again after half of this and forgotten after all of it. */
export const ARP_AGE_MS = 3_600_000;

/** One port may not fill a bridge's table (and the store) with made-up sources: frames of further MACs are still forwarded. */
export const MAX_MACS_PER_PORT = 4_096;
export const MAX_NEIGHBOURS_PER_ROUTER = 16_384;

/** An entry as the store has it. */
export interface ListedMac extends MacLearn {
  /** Written by an administrator. */
  readonly fixed?: boolean;
}

/** How learned entries are shared between hosts; all of it may fail and is then told to `problem`. */
export interface LearnedStore {
  putMac(learn: MacLearn): Promise<void>;
  removeMac(learn: MacLearn): Promise<void>;
  /** Of one MAC and VLAN the entry that an administrator wrote, else the newest. */
  listMacs(bridge: BridgeId): Promise<readonly ListedMac[]>;
  putArp(learn: ArpLearn): Promise<void>;
  listArp(router: RouterId): Promise<readonly ArpLearn[]>;
}

interface LearnedMac extends MacEntry {
  readonly learn: MacLearn;
  /** Learned by this host: it keeps the entry alive in the store, and takes it out. */
  readonly own: boolean;
  readonly fixed: boolean;
  /** The turn at which the store had it; PENDING before. A listing that began earlier does not remove it. */
  confirmed: number;
  usedMs: number;
}

interface LearnedArp extends ArpEntry {
  readonly learn: ArpLearn;
  readonly own: boolean;
  confirmed: number;
  readonly learnedMs: number;
}

export interface LearnedListener {
  invalidate(tags: readonly FlowTag[]): void;
  /** A neighbour's MAC became known, here or on another host. */
  arpKnown(router: RouterId, ip: number): void;
  problem(message: string, error: unknown): void;
  /** True: what other hosts had learned and the store does not have now is kept, for it may come back. */
  hearsayCounts(): boolean;
  /** True while an installed flow carries the tag. */
  inUse(tag: FlowTag): boolean;
}

type MacTable = Map<number | string, LearnedMac>;

const PENDING = Infinity;

/** A number for the common case, untagged: making a text for each lookup would cost more than the lookup. */
const macKey = (vlan: number, mac: number): number | string => (vlan === 0 ? mac : `${vlan} ${mac}`);

/**
 * What bridges and routers have learned, as this host knows it: its own entries at once, those of the other hosts as the
 * store tells. A change invalidates exactly the flows that relied on what was before.
 */
export class LearnedTables implements FlowState {
  private readonly store: LearnedStore;
  private readonly clock: Clock;
  private readonly listener: LearnedListener;
  private readonly macs = new Map<BridgeId, MacTable>();
  /** MACs this host has learned behind each port. */
  private readonly ownMacs = new Map<PortId, number>();
  /** Entries that were not learned because their table was full. */
  refused = 0;
  private readonly arps = new Map<RouterId, Map<number, LearnedArp>>();
  /** Counts listings begun and writes confirmed, to tell which was first. */
  private turn = 0;

  constructor(store: LearnedStore, clock: Clock, listener: LearnedListener) {
    this.store = store;
    this.clock = clock;
    this.listener = listener;
  }

  mac(bridge: BridgeDevice, vlan: number, mac: number): MacEntry | null {
    const entry = this.macs.get(bridge.id)?.get(macKey(vlan, mac));
    if (entry === undefined) return null;
    entry.usedMs = this.clock.monotonicMs();
    return entry;
  }

  arp(router: RouterDevice, ip: number): ArpEntry | null {
    return this.arps.get(router.id)?.get(ip) ?? null;
  }

  learnMac(learn: MacLearn): void {
    const table = this.macTable(learn.bridge);
    const old = table.get(macKey(learn.vlan, learn.mac));
    if (old !== undefined && (old.learn.port === learn.port || old.fixed)) return;
    if ((this.ownMacs.get(learn.port) ?? 0) >= MAX_MACS_PER_PORT) {
      this.refused++;
      return;
    }
    this.setMac(table, learn, true);
    if (old?.own === true) this.background(this.store.removeMac(old.learn));
    this.background(this.shareMac(table, learn));
  }

  learnArp(learn: ArpLearn): void {
    const table = this.arpTable(learn.router);
    const old = table.get(learn.ip);
    const fresh = old !== undefined && this.clock.monotonicMs() - old.learnedMs < ARP_AGE_MS / 2;
    if (old === undefined && table.size >= MAX_NEIGHBOURS_PER_ROUTER) {
      this.refused++;
      return;
    }
    if (old === undefined || old.learn.mac !== learn.mac || !fresh) {
      this.setArp(table, learn, true);
      this.background(this.shareArp(table, learn));
    }
    this.listener.arpKnown(learn.router, learn.ip);
  }

  private async shareMac(table: MacTable, learn: MacLearn): Promise<void> {
    await this.store.putMac(learn);
    const now = table.get(macKey(learn.vlan, learn.mac));
    if (now !== undefined && now.learn.port === learn.port) now.confirmed = ++this.turn;
  }

  private async shareArp(table: Map<number, LearnedArp>, learn: ArpLearn): Promise<void> {
    await this.store.putArp(learn);
    const now = table.get(learn.ip);
    if (now !== undefined && now.learn.mac === learn.mac) now.confirmed = ++this.turn;
  }

  /** Brings the bridge's table to what the store has. */
  async refreshBridge(bridge: BridgeId): Promise<void> {
    const began = ++this.turn;
    // Known from here on: what changes behind the listing is asked for again.
    const table = this.macTable(bridge);
    const listed = await this.store.listMacs(bridge);
    const seen = new Set<number | string>();
    for (const learn of listed) {
      const key = macKey(learn.vlan, learn.mac);
      seen.add(key);
      const old = table.get(key);
      const fixed = learn.fixed === true;
      if (old !== undefined && old.confirmed > began && !fixed) continue;
      if (old !== undefined && old.learn.port === learn.port && old.fixed === fixed) continue;
      this.setMac(table, learn, false, fixed);
      // What this host had learned is no longer its to keep.
      if (fixed && old?.own === true) this.background(this.store.removeMac(old.learn));
    }
    for (const [key, entry] of table)
      if (!seen.has(key) && entry.confirmed <= began && this.mayGo(entry)) this.dropMac(table, entry);
  }

  async refreshRouter(router: RouterId): Promise<void> {
    const began = ++this.turn;
    const table = this.arpTable(router);
    const listed = await this.store.listArp(router);
    const seen = new Set<number>();
    for (const learn of listed) {
      seen.add(learn.ip);
      const old = table.get(learn.ip);
      if (old !== undefined && (old.confirmed > began || old.learn.mac === learn.mac)) continue;
      this.setArp(table, learn, false);
      this.listener.arpKnown(router, learn.ip);
    }
    for (const [ip, entry] of table) {
      if (seen.has(ip) || entry.confirmed > began || !this.mayGo(entry)) continue;
      table.delete(ip);
      this.listener.invalidate([entry.tag]);
    }
  }

  private mayGo(entry: LearnedMac | LearnedArp): boolean {
    return entry.own || !this.listener.hearsayCounts();
  }

  bridges(): BridgeId[] {
    return [...this.macs.keys()];
  }

  routers(): RouterId[] {
    return [...this.arps.keys()];
  }

  knowsBridge(bridge: BridgeId): boolean {
    return this.macs.has(bridge);
  }

  knowsRouter(router: RouterId): boolean {
    return this.arps.has(router);
  }

  /** The store's session is lost, and this host's entries with it: they are not in the next listing, and stay all the same. */
  sessionLost(): void {
    for (const entry of this.own()) entry.confirmed = PENDING;
  }

  /** The store answers again: what it does not have is put there. */
  shareAgain(): void {
    for (const table of this.macs.values()) {
      for (const e of table.values())
        if (e.own && e.confirmed === PENDING) this.background(this.shareMac(table, e.learn));
    }
    for (const table of this.arps.values()) {
      for (const e of table.values())
        if (e.own && e.confirmed === PENDING) this.background(this.shareArp(table, e.learn));
    }
  }

  private *own(): Iterable<LearnedMac | LearnedArp> {
    for (const table of [...this.macs.values(), ...this.arps.values()]) {
      for (const entry of table.values()) if (entry.own) yield entry;
    }
  }

  /** Forgets own entries that no packet and no flow used for their age; returns neighbours to be asked again. */
  sweep(): ArpLearn[] {
    const now = this.clock.monotonicMs();
    for (const table of this.macs.values()) {
      for (const entry of table.values()) {
        if (!entry.own || now - entry.usedMs < MAC_AGE_MS || this.listener.inUse(entry.tag)) continue;
        this.dropMac(table, entry);
        this.background(this.store.removeMac(entry.learn));
      }
    }
    const askAgain: ArpLearn[] = [];
    for (const table of this.arps.values()) {
      for (const [ip, entry] of table) {
        const age = now - entry.learnedMs;
        if (age >= ARP_AGE_MS) {
          table.delete(ip);
          this.listener.invalidate([entry.tag]);
        } else if (age >= ARP_AGE_MS / 2 && this.listener.inUse(entry.tag)) askAgain.push(entry.learn);
      }
    }
    return askAgain;
  }

  private setMac(table: MacTable, learn: MacLearn, own: boolean, fixed = false): void {
    const key = macKey(learn.vlan, learn.mac);
    const old = table.get(key);
    const tag = macPortTag(learn.bridge, learn.vlan, learn.mac, learn.port);
    if (old?.own === true) this.countOwn(old.learn.port, -1);
    if (own) this.countOwn(learn.port, 1);
    table.set(key, {
      port: learn.port,
      tag,
      learn,
      own,
      fixed,
      confirmed: own ? PENDING : 0,
      usedMs: this.clock.monotonicMs(),
    });
    this.listener.invalidate(old === undefined ? [macMissTag(learn.bridge, learn.vlan, learn.mac)] : [old.tag]);
  }

  private countOwn(port: PortId, change: number): void {
    const count = (this.ownMacs.get(port) ?? 0) + change;
    if (count === 0) this.ownMacs.delete(port);
    else this.ownMacs.set(port, count);
  }

  private dropMac(table: MacTable, entry: LearnedMac): void {
    if (entry.own) this.countOwn(entry.learn.port, -1);
    table.delete(macKey(entry.learn.vlan, entry.learn.mac));
    this.listener.invalidate([entry.tag]);
  }

  private setArp(table: Map<number, LearnedArp>, learn: ArpLearn, own: boolean): void {
    const old = table.get(learn.ip);
    const tag = arpTag(learn.router, learn.ip);
    table.set(learn.ip, {
      mac: learn.mac,
      tag,
      learn,
      own,
      confirmed: own ? PENDING : 0,
      learnedMs: this.clock.monotonicMs(),
    });
    if (old !== undefined && old.learn.mac !== learn.mac) this.listener.invalidate([tag]);
  }

  private macTable(bridge: BridgeId): MacTable {
    let table = this.macs.get(bridge);
    if (table === undefined) this.macs.set(bridge, (table = new Map()));
    return table;
  }

  private arpTable(router: RouterId): Map<number, LearnedArp> {
    let table = this.arps.get(router);
    if (table === undefined) this.arps.set(router, (table = new Map()));
    return table;
  }

  private background(work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.listener.problem("a learned entry could not be shared", error);
    });
  }
}
