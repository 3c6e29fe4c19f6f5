import { type FlowCounters, type FlowEntry, FlowTable, tunnelTagGrowth } from "#core/datapath";
import { type FlowAction, type FlowMask, type FlowMatch, FRAGMENT } from "#core/flows";
import { maskForActions, reachesHiddenTags } from "#protocols/openflow";

/** How far an entry is on its way into the switch and out of it. */
export type EntryState = "waiting" | "written" | "leaving" | "gone";

/** The longest timeout that OpenFlow can say. */
const MAX_TIMEOUT_S = 0xffff;

/** A timeout on the wire: whole seconds, never shorter than asked for. */
export function timeoutSeconds(ms: number): number {
  return ms === 0 ? 0 : Math.min(MAX_TIMEOUT_S, Math.ceil(ms / 1000));
}

/** An entry that the agent installed, with what is known of its life in the switch. */
export class Entry implements FlowEntry {
  readonly cookie: number;
  readonly match: FlowMatch;
  /** On the wire: it may compare more than the agent asked for, see `maskForActions`. */
  readonly mask: FlowMask;
  readonly actions: readonly FlowAction[];
  readonly idleTimeoutMs: number;
  readonly hardTimeoutMs: number;
  /** VLAN tags that copies for the tunnel have more than the frame that came; null: none goes there. */
  readonly tagGrowth: number | null;
  /** Never in the switch: its packets come up and are served from here. */
  readonly served: boolean;
  state: EntryState = "waiting";
  /** Written at least once since the switch last lost it. An entry that is written anew waits, and is there. */
  inSwitch = false;
  /** When it was last written, or its deletion was; monotonic, whole ms (a fraction would cost an object each). */
  writtenMs = 0;
  /** Written again although the switch should have it: it may be there when its removal was reported already. */
  healed = false;
  lane = 0;
  /** As the switch last told. */
  packets = 0;
  bytes = 0;
  /** What the switch never counted: packets answered from here, and those of a life that ended with the switch. */
  morePackets = 0;
  moreBytes = 0;

  /** `userspace`: the switch forwards in its daemon, not in the kernel. */
  constructor(entry: FlowEntry, tunnelPort: number, userspace: boolean) {
    const { match, mask, actions } = entry;
    this.cookie = entry.cookie;
    this.match = match;
    this.actions = actions;
    this.tagGrowth = tunnelTagGrowth(actions, tunnelPort);
    this.mask = maskForActions(match, mask, actions, this.viaTunnel);
    this.served = reachesHiddenTags(match, actions) || (userspace && breaksFragments(match, actions));
    this.idleTimeoutMs = entry.idleTimeoutMs;
    this.hardTimeoutMs = entry.hardTimeoutMs;
  }

  get viaTunnel(): boolean {
    return this.tagGrowth !== null;
  }

  counters(): FlowCounters {
    return { packets: this.packets + this.morePackets, bytes: this.bytes + this.moreBytes };
  }

  /** The switch lost it: it begins a new life at zero there. */
  restart(): void {
    this.morePackets += this.packets;
    this.moreBytes += this.bytes;
    this.packets = 0;
    this.bytes = 0;
    this.state = "waiting";
    this.inSwitch = false;
    this.healed = false;
  }
}

/**
 * Open vSwitch 3.1 in userspace takes the payload of a later fragment for a UDP or TCP header, and "corrects" a checksum
 * there, when an address is rewritten. (The wire mask of a rewrite tells fragments apart.)
 */
function breaksFragments(match: FlowMatch, actions: readonly FlowAction[]): boolean {
  if (match.fragment !== FRAGMENT.LATER) return false;
  return actions.some((a) => a.kind === "set-ipv4" && (a.src !== null || a.dst !== null));
}

/** The entries that are, or are to be, in the switch, and those whose end was asked for but not reported yet. */
export class Entries {
  private readonly table = new FlowTable<Entry>();
  private readonly leaving = new Map<number, Entry>();

  get size(): number {
    return this.table.size;
  }

  /** @returns false when an entry that compares the same is there. @throws MidotraceError INTERNAL, see `FlowTable.add`. */
  add(entry: Entry, lanes: number): boolean {
    if (!this.table.add(entry)) return false;
    // Two entries that compare the same, one after the other, go through one connection: there the order is kept.
    if (lanes > 1) entry.lane = (this.table.hashOf(entry.cookie) >>> 8) % lanes;
    return true;
  }

  get(cookie: number): Entry | null {
    return this.table.get(cookie);
  }

  covering(match: FlowMatch): Entry | null {
    return this.table.lookup(match);
  }

  [Symbol.iterator](): Iterator<Entry> {
    return this.table[Symbol.iterator]();
  }

  /** It is to leave the switch; packets are not covered by it any more. */
  leave(entry: Entry): void {
    this.table.remove(entry.cookie);
    this.leaving.set(entry.cookie, entry);
    entry.state = "leaving";
  }

  /** It is gone. @returns it, when its end was not known yet. */
  end(cookie: number): Entry | null {
    const entry = this.table.remove(cookie) ?? this.leaving.get(cookie) ?? null;
    if (entry === null) return null;
    this.leaving.delete(cookie);
    entry.state = "gone";
    return entry;
  }

  /** Entries that asked to leave, oldest first. */
  leavers(): IterableIterator<Entry> {
    return this.leaving.values();
  }
}

/** Timeouts of the entries that the switch does not have. */
export class ServedEntries {
  private readonly all = new Map<Entry, { readonly installedMs: number; usedMs: number }>();

  add(entry: Entry, nowMs: number): void {
    this.all.set(entry, { installedMs: nowMs, usedMs: nowMs });
  }

  used(entry: Entry, nowMs: number): void {
    const times = this.all.get(entry);
    if (times !== undefined) times.usedMs = nowMs;
  }

  delete(entry: Entry): void {
    this.all.delete(entry);
  }

  /** Those whose time is over, and why; they are forgotten here. */
  due(nowMs: number): [Entry, "idle" | "hard"][] {
    const due: [Entry, "idle" | "hard"][] = [];
    for (const [entry, { installedMs, usedMs }] of this.all) {
      const { hardTimeoutMs, idleTimeoutMs } = entry;
      if (hardTimeoutMs > 0 && nowMs - installedMs >= hardTimeoutMs) due.push([entry, "hard"]);
      else if (idleTimeoutMs > 0 && nowMs - usedMs >= idleTimeoutMs) due.push([entry, "idle"]);
    }
    for (const [entry] of due) this.all.delete(entry);
    return due;
  }
}
