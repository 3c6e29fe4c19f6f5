import assert from "node:assert/strict";
import {
  type Datapath,
  type DatapathListener,
  type DatapathPort,
  type FlowEntry,
  type FlowRemoved,
  type PacketIn,
  packetIn,
} from "#core/datapath";
import { type FieldSet, type FlowAction, FlowMatch, parseFlowMatch } from "#core/flows";

/** A VM's end of a port, as a test drives it. */
export interface RigVm {
  readonly name: string;
  send(frame: Uint8Array): void;
  /** Every frame the VM got so far, whole, in order; what a kernel says on its own account is left out. */
  readonly received: readonly Uint8Array[];
  /** The interface vanishes from the host. */
  detach(): Promise<void>;
}

export interface RigHost {
  readonly datapath: Datapath;
  /** u32 */
  readonly tunnelIp: number;
  /** The name is unique in the rig and may be used again after `detach`. */
  attachVm(name: string): Promise<RigVm>;
}

/**
 * Two hosts whose switches are joined by an underlay; the datapaths are not started yet. A factory makes a fresh one for
 * each test. Time is the rig's: a real switch waits, the fabric moves a virtual clock.
 */
export interface DatapathRig {
  readonly a: RigHost;
  readonly b: RigHost;
  /** Returns the first non-null answer of `probe`. Throws an Error naming `what` when none came within `deadlineMs` (default 5000). */
  eventually<T>(what: string, probe: () => T | null, deadlineMs?: number): Promise<T>;
  /** Long enough that what was installed is in force and what is under way has arrived; well under 500 ms of the rig's time. */
  quiet(): Promise<void>;
  close(): Promise<void>;
}

export type RigFactory = () => Promise<DatapathRig>;

/** A listener that keeps everything, and sees when it is called inside one of the datapath's own methods. */
export class RecordingListener implements DatapathListener {
  readonly packets: PacketIn[] = [];
  readonly removed: FlowRemoved[] = [];
  readonly ports = new Map<string, DatapathPort>();
  readonly portLog: string[] = [];
  /** Set around calls into the datapath; a callback meanwhile is a broken promise. */
  inCall = false;
  broken = 0;
  onPacket: (packet: PacketIn) => void = () => {};

  packetIn(packet: PacketIn): void {
    this.check();
    assert.deepEqual(packet.bytes.slice(packet.start, packet.end), packet.frame.slice());
    // Valid only now, but for its frame.
    this.packets.push({ ...packetIn(packet.frame, packet.match), match: packet.match.clone() });
    this.onPacket(packet);
  }

  flowRemoved(removed: FlowRemoved): void {
    this.check();
    this.removed.push(removed);
  }

  portChanged(name: string, port: DatapathPort | null): void {
    this.check();
    this.portLog.push(port === null ? `${name} gone` : `${name} ${port.kind} ${port.up ? "up" : "down"}`);
    if (port === null) this.ports.delete(name);
    else this.ports.set(name, port);
  }

  removals(cookie: number): FlowRemoved[] {
    return this.removed.filter((r) => r.cookie === cookie);
  }

  private check(): void {
    if (this.inCall) this.broken++;
  }
}

/** The match of a frame as a switch sees it. */
export function matchOf(frame: Uint8Array, inPort: number, tunnel?: Partial<PacketIn>): FlowMatch {
  const m = new FlowMatch();
  parseFlowMatch(frame, m);
  m.inPort = inPort;
  m.tunnelKey = tunnel?.tunnelKey ?? 0;
  m.tunnelSrc = tunnel?.tunnelSrc ?? 0;
  m.tunnelDst = tunnel?.tunnelDst ?? 0;
  return m;
}

/** An entry that covers the compared `fields` of `match`. Addresses whole, no timeouts. */
export function entry(
  cookie: number,
  match: FlowMatch,
  fields: FieldSet,
  actions: readonly FlowAction[],
  more: Partial<FlowEntry> = {},
): FlowEntry {
  const mask = { fields, nwSrcBits: 32, nwDstBits: 32 };
  return { cookie, match, mask, actions, idleTimeoutMs: 0, hardTimeoutMs: 0, ...more };
}

export const output = (port: number): FlowAction => ({ kind: "output", port });
