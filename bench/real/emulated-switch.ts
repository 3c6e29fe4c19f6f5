import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { conversation, SERVERS } from "../conversations.ts";
import { ROUTER_OFPORT, VM_OFPORT } from "./ports.ts";

/*
 * A switch that has no packets but those it makes up: it keeps `window` packet-ins of ever new conversations outstanding and
 * counts the answers. A process of its own. argv: `listen HOST PORT [FLOWS]` (the controller connects) or
 * `connect HOST PORT`; FLOWS: how many the switch holds. The parent says {window, ms}; the answer is an `Outcome`.
 * OpenFlow 1.3.
 */

export interface Order {
  readonly window: number;
  readonly ms: number;
}

export interface Outcome {
  /** Packet-outs that carried one of our frames, per second. */
  readonly perSecond: number;
  readonly flowMods: number;
  /** All of them, those that came after the time was up included. */
  readonly answers: number;
  /** Time from packet-in to packet-out, microseconds. */
  readonly p50Us: number;
  readonly p99Us: number;
}

const VERSION = 4;
/** Bit 4 of the version bitmap: OpenFlow 1.3. */
const VERSIONS = Buffer.from([0, 1, 0, 8, 0, 0, 0, 0x10]);
const T = {
  HELLO: 0,
  ECHO_REQUEST: 2,
  ECHO_REPLY: 3,
  FEATURES_REQUEST: 5,
  FEATURES_REPLY: 6,
  GET_CONFIG_REQUEST: 7,
  GET_CONFIG_REPLY: 8,
  SET_CONFIG: 9,
  PACKET_IN: 10,
  FLOW_REMOVED: 11,
  PACKET_OUT: 13,
  FLOW_MOD: 14,
  MULTIPART_REQUEST: 18,
  MULTIPART_REPLY: 19,
  BARRIER_REQUEST: 20,
  BARRIER_REPLY: 21,
  ROLE_REQUEST: 24,
  ROLE_REPLY: 25,
} as const;
const MULTIPART = { AGGREGATE: 2, PORT_DESC: 13 } as const;
const SEND_FLOW_REMOVED = 1;

/** Flows that the switch holds before the oldest end: what a real one does by idle timeout. */
const DEFAULT_TABLE_SIZE = 50_000;
/** What is still on its way when the time is up is waited for, this long: it must not count in the next run. */
const DRAIN_MS = 1_000;
const SOURCE_PORTS = 64_000;
const FRAME_OFFSET = 42;
const FRAME = conversation(0);
const SRC_PORT_OFFSET = FRAME_OFFSET + 34;

function message(type: number, xid: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const b = Buffer.alloc(8 + body.length);
  b.writeUInt8(VERSION, 0);
  b.writeUInt8(type, 1);
  b.writeUInt16BE(b.length, 2);
  b.writeUInt32BE(xid, 4);
  body.copy(b, 8);
  return b;
}

const hello = (xid: number): Buffer => message(T.HELLO, xid, VERSIONS);

/** Table miss (reason 0) on `inPort`, whole frame, no buffer. */
function packetIn(frame: Uint8Array, inPort: number): Buffer {
  const body = Buffer.alloc(34 + frame.length);
  body.writeUInt32BE(0xffff_ffff, 0);
  body.writeUInt16BE(frame.length, 4);
  body.writeUInt8(1, 7);
  body.writeUInt16BE(1, 16);
  body.writeUInt16BE(12, 18);
  body.writeUInt32BE(0x8000_0004, 20);
  body.writeUInt32BE(inPort, 24);
  body.set(frame, 34);
  return message(T.PACKET_IN, 0, body);
}

function portDescription(ofport: number, name: string): Buffer {
  const b = Buffer.alloc(64);
  b.writeUInt32BE(ofport, 0);
  b.writeUIntBE(0x020000000000 + ofport, 8, 6);
  b.write(name, 16);
  b.writeUInt32BE(4, 36);
  return b;
}

/** One connection of a controller: cuts the stream into messages, and gathers what goes back into one write. */
class Line {
  private readonly socket: Socket;
  private rest: Buffer = Buffer.alloc(0);
  private readonly out = Buffer.alloc(1 << 20);
  private used = 0;

  constructor(socket: Socket, message: (line: Line, b: Buffer, at: number, length: number, now: number) => void) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      const now = performance.now();
      const b = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
      let at = 0;
      while (b.length - at >= 8) {
        const length = ((b[at + 2] as number) << 8) | (b[at + 3] as number);
        if (length < 8) throw new Error(`message of ${length} bytes`);
        if (b.length - at < length) break;
        message(this, b, at, length, now);
        at += length;
      }
      this.rest = b.subarray(at);
      this.flush();
    });
    socket.write(hello(1));
  }

  push(m: Buffer): void {
    if (this.used + m.length > this.out.length) this.flush();
    m.copy(this.out, this.used);
    this.used += m.length;
  }

  flush(): void {
    if (this.used === 0) return;
    this.socket.write(Buffer.from(this.out.subarray(0, this.used)));
    this.used = 0;
  }
}

class EmulatedSwitch {
  private readonly template = packetIn(FRAME, VM_OFPORT);
  private readonly tableSize: number;
  private readonly cookies: BigUint64Array;
  private readonly starts = new Map<number, number>();
  /** The connection that packets go to: the one that asked for them, or the only one. */
  private main: Line | null = null;
  private stored = 0;
  private taken = 0;
  private next = 0;
  private flowMods = 0;
  private answers = 0;
  private asked = 0;
  private until = 0;
  private window = 0;
  private latencies: number[] = [];
  ready: () => void = () => {};
  done: () => void = () => {};

  constructor(tableSize: number) {
    this.tableSize = tableSize;
    this.cookies = new BigUint64Array(tableSize + 100_000);
  }

  attach(socket: Socket): void {
    const line = new Line(socket, (l, b, at, length, now) => this.message(l, b, at, length, now));
    this.main ??= line;
  }

  async run(order: Order): Promise<Outcome> {
    if (how === "connect") this.teachRouter();
    this.flowMods = this.answers = this.asked = 0;
    this.latencies = [];
    this.starts.clear();
    this.window = order.window;
    const begin = performance.now();
    this.until = begin + order.ms;
    for (let i = 0; i < order.window; i++) this.ask(begin);
    this.main?.flush();
    await this.untilDone(order.ms + DRAIN_MS);
    const perSecond = (this.answers * 1000) / (Math.min(performance.now(), this.until) - begin);
    this.window = 0;
    if (this.answers < this.asked) await this.untilDone(DRAIN_MS);
    const sorted = Float64Array.from(this.latencies).sort();
    const at = (q: number): number => Math.round((sorted[Math.floor(sorted.length * q)] ?? 0) * 1000);
    const { answers, flowMods } = this;
    return { perSecond, answers, flowMods, p50Us: at(0.5), p99Us: at(0.99) };
  }

  /** Until `done` is called, or so long. */
  private untilDone(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.done = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** A learning switch has to know where the router is before it answers with a flow. */
  private teachRouter(): void {
    const frame = Uint8Array.from(FRAME);
    frame.copyWithin(0, 6, 12);
    frame.set(FRAME.subarray(0, 6), 6);
    frame.set([0, 7], 34);
    this.main?.push(packetIn(frame, ROUTER_OFPORT));
    this.main?.flush();
  }

  private ask(now: number): void {
    const n = this.next++;
    this.asked++;
    const t = this.template;
    // Source port, server, and in the end destination port: an agent that need not look at that one makes wider flows, and
    // meets none of them again for a million packets.
    const pass = Math.floor(n / SOURCE_PORTS);
    const src = 1024 + (n % SOURCE_PORTS);
    t[SRC_PORT_OFFSET] = src >> 8;
    t[SRC_PORT_OFFSET + 1] = src & 255;
    const dst = 5000 + (pass % 50_000);
    t[SRC_PORT_OFFSET + 2] = dst >> 8;
    t[SRC_PORT_OFFSET + 3] = dst & 255;
    t[FRAME_OFFSET + 33] = 10 + ((n + pass) % SERVERS);
    if ((n & 63) === 0 || this.window === 1) this.starts.set(src * 65_536 + dst, now);
    this.main?.push(t);
  }

  private message(line: Line, b: Buffer, at: number, length: number, now: number): void {
    switch (b[at + 1] as number) {
      case T.PACKET_OUT:
        this.packetOut(b, at, length, now);
        return;
      case T.FLOW_MOD:
        this.flowMod(b, at);
        return;
      default:
        this.control(line, b, at, length);
    }
  }

  private packetOut(b: Buffer, at: number, length: number, now: number): void {
    const actions = ((b[at + 16] as number) << 8) | (b[at + 17] as number);
    const frame = at + 24 + actions;
    if (at + length - frame < FRAME.length || b[frame + 12] !== 8) return;
    const ports = frame + 34;
    const src = ((b[ports] as number) << 8) | (b[ports + 1] as number);
    const dst = ((b[ports + 2] as number) << 8) | (b[ports + 3] as number);
    // What the router said, flooded by a learning switch: no answer to a packet of ours.
    if (src < 1024) return;
    this.answers++;
    const key = src * 65_536 + dst;
    const start = this.starts.get(key);
    if (start !== undefined) {
      this.starts.delete(key);
      this.latencies.push(now - start);
    }
    if (this.window === 0) {
      if (this.answers >= this.asked) this.done();
    } else if (now < this.until) this.ask(now);
    else this.done();
  }

  private flowMod(b: Buffer, at: number): void {
    if (b[at + 25] !== 0) return;
    this.flowMods++;
    // What has no idle timeout stays, as a controller's own rules do.
    const idle = ((b[at + 26] as number) << 8) | (b[at + 27] as number);
    if (idle === 0 || ((b[at + 45] as number) & SEND_FLOW_REMOVED) === 0) return;
    const { cookies } = this;
    cookies[this.stored++ % cookies.length] = b.readBigUInt64BE(at + 8);
    if (this.stored - this.taken > this.tableSize) this.expire(cookies[this.taken++ % cookies.length] as bigint);
  }

  private expire(cookie: bigint): void {
    const body = Buffer.alloc(48);
    body.writeBigUInt64BE(cookie, 0);
    body.writeUInt8(1, 11);
    body.writeUInt16BE(1, 40);
    body.writeUInt16BE(4, 42);
    this.main?.push(message(T.FLOW_REMOVED, 0, body));
  }

  private control(line: Line, b: Buffer, at: number, length: number): void {
    const xid = b.readUInt32BE(at + 4);
    const body = Buffer.from(b.subarray(at + 8, at + length));
    switch (b[at + 1] as number) {
      case T.ECHO_REQUEST:
        line.push(message(T.ECHO_REPLY, xid, body));
        return;
      case T.FEATURES_REQUEST: {
        const features = Buffer.alloc(24);
        features.writeBigUInt64BE(0x42n, 0);
        features.writeUInt8(254, 12);
        features.writeUInt32BE(0x4f, 16);
        line.push(message(T.FEATURES_REPLY, xid, features));
        this.ready();
        return;
      }
      case T.SET_CONFIG:
        if (body.readUInt16BE(2) !== 0) this.main = line;
        return;
      case T.GET_CONFIG_REQUEST:
        line.push(message(T.GET_CONFIG_REPLY, xid, Buffer.from([0, 0, 0xff, 0xff])));
        return;
      case T.BARRIER_REQUEST:
        line.push(message(T.BARRIER_REPLY, xid));
        return;
      case T.ROLE_REQUEST:
        line.push(message(T.ROLE_REPLY, xid, body));
        return;
      case T.MULTIPART_REQUEST: {
        const kind = body.readUInt16BE(0);
        const head = Buffer.alloc(8);
        head.writeUInt16BE(kind, 0);
        const ports = [portDescription(VM_OFPORT, "vm"), portDescription(ROUTER_OFPORT, "router")];
        const more = kind === MULTIPART.PORT_DESC ? ports : kind === MULTIPART.AGGREGATE ? [Buffer.alloc(24)] : [];
        line.push(message(T.MULTIPART_REPLY, xid, Buffer.concat([head, ...more])));
      }
    }
  }
}

const [how, where = "", port = "", flows = String(DEFAULT_TABLE_SIZE)] = process.argv.slice(2);
const emulated = new EmulatedSwitch(Number(flows));
const ready = new Promise<void>((resolve) => {
  emulated.ready = resolve;
});
if (how === "connect") {
  const socket = connect(Number(port), where);
  await once(socket, "connect");
  emulated.attach(socket);
} else {
  const server = createServer((socket) => emulated.attach(socket));
  server.listen(Number(port), where, () => process.send?.("listening"));
}
await ready;
process.on("message", (order: Order) => {
  void emulated.run(order).then((outcome) => process.send?.(outcome));
});
process.send?.("ready");
process.on("disconnect", () => process.exit());
