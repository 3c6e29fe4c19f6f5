import { connect, createServer, type Server, type Socket } from "node:net";
import { FrameSplitter, OP } from "#protocols/zookeeper";

const MAX_FRAME_BYTES = 64 << 20;
const XID_BYTES = 4;
const ZXID_BYTES = 8;

/** "before": the server does not get the request. "after": it has done it, and nobody hears of it. */
export type GateMoment = "before" | "after";

interface Trap {
  readonly nth: number;
  readonly moment: GateMoment;
  readonly act: () => void;
  seen: number;
  /** Request whose answer is waited for. */
  xid: number | null;
}

/** Stands between one client and a ZooKeeper server, knows requests from bytes, and ends the connection at one of them. */
export class ZookeeperGate {
  private readonly to: { readonly host: string; readonly port: number };
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private trap: Trap | null = null;
  private requests: number[] = [];
  private commits = 0;

  constructor(host: string, port: number) {
    this.to = { host, port };
    this.server = createServer((client) => this.accept(client));
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
  }

  get port(): number {
    return (this.server.address() as { readonly port: number }).port;
  }

  get listening(): boolean {
    return this.server.listening;
  }

  /** Operation codes of the requests since `arm`, the last one included; pings do not count. */
  get seen(): readonly number[] {
    return this.requests;
  }

  /** How many transactions the server has done since `arm`. */
  get committed(): number {
    return this.commits;
  }

  /** At the `nth` request from now (1 is the next) the connection ends, and `act` is called once. */
  arm(nth: number, moment: GateMoment, act: () => void): void {
    this.trap = { nth, moment, act, seen: 0, xid: null };
    this.requests = [];
    this.commits = 0;
  }

  disarm(): void {
    this.trap = null;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private accept(client: Socket): void {
    const upstream = connect(this.to);
    const end = (): void => {
      for (const socket of [client, upstream]) {
        socket.destroy();
        this.sockets.delete(socket);
      }
    };
    for (const socket of [client, upstream]) {
      this.sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", end);
      socket.on("close", end);
    }
    const commits = new Set<number>();
    frames(client, (frame, first) => {
      // The first frame opens the session: it is no request.
      if (!first && this.request(frame, commits) === "end") end();
      else upstream.write(framed(frame));
    });
    frames(upstream, (frame, first) => {
      if (!first && this.answer(frame, commits) === "end") end();
      else client.write(framed(frame));
    });
  }

  private request(frame: Buffer, commits: Set<number>): "pass" | "end" {
    const xid = frame.readInt32BE(0);
    const op = frame.readInt32BE(XID_BYTES);
    const { trap } = this;
    if (trap === null || op === OP.ping || trap.xid !== null) return "pass";
    this.requests.push(op);
    if (++trap.seen === trap.nth) {
      if (trap.moment === "before") return this.spring(trap);
      trap.xid = xid;
    }
    if (op === OP.multi) commits.add(xid);
    return "pass";
  }

  private answer(frame: Buffer, commits: Set<number>): "pass" | "end" {
    const xid = frame.readInt32BE(0);
    if (commits.delete(xid) && isDone(frame)) this.commits++;
    const { trap } = this;
    return trap !== null && trap.xid === xid ? this.spring(trap) : "pass";
  }

  private spring(trap: Trap): "end" {
    this.trap = null;
    trap.act();
    return "end";
  }
}

function frames(socket: Socket, take: (frame: Buffer, first: boolean) => void): void {
  const splitter = new FrameSplitter(MAX_FRAME_BYTES);
  let first = true;
  socket.on("data", (chunk: Buffer) => {
    splitter.push(chunk);
    for (let next = splitter.next(); next.kind === "frame"; next = splitter.next()) {
      take(Buffer.from(next.bytes), first);
      first = false;
      if (socket.destroyed) return;
    }
  });
}

/** Whether a transaction was done: behind xid, zxid and error stands the type of its first result. */
function isDone(frame: Buffer): boolean {
  return frame.readInt32BE(XID_BYTES + ZXID_BYTES) === 0 && frame.readInt32BE(XID_BYTES + ZXID_BYTES + 4) !== OP.error;
}

function framed(frame: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(frame.length);
  return Buffer.concat([length, frame]);
}
