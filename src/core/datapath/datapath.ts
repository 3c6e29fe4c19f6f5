import type { Lifecycle } from "#core/base";
import type { FlowAction, FlowMask, FlowMatch } from "#core/flows";

/** A port of the host's switch. `ofport` is its number; a name can come back under another number. */
export interface DatapathPort {
  readonly ofport: number;
  readonly name: string;
  /** "tunnel" is the one flow-based tunnel port: keys and peers are set per packet. */
  readonly kind: "vm" | "tunnel" | "local";
  readonly up: boolean;
}

/** A packet that no installed flow covered. It is valid only during the call that tells of it, but for its frame. */
export interface PacketIn {
  /** The whole Ethernet frame; the receiver may keep it, nobody writes to it any more. To be asked for only if it is needed. */
  readonly frame: Uint8Array;
  /** Where the frame lies: `bytes` from `start` to `end`. */
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Its header fields, those below among them. */
  readonly match: FlowMatch;
  readonly inPort: number;
  /** 0, 0, 0 unless it came through the tunnel port. Addresses are u32; `tunnelSrc` is the sending host's. */
  readonly tunnelKey: number;
  readonly tunnelSrc: number;
  readonly tunnelDst: number;
}

/** Given to `install`, which keeps a copy; mask and actions are shared, and must not change afterwards. */
export interface FlowEntry {
  /** Unique per entry for the life of the agent; the only handle to remove it. A 53-bit non-negative integer. */
  readonly cookie: number;
  readonly match: FlowMatch;
  /** Never with userspace-only fields. Entries of one datapath never overlap in effect: all have one priority. */
  readonly mask: FlowMask;
  /** Empty: drop. */
  readonly actions: readonly FlowAction[];
  /** Removed after this long without a packet; 0 = never. */
  readonly idleTimeoutMs: number;
  /** Removed after this long, whatever happens; 0 = never. */
  readonly hardTimeoutMs: number;
}

export interface FlowCounters {
  readonly packets: number;
  readonly bytes: number;
}

export interface FlowRemoved extends FlowCounters {
  readonly cookie: number;
  readonly reason: "idle" | "hard" | "deleted" | "evicted";
}

export interface DatapathCounters {
  /** Packets a flow served, packets that came up, and packets that should have come up but were lost in a full queue. */
  readonly hits: number;
  readonly upcalls: number;
  readonly upcallsLost: number;
  readonly flows: number;
}

/** Callbacks are called one at a time, never inside a call of the datapath's own methods. */
export interface DatapathListener {
  packetIn(packet: PacketIn): void;
  /** Each installed entry is reported removed exactly once, with its last counters. */
  flowRemoved(removed: FlowRemoved): void;
  /** A port appeared, changed or (`null` as state) went away. At start every present port is reported. */
  portChanged(name: string, port: DatapathPort | null): void;
}

/**
 * One host's switch. What may be assumed: calls take effect in the order made (an entry installed before a packet-out
 * is there when the packet runs); `install` of a (match, mask) that is already there replaces nothing and reports the
 * new entry removed with reason "deleted"; removing an unknown cookie does nothing. Frames that reach the switch before
 * an entry for them is installed each come up as a packet-in.
 */
export interface Datapath extends Lifecycle {
  /** Call once, before `start`. */
  listen(listener: DatapathListener): void;
  install(entry: FlowEntry): void;
  remove(cookie: number): void;
  /** Runs `actions` on `frame` without a flow lookup. `inPort` 0 = none (no output is suppressed). */
  packetOut(frame: Uint8Array, actions: readonly FlowAction[], inPort: number): void;
  /** `packetOut` of a packet that has come up, in the call that tells of it. */
  forward(packet: PacketIn, actions: readonly FlowAction[]): void;
  /** Counters of one entry, or null when it is not (or no longer) installed. A real switch's may be a second old. */
  counters(cookie: number): FlowCounters | null;
  /** Reads the match of an installed entry into `match`. @returns false, and reads nothing, when it is not (or no longer) installed. */
  readMatch(cookie: number, match: FlowMatch): boolean;
  stats(): DatapathCounters;
  /**
   * The interfaces of this host that are to be ports of the switch, all of them; each is one while it exists. Says
   * `portChanged` for what comes of it.
   */
  bindInterfaces(names: readonly string[]): void;
  /** Tunnel addresses (u32) of all hosts that packets may be sent to: the way to them is found before the first packet. */
  setPeers(addresses: readonly number[]): void;
  /**
   * Flows that an earlier run of the agent left in the switch have gone on forwarding until now. From here on they end, a
   * few at a time, and their packets come up: the agent is ready to answer them. While `busy`, no more of them end.
   */
  retireEarlierFlows(busy: () => boolean): void;
  /**
   * Bytes of the longest Ethernet frame (with its VLAN tags, without FCS) that the tunnel takes; Infinity: any. A longer
   * packet of a flow with tunnel outputs is not served by the flow but comes up; a longer packet-out is lost in the tunnel.
   */
  readonly tunnelFrameLimit: number;
  /** What is missing for packets to be switched as told, in words for an operator; empty: nothing. */
  waitingFor(): readonly string[];
}
