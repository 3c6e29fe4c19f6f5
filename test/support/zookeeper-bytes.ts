/** A server's side of ZooKeeper's protocol, as bytes; and a session machine in virtual time that tests talk to with them. */
import {
  decodeConnectRequest,
  type ConnectRequest,
  type Effect,
  FrameSplitter,
  JuteReader,
  JuteWriter,
  type ServerAddress,
  type SessionNews,
  ZkSession,
  type ZkSessionOptions,
} from "#protocols/zookeeper";

export function frame(w: JuteWriter): Uint8Array {
  const body = w.finish();
  return joined([new JuteWriter().int(body.length).finish(), body]);
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const PASSWORD = Uint8Array.from({ length: 16 }, (_, i) => i + 1);

/** timeoutMs 0 with id 0n: expired. */
export const greeting = (id: bigint, timeoutMs: number, readOnly = false): Uint8Array =>
  frame(new JuteWriter().int(0).int(timeoutMs).long(id).buffer(PASSWORD).bool(readOnly));

export const reply = (xid: number, zxid: bigint, err = 0, body: (w: JuteWriter) => void = () => {}): Uint8Array => {
  const w = new JuteWriter().int(xid).long(zxid).int(err);
  body(w);
  return frame(w);
};

export const notice = (type: number, path: string): Uint8Array =>
  reply(-1, -1n, 0, (w) => w.int(type).int(3).ustring(path));

export const stat = (w: JuteWriter, czxid = 7n, version = 0, owner = 0n): JuteWriter =>
  w.long(czxid).long(czxid).long(1n).long(1n).int(version).int(0).int(0).long(owner).int(0).int(0).long(czxid);

/** What a client sent, without lengths: number, opcode, and the reader behind them. */
export interface Sent {
  readonly xid: number;
  readonly op: number;
  readonly rest: JuteReader;
}

export const ADDRESSES: readonly ServerAddress[] = [1, 2, 3].map((n) => ({
  host: `s${n}`,
  ip: `10.0.0.${n}`,
  port: 2181,
}));

/** A machine, the time, and what came out of it; `connect` and `resolve` are answered by the test. */
export class Bench {
  nowMs = 1000;
  readonly session: ZkSession;
  readonly news: SessionNews[] = [];
  connecting: ServerAddress | null = null;
  /** The newest that was opened. */
  server: ServerAddress | null = null;
  resolving = false;
  drops = 0;
  /** On the connection open now. */
  frames: Uint8Array[] = [];
  private splitter = new FrameSplitter(1 << 24);

  constructor(options: Partial<ZkSessionOptions> = {}) {
    this.session = new ZkSession({
      timeoutMs: 9000,
      credentials: [],
      watchedPaths: () => [],
      random: () => 0.5,
      ...options,
    });
  }

  take(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === "send") this.splitter.push(effect.bytes);
      else if (effect.kind === "connect") {
        this.connecting = effect.address;
        this.splitter = new FrameSplitter(1 << 24);
        this.frames = [];
      } else if (effect.kind === "drop") {
        this.drops++;
        this.connecting = null;
      } else if (effect.kind === "resolve") this.resolving = true;
      else {
        this.news.push(effect);
        if (effect.kind === "deliver") effect.run();
      }
    }
    for (let next = this.splitter.next(); next.kind === "frame"; next = this.splitter.next())
      this.frames.push(next.bytes);
  }

  start(addresses: readonly ServerAddress[] = ADDRESSES): void {
    this.take(this.session.start(this.nowMs));
    this.resolve(addresses);
  }

  resolve(addresses: readonly ServerAddress[] = ADDRESSES): void {
    this.resolving = false;
    this.take(this.session.resolved(addresses, this.nowMs));
  }

  /** The connection sought opens. @returns what was said first. */
  open(): ConnectRequest | null {
    this.server = this.connecting;
    this.connecting = null;
    this.take(this.session.opened());
    const first = this.frames.shift();
    return first === undefined ? null : decodeConnectRequest(first);
  }

  say(...bytes: readonly Uint8Array[]): void {
    this.take(this.session.received(joined(bytes), this.nowMs));
  }

  close(reason = "it broke"): void {
    this.take(this.session.closed(reason, this.nowMs));
  }

  /** Opens and greets, so that the machine is ready unless it has something to set up. */
  greet(id = 0x51n, timeoutMs = 9000): void {
    this.open();
    this.say(greeting(id, timeoutMs));
  }

  /** What was sent since the last look. */
  sent(): Sent[] {
    return this.frames.splice(0).map((bytes) => {
      const rest = new JuteReader(bytes);
      return { xid: rest.int("xid"), op: rest.int("op"), rest };
    });
  }

  /** Lets time pass, calling `tick` when the machine wants it. `each` runs after each tick. */
  advance(ms: number, each: () => void = () => {}): void {
    const end = this.nowMs + ms;
    for (;;) {
      const at = this.session.deadlineMs;
      if (at === null || at > end) break;
      this.nowMs = Math.max(this.nowMs, at);
      this.take(this.session.tick(this.nowMs));
      each();
    }
    this.nowMs = end;
  }

  kinds(): string[] {
    return this.news.map((item) => item.kind);
  }
}
