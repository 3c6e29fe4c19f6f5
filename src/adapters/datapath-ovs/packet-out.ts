import type { PacketIn } from "#core/datapath";
import { type FlowAction, IN_PORT, isRewrite, type OutputFrame, rewrite, runActions } from "#core/flows";
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

/**
 * Runs action lists on single packets. The rewrites are made here, by the code that the fabric runs too, and the switch
 * is told only where each resulting frame goes: a switch refuses a whole list for one rewrite that does not fit the
 * packet. Outputs of one and the same frame share a message, as far as they fit.
 */
export class PacketOuts {
  /** Frames that no message could hold. */
  tooLong = 0;
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
    const last = actions[actions.length - 1];
    if (last === undefined || !isStraight(actions)) {
      this.send(connection, packet.frame, actions, inPort, tunnelPort);
      return;
    }
    const port = last.kind === "output" ? last.port : OFPP.IN_PORT;
    if (port === inPort) return;
    const tunnel = port === tunnelPort ? tunnelOf(actions) : null;
    if (port === tunnelPort && tunnel === null) return;
    const out = connection.output;
    const mark = beginPacketOut(out, connection.session.nextXid(), inPort);
    if (tunnel !== null) writeSetTunnel(out, tunnel.key, tunnel.dst);
    writeOutput(out, port);
    const frameAt = endPacketOutOf(out, mark, bytes, start, end);
    if (frameAt < 0) this.tooLong++;
    else if (actions.length > 1) rewriteAll(out.bytes.subarray(frameAt, frameAt + end - start), actions);
    connection.send();
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

/** Rewrites, and then one output. */
function isStraight(actions: readonly FlowAction[]): boolean {
  const last = actions.length - 1;
  for (let i = 0; i <= last; i++) {
    const { kind } = actions[i] as FlowAction;
    const output = kind === "output" || kind === "output-in-port";
    if (output !== (i === last) || kind === "push-vlan" || kind === "pop-vlan") return false;
  }
  return true;
}

/** The last one of the list. */
function tunnelOf(actions: readonly FlowAction[]): Extract<FlowAction, { kind: "set-tunnel" }> | null {
  for (let i = actions.length - 1; i >= 0; i--) {
    const action = actions[i] as FlowAction;
    if (action.kind === "set-tunnel") return action.dst === 0 ? null : action;
  }
  return null;
}

function rewriteAll(frame: Uint8Array, actions: readonly FlowAction[]): void {
  for (let i = 0; i < actions.length; i++) {
    const action = actions[i] as FlowAction;
    if (isRewrite(action)) rewrite(frame, action);
  }
}
