import { readU16, readU32 } from "#core/base";
import { errorName } from "./errors.ts";
import { messageName, multipartName, OFP_VERSION, OFPMP, OFPT } from "./messages.ts";
import type { Output } from "./output.ts";
import { PendingRequests } from "./pending.ts";
import {
  type Aggregate,
  ErrorMessage,
  type Features,
  FlowRecord,
  isKnownMultipart,
  MULTIPART_BODY,
  PacketInMessage,
  type PortDescription,
  readAggregate,
  readFeatures,
  readFlowStats,
  readMultipartHead,
  readPorts,
} from "./replies.ts";
import {
  type StatsFilter,
  writeBare,
  writeEchoReply,
  writeHello,
  writePortDescRequest,
  writeSetConfig,
  writeStatsRequest,
} from "./requests.ts";
import { Splitter } from "./splitter.ts";

/** Milliseconds: from opening to the end of the handshake; of silence before an echo request; of silence after it; of a reply. */
export const SESSION_LIMITS = { handshakeMs: 5_000, quietMs: 5_000, echoMs: 10_000, replyMs: 20_000 } as const;

/** What a session has to say. Records and bytes are valid only during the call. */
export interface SessionHandler {
  /** The handshake is done: requests may be made from here on. */
  ready(features: Features): void;
  packetIn(message: PacketInMessage, bytes: Uint8Array): void;
  flowRemoved(record: FlowRecord): void;
  /** The switch refused a message that asks for no reply (a FLOW_MOD, a PACKET_OUT); `text` says which and why. */
  refused(error: ErrorMessage, bytes: Uint8Array, text: string): void;
  /** The connection is of no use any more and is to be closed. Said once; nothing else is said afterwards. */
  failed(reason: string): void;
}

export interface SessionOptions {
  /** Whether packets, removals and port changes are to come up on this connection. */
  readonly receivesEvents: boolean;
}

type State = "closed" | "hello" | "features" | "ready" | "failed";

/**
 * One OpenFlow connection, seen from the agent: handshake, keepalive, replies found by their xid. It does no I/O and reads
 * no clock: bytes and time come in, messages go to `output`, and who owns the socket writes them. Anything that is not
 * as it should be ends it with a reason.
 */
export class Session {
  readonly output: Output;
  private readonly handler: SessionHandler;
  private readonly options: SessionOptions;
  private readonly splitter = new Splitter((b, start, end, type, xid) => this.message(b, start, end, type, xid));
  private readonly pending = new PendingRequests();
  private readonly packet = new PacketInMessage();
  private readonly record = new FlowRecord();
  private readonly error = new ErrorMessage();
  private state: State = "closed";
  private xid = 0;
  private featuresXid = 0;
  private openedMs = 0;
  private heardMs = 0;
  /** When an echo request went out that nothing was heard after; -1: none. */
  private echoSentMs = -1;
  private nowMs = 0;

  constructor(output: Output, handler: SessionHandler, options: SessionOptions) {
    this.output = output;
    this.handler = handler;
    this.options = options;
  }

  get isReady(): boolean {
    return this.state === "ready";
  }

  /** The connection stands. */
  opened(nowMs: number): void {
    this.nowMs = nowMs;
    this.openedMs = nowMs;
    this.heardMs = nowMs;
    this.state = "hello";
    writeHello(this.output, this.nextXid());
  }

  received(chunk: Uint8Array, nowMs: number): void {
    if (this.state === "failed" || this.state === "closed") return;
    this.nowMs = nowMs;
    this.heardMs = nowMs;
    this.echoSentMs = -1;
    const fault = this.splitter.push(chunk);
    if (fault !== null) this.fail(fault);
  }

  /** To be called now and then, about once a second. */
  tick(nowMs: number): void {
    if (this.state === "failed" || this.state === "closed") return;
    this.nowMs = nowMs;
    const { handshakeMs, quietMs, echoMs } = SESSION_LIMITS;
    const late = this.pending.overdue(nowMs);
    if (this.state !== "ready" && nowMs - this.openedMs > handshakeMs)
      this.fail(`no handshake within ${handshakeMs} ms`);
    else if (late !== null) this.fail(`no reply to ${late} within ${SESSION_LIMITS.replyMs} ms`);
    else if (this.echoSentMs >= 0) {
      if (nowMs - this.echoSentMs > echoMs) this.fail(`no reply to ECHO_REQUEST within ${echoMs} ms`);
    } else if (nowMs - this.heardMs > quietMs) {
      this.echoSentMs = nowMs;
      writeBare(this.output, OFPT.ECHO_REQUEST, this.nextXid());
    }
  }

  nextXid(): number {
    this.xid = this.xid === 0xffff_ffff ? 1 : this.xid + 1;
    return this.xid;
  }

  /** `done` when everything sent before is done. */
  barrier(done: () => void): void {
    const xid = this.nextXid();
    this.pending.add(xid, { name: "BARRIER_REQUEST", deadlineMs: this.deadline(), kind: "barrier", done });
    writeBare(this.output, OFPT.BARRIER_REQUEST, xid);
  }

  /** `each` for every flow of the filter (the record is used again), then `done`. */
  flowStats(filter: StatsFilter, each: (record: FlowRecord) => void, done: () => void): void {
    const xid = this.nextXid();
    this.pending.add(xid, { name: "FLOW statistics", deadlineMs: this.deadline(), kind: "flows", each, done });
    writeStatsRequest(this.output, xid, OFPMP.FLOW, filter);
  }

  aggregate(filter: StatsFilter, done: (sum: Aggregate) => void): void {
    const xid = this.nextXid();
    this.pending.add(xid, { name: "AGGREGATE statistics", deadlineMs: this.deadline(), kind: "aggregate", done });
    writeStatsRequest(this.output, xid, OFPMP.AGGREGATE, filter);
  }

  ports(done: (ports: readonly PortDescription[]) => void): void {
    const xid = this.nextXid();
    this.pending.add(xid, { name: "PORT_DESC", deadlineMs: this.deadline(), kind: "ports", list: [], done });
    writePortDescRequest(this.output, xid);
  }

  private deadline(): number {
    return this.nowMs + SESSION_LIMITS.replyMs;
  }

  private fail(reason: string): void {
    if (this.state === "failed") return;
    this.state = "failed";
    this.pending.clear();
    this.handler.failed(reason);
  }

  private message(b: Uint8Array, start: number, end: number, type: number, xid: number): void {
    if (this.state === "failed") return;
    const fault = this.dispatch(b, start, end, type, xid);
    if (fault !== null) this.fail(fault);
  }

  private dispatch(b: Uint8Array, start: number, end: number, type: number, xid: number): string | null {
    const { state } = this;
    switch (type) {
      case OFPT.PACKET_IN: {
        if (state !== "ready") break;
        const fault = this.packet.read(b, start, end);
        if (fault === null) this.handler.packetIn(this.packet, b);
        return fault;
      }
      case OFPT.ECHO_REQUEST:
        writeEchoReply(this.output, xid, b.subarray(start + 8, end));
        return null;
      case OFPT.ECHO_REPLY:
        return null;
      case OFPT.HELLO:
        if (state !== "hello") break;
        return this.hello(b, start, end);
      case OFPT.FEATURES_REPLY:
        if (state !== "features" || xid !== this.featuresXid) break;
        if (this.options.receivesEvents) writeSetConfig(this.output, this.nextXid());
        this.state = "ready";
        this.handler.ready(readFeatures(b, start));
        return null;
      case OFPT.ERROR:
        return this.refused(b, start, end, xid);
      case OFPT.FLOW_REMOVED:
        if (state !== "ready") break;
        this.record.readRemoved(b, start);
        this.handler.flowRemoved(this.record);
        return null;
      case OFPT.PORT_STATUS:
        if (state !== "ready") break;
        return null;
      case OFPT.BARRIER_REPLY: {
        const request = this.pending.take(xid, "barrier");
        if (request === null) break;
        request.done();
        return null;
      }
      case OFPT.MULTIPART_REPLY:
        return this.multipart(b, start, end, xid);
      default:
        break;
    }
    return `unexpected ${messageName(type)} (xid ${xid}) in state ${state}`;
  }

  private hello(b: Uint8Array, start: number, end: number): string | null {
    const fault = helloFault(b, start, end);
    if (fault !== null) return fault;
    this.state = "features";
    this.featuresXid = this.nextXid();
    writeBare(this.output, OFPT.FEATURES_REQUEST, this.featuresXid);
    return null;
  }

  private refused(b: Uint8Array, start: number, end: number, xid: number): string | null {
    const { error } = this;
    const fault = error.read(b, start, end);
    if (fault !== null) return fault;
    const name = errorName(error.type, error.code, error.experimenter);
    const request = this.pending.name(xid);
    if (request !== null) return `${request} was refused: ${name}`;
    const about = error.dataEnd - error.dataStart >= 8 ? messageName(b[error.dataStart + 1] as number) : "a message";
    if (this.state !== "ready") return `${about} was refused during the handshake: ${name}`;
    this.handler.refused(error, b, `${about} was refused: ${name}`);
    return null;
  }

  private multipart(b: Uint8Array, start: number, end: number, xid: number): string | null {
    const { type, more } = readMultipartHead(b, start);
    const name = multipartName(type);
    const request = this.pending.get(xid);
    if (request === null || !isKnownMultipart(type)) return `unexpected ${name} (xid ${xid})`;
    const body = start + MULTIPART_BODY;
    if (request.kind === "flows" && type === OFPMP.FLOW) {
      // Whoever is asked for much may take his time, part by part.
      request.deadlineMs = this.deadline();
      const fault = readFlowStats(b, body, end, this.record, request.each);
      if (fault !== null) return fault;
      if (!more) {
        this.pending.delete(xid);
        request.done();
      }
      return null;
    }
    if (request.kind === "aggregate" && type === OFPMP.AGGREGATE) {
      const sum = readAggregate(b, body, end);
      if (sum === null) return `${name} that is too short`;
      this.pending.delete(xid);
      request.done(sum);
      return null;
    }
    if (request.kind === "ports" && type === OFPMP.PORT_DESC) {
      const ports = readPorts(b, body, end);
      if (ports === null) return `${name} whose length is not one of whole ports`;
      request.list.push(...ports);
      if (!more) {
        this.pending.delete(xid);
        request.done(request.list);
      }
      return null;
    }
    return `${name} in answer to ${request.name}`;
  }
}

/** Why we have no version in common with the sender of a hello; null: 1.3 it is (TS-012 6.3.1). */
function helloFault(b: Uint8Array, start: number, end: number): string | null {
  const version = b[start] as number;
  let at = start + 8;
  while (at + 4 <= end) {
    const length = readU16(b, at + 2);
    if (length < 4 || at + length > end) return "HELLO with an element that does not fit";
    if (readU16(b, at) === 1) {
      const bitmap = length >= 8 ? readU32(b, at + 4) : 0;
      return (bitmap & (1 << OFP_VERSION)) !== 0
        ? null
        : "the switch does not offer OpenFlow 1.3 (set protocols of the bridge)";
    }
    at += (length + 7) & ~7;
  }
  return version >= OFP_VERSION ? null : `the switch speaks OpenFlow wire version ${version} at most, not 1.3`;
}
