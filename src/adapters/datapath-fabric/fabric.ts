import { type Clock, MidotraceError, type Scheduler } from "#core/base";
import { formatIpv4 } from "#core/packets";
import { type FabricCounters, newUnderlayCounters } from "./counters.ts";
import { FabricSwitch, type FabricSwitchOptions } from "./fabric-switch.ts";
import { checkImpairment, type Impairment, LinkModel } from "./impairment.ts";
import { type Timed, TimedQueue } from "./timed-queue.ts";

export interface FabricOptions {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** Delay of every datagram on a link without impairment. Default 0: in the next turn of the scheduler. */
  readonly delayMs?: number;
  /** Most bytes of an IP packet in the underlay, at least 576 (RFC 791 §3.2). Default: no limit. */
  readonly underlayMtu?: number;
  /** For every host, unless `addHost` says otherwise. */
  readonly switches?: FabricSwitchOptions;
}

/** One datagram as it leaves its host, told before anything happens to it. */
export interface TappedDatagram {
  /** From the outer Ethernet header on; not to be written to. */
  readonly bytes: Uint8Array;
  /** Wall clock. */
  readonly atMs: number;
  readonly from: string;
  /** Null when nobody has the tunnel address. */
  readonly to: string | null;
  readonly fate: "sent" | "lost" | "cut" | "unknown-peer";
}

/** Called inside the switch's own work: look, keep, and do not call back. */
export type Tap = (datagram: TappedDatagram) => void;

/** One direction between two hosts. */
interface Link {
  cut: boolean;
  model: LinkModel | null;
  /** When the last datagram that keeps its place is due: later ones are not earlier. */
  lastDueMs: number;
}

const LEAST_MTU = 576;

class InFlight implements Timed {
  readonly to: FabricSwitch;
  readonly link: Link;
  readonly bytes: Uint8Array;
  dueMs = 0;
  ticket = 0;
  heapIndex = -1;

  constructor(to: FabricSwitch, link: Link, bytes: Uint8Array) {
    this.to = to;
    this.link = link;
    this.bytes = bytes;
  }
}

/** The underlay: hosts, and links between all of them that carry whole VXLAN packets as bytes. */
export class Fabric {
  private readonly options: FabricOptions;
  private readonly hosts = new Map<string, FabricSwitch>();
  private readonly byTunnelIp = new Map<number, FabricSwitch>();
  private readonly links = new Map<string, Link>();
  private readonly impairments = new Map<string, Impairment | null>();
  private readonly taps = new Set<Tap>();
  private readonly queue: TimedQueue<InFlight>;
  private readonly counts = newUnderlayCounters();
  private impairment: Impairment | null = null;

  /** @throws MidotraceError VALIDATION for an MTU below 576. */
  constructor(options: FabricOptions) {
    if ((options.underlayMtu ?? Infinity) < LEAST_MTU)
      throw new MidotraceError("VALIDATION", `an underlay's MTU is at least ${LEAST_MTU} bytes`);
    this.options = options;
    this.queue = new TimedQueue(options.clock, options.scheduler, (d) => this.arrive(d));
  }

  /** @throws MidotraceError ALREADY_EXISTS when the name or the address (u32) is taken. */
  addHost(name: string, tunnelIp: number, options?: FabricSwitchOptions): FabricSwitch {
    if (this.hosts.has(name)) throw new MidotraceError("ALREADY_EXISTS", `host ${name} is in the fabric already`);
    if (this.byTunnelIp.has(tunnelIp)) throw new MidotraceError("ALREADY_EXISTS", `${formatIpv4(tunnelIp)} is in use`);
    const { clock, scheduler, switches } = this.options;
    const transmit = (dst: number, bytes: Uint8Array): void => this.transmit(host, dst, bytes);
    const around = { clock, scheduler, underlayMtu: this.options.underlayMtu ?? null, transmit };
    const host: FabricSwitch = new FabricSwitch(name, tunnelIp, around, options ?? switches);
    this.hosts.set(name, host);
    this.byTunnelIp.set(tunnelIp, host);
    return host;
  }

  /** The host vanishes from the underlay; what is under way to it is lost. Its switch is not stopped. */
  removeHost(name: string): void {
    const host = this.hosts.get(name);
    if (host === undefined) return;
    this.hosts.delete(name);
    this.byTunnelIp.delete(host.tunnelIp);
  }

  host(name: string): FabricSwitch | null {
    return this.hosts.get(name) ?? null;
  }

  /** Impairs every link that `impairLink` does not name; null: none. @throws MidotraceError VALIDATION. */
  impair(impairment: Impairment | null): void {
    if (impairment !== null) checkImpairment(impairment);
    this.impairment = impairment;
    for (const [key, link] of this.links) if (!this.impairments.has(key)) link.model = this.modelOf(key);
  }

  /** Both directions between two hosts; null: this link has no impairment. @throws MidotraceError VALIDATION. */
  impairLink(hostA: string, hostB: string, impairment: Impairment | null): void {
    if (impairment !== null) checkImpairment(impairment);
    for (const key of [linkKey(hostA, hostB), linkKey(hostB, hostA)]) {
      this.impairments.set(key, impairment);
      this.link(key).model = this.modelOf(key);
    }
  }

  /** Both directions; what is under way is lost too. */
  cut(hostA: string, hostB: string): void {
    this.setCut(hostA, hostB, true);
  }

  heal(hostA: string, hostB: string): void {
    this.setCut(hostA, hostB, false);
  }

  /** @returns what ends the observation. */
  tap(tap: Tap): () => void {
    this.taps.add(tap);
    return () => this.taps.delete(tap);
  }

  /** Hands a host an underlay frame from outside the fabric, whatever its bytes. @throws MidotraceError NOT_FOUND. */
  inject(host: string, bytes: Uint8Array): void {
    const to = this.hosts.get(host);
    if (to === undefined) throw new MidotraceError("NOT_FOUND", `no host ${host} in the fabric`);
    this.queue.schedule(new InFlight(to, newLink(), bytes), this.options.clock.monotonicMs());
  }

  counters(): FabricCounters {
    const hosts = Object.fromEntries([...this.hosts].map(([name, host]) => [name, host.switchCounters()]));
    return { underlay: { ...this.counts }, hosts };
  }

  /** Stops every switch and forgets what is under way. */
  async stop(): Promise<void> {
    this.queue.clear();
    await Promise.all([...this.hosts.values()].map((host) => host.stop()));
  }

  private transmit(from: FabricSwitch, dstIp: number, bytes: Uint8Array): void {
    const to = this.byTunnelIp.get(dstIp) ?? null;
    const link = to === null ? null : this.link(linkKey(from.name, to.name));
    this.counts.sent++;
    if (to === null || link === null) {
      this.counts.lostUnknownPeer++;
      this.observe(from, to, bytes, "unknown-peer");
    } else if (link.cut) {
      this.counts.lostByCut++;
      this.observe(from, to, bytes, "cut");
    } else this.launch(from, to, link, bytes);
  }

  private launch(from: FabricSwitch, to: FabricSwitch, link: Link, bytes: Uint8Array): void {
    const fate = link.model?.next() ?? { delaysMs: [this.options.delayMs ?? 0], reordered: false };
    if (fate.delaysMs.length === 0) this.counts.lostByImpairment++;
    if (fate.delaysMs.length > 1) this.counts.duplicated++;
    if (fate.reordered) this.counts.reordered++;
    this.observe(from, to, bytes, fate.delaysMs.length === 0 ? "lost" : "sent");
    const now = this.options.clock.monotonicMs();
    for (const delayMs of fate.delaysMs) {
      const dueMs = fate.reordered ? now + delayMs : Math.max(now + delayMs, link.lastDueMs);
      if (!fate.reordered) link.lastDueMs = dueMs;
      this.queue.schedule(new InFlight(to, link, bytes), dueMs);
    }
  }

  private arrive(datagram: InFlight): void {
    const { to, link, bytes } = datagram;
    if (link.cut) this.counts.lostByCut++;
    else if (this.hosts.get(to.name) !== to) this.counts.lostUnknownPeer++;
    else {
      this.counts.delivered++;
      to.receiveDatagram(bytes);
    }
  }

  private observe(from: FabricSwitch, to: FabricSwitch | null, bytes: Uint8Array, fate: TappedDatagram["fate"]): void {
    if (this.taps.size === 0) return;
    const seen = { bytes, atMs: this.options.clock.nowMs(), from: from.name, to: to?.name ?? null, fate };
    for (const tap of this.taps) tap(seen);
  }

  private setCut(hostA: string, hostB: string, cut: boolean): void {
    for (const key of [linkKey(hostA, hostB), linkKey(hostB, hostA)]) this.link(key).cut = cut;
  }

  private link(key: string): Link {
    const known = this.links.get(key);
    if (known !== undefined) return known;
    const link = newLink();
    this.links.set(key, link);
    link.model = this.modelOf(key);
    return link;
  }

  private modelOf(key: string): LinkModel | null {
    const own = this.impairments.get(key);
    const impairment = own === undefined ? this.impairment : own;
    return impairment === null ? null : new LinkModel(impairment, key);
  }
}

function newLink(): Link {
  return { cut: false, model: null, lastDueMs: 0 };
}

function linkKey(from: string, to: string): string {
  return `${from} > ${to}`;
}
