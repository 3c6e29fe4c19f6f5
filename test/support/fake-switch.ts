import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { readU16, readU32 } from "#core/base";
import { FROM_SWITCH } from "./openflow-samples.ts";

export interface FakeFlow {
  readonly table: number;
  readonly priority: number;
  readonly high: number;
  readonly low: number;
  readonly idleS: number;
  readonly hardS: number;
  /** Match and instructions as they came. */
  readonly match: string;
  readonly instructions: string;
  packets: number;
}

/**
 * A switch that speaks just enough OpenFlow to be driven, on a socket, with every way to fail at a test's command.
 * Written without the code under test. Entries live in a list: an ADD with the same table, priority and match overwrites.
 */
export class FakeSwitch {
  /** As the agent's side writes it; of `tcp:HOST:0`, with the port that was given. */
  address: string;
  flows: FakeFlow[] = [];
  readonly packetOuts: Uint8Array[] = [];
  /** Types of all messages that came, in order. */
  readonly log: number[] = [];
  connections = 0;
  /** Called for each FLOW_MOD ADD; an answer is sent as the error of that type and code, and the entry is not taken. */
  refuse: (flow: FakeFlow) => readonly [number, number] | null = () => null;
  /** What every message to the agent goes through on its way. */
  corrupt: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes;
  /** True: requests are read and nothing is answered. */
  mute = false;
  private server: Server | null = null;
  private readonly sockets = new Map<Socket, { receivesEvents: boolean }>();

  /** @param address the path of a Unix socket, or `tcp:HOST:PORT`. */
  constructor(address: string) {
    this.address = address;
  }

  async listen(): Promise<void> {
    const tcp = /^tcp:(.+):(\d+)$/.exec(this.address);
    if (tcp === null) rmSync(this.address, { force: true });
    const server = createServer((socket) => this.accept(socket));
    this.server = server;
    const where = tcp === null ? { path: this.address } : { host: tcp[1] as string, port: Number(tcp[2]) };
    await new Promise<void>((resolve) => server.listen(where, resolve));
    const given = server.address();
    if (given !== null && typeof given === "object") this.address = `tcp:${given.address}:${given.port}`;
  }

  /** Flows survive; those of a daemon that is killed do not. */
  async close(flows: "keep" | "lose" = "lose"): Promise<void> {
    this.cut();
    const { server } = this;
    this.server = null;
    if (server !== null) await new Promise((resolve) => server.close(resolve));
    if (flows === "lose") this.flows = [];
  }

  /** All connections end at once. */
  cut(): void {
    for (const socket of this.sockets.keys()) socket.destroy();
    this.sockets.clear();
  }

  cookies(round?: number): number[] {
    return this.flows.filter((f) => round === undefined || f.high >>> 21 === round).map((f) => f.low);
  }

  packetIn(inPort: number, frame: Uint8Array): void {
    this.event(FROM_SWITCH.packetIn({ inPort, frame }));
  }

  /** The oldest entry with this cookie (of a round) ends without our doing. */
  expire(low: number, reason: number, round = 1): void {
    const flow = this.flows.find((f) => f.low === low && f.high >>> 21 === round);
    if (flow === undefined) throw new Error(`no flow ${low} of round ${round}`);
    this.flows = this.flows.filter((f) => f !== flow);
    this.removed(flow, reason);
  }

  /** To every connection that asked for events. */
  event(bytes: Uint8Array): void {
    for (const [socket, { receivesEvents }] of this.sockets) if (receivesEvents) socket.write(this.corrupt(bytes));
  }

  private accept(socket: Socket): void {
    const state = { receivesEvents: false };
    this.connections++;
    this.sockets.set(socket, state);
    let rest = new Uint8Array();
    socket.on("error", () => {});
    socket.on("close", () => this.sockets.delete(socket));
    socket.on("data", (chunk: Uint8Array) => {
      rest = Uint8Array.of(...rest, ...chunk);
      while (rest.length >= 8 && rest.length >= readU16(rest, 2)) {
        const message = rest.slice(0, readU16(rest, 2));
        rest = rest.slice(message.length);
        this.message(socket, state, message);
      }
    });
    this.say(socket, FROM_SWITCH.hello());
  }

  private say(socket: Socket, bytes: Uint8Array): void {
    if (!this.mute && !socket.destroyed) socket.write(this.corrupt(bytes));
  }

  private message(socket: Socket, state: { receivesEvents: boolean }, m: Uint8Array): void {
    const type = m[1] as number;
    const xid = readU32(m, 4);
    this.log.push(type);
    if (type === 2) this.say(socket, FROM_SWITCH.message(3, xid, m.slice(8)));
    else if (type === 5) this.say(socket, FROM_SWITCH.features(xid));
    else if (type === 9) state.receivesEvents = readU16(m, 10) > 0;
    else if (type === 13) this.packetOuts.push(m);
    else if (type === 14) this.flowMod(socket, xid, m);
    else if (type === 18) this.multipart(socket, xid, m);
    else if (type === 20) this.say(socket, FROM_SWITCH.message(21, xid, new Uint8Array()));
  }

  private flowMod(socket: Socket, xid: number, m: Uint8Array): void {
    const high = readU32(m, 8);
    const low = readU32(m, 12);
    if (m[25] === 3) {
      const gone = this.flows.filter((f) => sameCookie(f, high, low, readU32(m, 16), readU32(m, 20)));
      this.flows = this.flows.filter((f) => !gone.includes(f));
      for (const flow of gone) this.removed(flow, 2);
      return;
    }
    const matchEnd = 48 + ((readU16(m, 50) + 7) & ~7);
    const flow: FakeFlow = {
      table: m[24] as number,
      priority: readU16(m, 30),
      high,
      low,
      idleS: readU16(m, 26),
      hardS: readU16(m, 28),
      match: m.slice(48, matchEnd).join(),
      instructions: m.slice(matchEnd).join(),
      packets: 0,
    };
    const error = this.refuse(flow);
    if (error !== null) {
      this.say(socket, FROM_SWITCH.error(xid, error[0], error[1], m.slice(0, 64)));
      return;
    }
    const same = (f: FakeFlow): boolean =>
      f.table === flow.table && f.priority === flow.priority && f.match === flow.match;
    this.flows = [...this.flows.filter((f) => !same(f)), flow];
  }

  private removed(flow: FakeFlow, reason: number): void {
    const { high, low, packets } = flow;
    this.event(FROM_SWITCH.flowRemoved({ high, low, reason, packets, bytes: packets * 100 }));
  }

  private multipart(socket: Socket, xid: number, m: Uint8Array): void {
    const [table, high, low] = [m[16] as number, readU32(m, 32), readU32(m, 36)];
    const asked = this.flows.filter(
      (f) => (table === 0xff || f.table === table) && sameCookie(f, high, low, readU32(m, 40), readU32(m, 44)),
    );
    if (readU16(m, 8) === 2) {
      const packets = asked.reduce((sum, f) => sum + f.packets, 0);
      this.say(socket, FROM_SWITCH.aggregate(xid, packets, asked.length));
      return;
    }
    // In parts, as a real switch does when there are many.
    for (let i = 0; i < asked.length; i += 2) this.say(socket, FROM_SWITCH.flowStats(xid, asked.slice(i, i + 2), true));
    this.say(socket, FROM_SWITCH.flowStats(xid, []));
  }
}

function sameCookie(f: FakeFlow, high: number, low: number, maskHigh: number, maskLow: number): boolean {
  return ((f.high ^ high) & maskHigh) === 0 && ((f.low ^ low) & maskLow) === 0;
}
