import type { PacketIn } from "#core/datapath";
import { type FlowAction, IN_PORT, isRewrite, type OutputFrame, type Rewrite, rewrite, runActions } from "#core/flows";
import {
  beginPacketOut,
  endPacketOut,
  endPacketOutOf,
  MAX_MESSAGE_BYTES,
  OFPP,
  PACKET_OUT_MARK_BYTES,
  writeOutput,
  writeSetTunnel,
} from "#protocols/openflow";
import type { Connection } from "./connection.ts";

/** Of one copy's actions: key and address of the tunnel, output. */
const MOST_COPY_BYTES = 48;
/** Lists of actions that are remembered. */
const MAX_STRAIGHTS = 4_096;

/**
 * Runs action lists on single packets. The rewrites are made here, by the code that the fabric runs too, and the switch
 * is told only where each resulting frame goes: a switch refuses a whole list for one rewrite that does not fit the
 * packet. Outputs of one and the same frame share a message, as far as they fit.
 */
export class PacketOuts {
  /** Frames that no message could hold. */
  tooLong = 0;
  /** Lists that were met. */
  private readonly straights = new Map<readonly FlowAction[], Straight | null>();
  private connection: Connection | null = null;
  private inPort = 0;
  private tunnelPort = 0;
  private frame: Uint8Array | null = null;
  private mark = 0;
  private readonly each: OutputFrame = (port, frame, key, dst) => this.output(port, frame, key, dst);

  /** `inPort` 0: none. */
  send(
    connection: Connection,
    frame: Uint8Array,
    actions: readonly FlowAction[],
    inPort: number,
    tunnelPort: number,
  ): void {
    this.connection = connection;
    this.inPort = inPort;
    this.tunnelPort = tunnelPort;
    runActions(frame, actions, this.each);
    this.finish(connection);
    this.connection = null;
    connection.send();
  }

  /** A packet that has come up. The usual list is run where the frame lies in the message: nothing is made for it. */
  forward(connection: Connection, packet: PacketIn, actions: readonly FlowAction[], tunnelPort: number): void {
    const { inPort, bytes, start, end } = packet;
    const straight = this.straightOf(actions);
    if (straight === null) {
      this.send(connection, packet.frame, actions, inPort, tunnelPort);
      return;
    }
    const { port, rewrites } = straight;
    const tunnel = port === tunnelPort ? straight.tunnel : null;
    if (port === inPort || (port === tunnelPort && tunnel === null)) return;
    const out = connection.output;
    const mark = beginPacketOut(out, connection.session.nextXid(), inPort);
    if (tunnel !== null) writeSetTunnel(out, tunnel.key, tunnel.dst);
    writeOutput(out, port);
    const frameAt = endPacketOutOf(out, mark, bytes, start, end);
    if (frameAt < 0) this.tooLong++;
    else if (rewrites.length > 0) {
      const frame = out.bytes.subarray(frameAt, frameAt + end - start);
      for (let i = 0; i < rewrites.length; i++) rewrite(frame, rewrites[i] as Rewrite);
    }
    connection.send();
  }

  private straightOf(actions: readonly FlowAction[]): Straight | null {
    let straight = this.straights.get(actions);
    if (straight === undefined) {
      straight = straighten(actions);
      if (this.straights.size >= MAX_STRAIGHTS) this.straights.clear();
      this.straights.set(actions, straight);
    }
    return straight;
  }

  private output(port: number, frame: Uint8Array, tunnelKey: number, tunnelDst: number): void {
    const { connection, inPort, tunnelPort } = this;
    if (connection === null || port === inPort) return;
    if (port === IN_PORT && inPort === 0) return;
    if (port === tunnelPort && tunnelDst === 0) return;
    const out = connection.output;
    if (frame !== this.frame || this.isFull(frame)) {
      this.finish(connection);
      this.frame = frame;
      this.mark = beginPacketOut(out, connection.session.nextXid(), inPort === 0 ? OFPP.CONTROLLER : inPort);
    }
    if (port === tunnelPort) writeSetTunnel(out, tunnelKey, tunnelDst);
    writeOutput(out, port === IN_PORT ? OFPP.IN_PORT : port);
  }

  /** Another copy does not fit the message, which has one already. */
  private isFull(frame: Uint8Array): boolean {
    const messageBytes = (this.connection?.output.at ?? 0) - this.mark + PACKET_OUT_MARK_BYTES;
    return messageBytes + MOST_COPY_BYTES + frame.length > MAX_MESSAGE_BYTES;
  }

  private finish(connection: Connection): void {
    if (this.frame === null) return;
    if (!endPacketOut(connection.output, this.mark, this.frame)) this.tooLong++;
    this.frame = null;
  }
}

/** The usual list: rewrites, and then one output. */
interface Straight {
  readonly rewrites: readonly Rewrite[];
  readonly tunnel: Extract<FlowAction, { kind: "set-tunnel" }> | null;
  readonly port: number;
}

/** Null: the list is another one. */
function straighten(actions: readonly FlowAction[]): Straight | null {
  const last = actions.at(-1);
  if (last?.kind !== "output" && last?.kind !== "output-in-port") return null;
  const before = actions.slice(0, -1);
  if (!before.every((action) => isRewrite(action) || action.kind === "set-tunnel")) return null;
  const tunnel = before.findLast((action) => action.kind === "set-tunnel");
  return {
    rewrites: before.filter(isRewrite),
    tunnel: tunnel === undefined || tunnel.dst === 0 ? null : tunnel,
    port: last.kind === "output" ? last.port : OFPP.IN_PORT,
  };
}
