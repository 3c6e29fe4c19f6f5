import type { Ipv4 } from "#core/packets";
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, type TcpLayer } from "#core/packets";
import type { Waiting } from "./vm-waiting.ts";

/** Our end of one TCP conversation. A little TCP: handshake and close, in order, without retransmission or windows. */
interface Connection {
  readonly role: "client" | "server";
  state: "syn-sent" | "syn-received" | "established" | "closing";
  /** Next sequence number that we send, and that we expect. */
  sendNext: number;
  receiveNext: number;
}

/** What the VM sends for us. */
export interface Segment {
  readonly dst: Ipv4;
  readonly srcPort: number;
  readonly dstPort: number;
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
}

/** More half-open or forgotten conversations than this, and the oldest is forgotten. */
const CONNECTIONS_MAX = 256;

/** The TCP of a VM (RFC 9293 §3.10, the part of it that opens and closes). */
export class TinyTcp {
  private readonly listening: ReadonlySet<number>;
  private readonly send: (segment: Segment) => void;
  private readonly waiting: Waiting;
  private readonly connections = new Map<string, Connection>();
  /** Initial sequence numbers need not be secret here, only different. */
  private nextIsn = 1_000;

  constructor(listening: ReadonlySet<number>, waiting: Waiting, send: (segment: Segment) => void) {
    this.listening = listening;
    this.waiting = waiting;
    this.send = send;
  }

  /** Sends the SYN; the answer comes to `waiting` under `tcpKey`. */
  connect(dst: Ipv4, srcPort: number, dstPort: number): void {
    const isn = this.isn();
    this.put(tcpKey(dst, srcPort, dstPort), {
      role: "client",
      state: "syn-sent",
      sendNext: (isn + 1) >>> 0,
      receiveNext: 0,
    });
    this.send({ dst, srcPort, dstPort, flags: TCP_SYN, seq: isn, ack: 0 });
  }

  receive(from: Ipv4, ttl: number, t: TcpLayer, lengthBytes: number): void {
    const key = tcpKey(from, t.dstPort, t.srcPort);
    const connection = this.connections.get(key);
    if (has(t, TCP_RST)) {
      this.connections.delete(key);
      if (connection?.state === "syn-sent") this.waiting.end(key, { kind: "refused", from });
    } else if (connection !== undefined) this.advance(key, connection, from, ttl, t, lengthBytes);
    else if (has(t, TCP_SYN) && !has(t, TCP_ACK) && this.listening.has(t.dstPort)) this.accept(key, from, t);
    else this.reset(from, t, lengthBytes);
  }

  clear(): void {
    this.connections.clear();
  }

  private accept(key: string, from: Ipv4, t: TcpLayer): void {
    const isn = this.isn();
    const receiveNext = (t.seq + 1) >>> 0;
    this.put(key, { role: "server", state: "syn-received", sendNext: (isn + 1) >>> 0, receiveNext });
    this.answer(from, t, TCP_SYN | TCP_ACK, isn, receiveNext);
  }

  private advance(key: string, c: Connection, from: Ipv4, ttl: number, t: TcpLayer, lengthBytes: number): void {
    if (c.state === "syn-sent") {
      if (!has(t, TCP_SYN) || !has(t, TCP_ACK) || t.ack !== c.sendNext) return;
      c.receiveNext = (t.seq + 1) >>> 0;
      this.answer(from, t, TCP_ACK, c.sendNext, c.receiveNext);
      this.waiting.end(key, { kind: "reply", from, ttl });
      // Nothing to say: close at once.
      this.answer(from, t, TCP_FIN | TCP_ACK, c.sendNext, c.receiveNext);
      c.sendNext = (c.sendNext + 1) >>> 0;
      c.state = "closing";
      return;
    }
    if (t.seq !== c.receiveNext) return;
    if (c.state === "syn-received" && has(t, TCP_ACK)) c.state = "established";
    const consumed = lengthBytes + (has(t, TCP_FIN) ? 1 : 0);
    if (consumed === 0) {
      if (c.state === "closing" && c.role === "server" && t.ack === c.sendNext) this.connections.delete(key);
      return;
    }
    c.receiveNext = (c.receiveNext + consumed) >>> 0;
    if (!has(t, TCP_FIN)) {
      this.answer(from, t, TCP_ACK, c.sendNext, c.receiveNext);
    } else if (c.role === "client") {
      this.answer(from, t, TCP_ACK, c.sendNext, c.receiveNext);
      this.connections.delete(key);
    } else {
      this.answer(from, t, TCP_FIN | TCP_ACK, c.sendNext, c.receiveNext);
      c.sendNext = (c.sendNext + 1) >>> 0;
      c.state = "closing";
    }
  }

  /** RFC 9293 §3.10.7.1: what belongs to no conversation is answered so that the sender believes it. */
  private reset(from: Ipv4, t: TcpLayer, lengthBytes: number): void {
    if (has(t, TCP_ACK)) {
      this.answer(from, t, TCP_RST, t.ack, 0);
      return;
    }
    const consumed = lengthBytes + (has(t, TCP_SYN) ? 1 : 0) + (has(t, TCP_FIN) ? 1 : 0);
    this.answer(from, t, TCP_RST | TCP_ACK, 0, (t.seq + consumed) >>> 0);
  }

  private answer(dst: Ipv4, t: TcpLayer, flags: number, seq: number, ack: number): void {
    this.send({ dst, srcPort: t.dstPort, dstPort: t.srcPort, flags, seq, ack });
  }

  private put(key: string, connection: Connection): void {
    const oldest = this.connections.keys().next().value;
    if (this.connections.size >= CONNECTIONS_MAX && oldest !== undefined) this.connections.delete(oldest);
    this.connections.set(key, connection);
  }

  private isn(): number {
    this.nextIsn = (this.nextIsn + 64_000) >>> 0;
    return this.nextIsn;
  }
}

/** Names a conversation from our side. */
export function tcpKey(remote: Ipv4, localPort: number, remotePort: number): string {
  return `tcp ${remote} ${localPort} ${remotePort}`;
}

function has(t: TcpLayer, flag: number): boolean {
  return (t.flags & flag) !== 0;
}
