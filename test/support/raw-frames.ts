import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { KernelNetwork } from "#adapters/datapath-ovs";
import { endChild, type NetworkNamespace } from "#adapters/testbed";
import { parseIpv4 } from "#core/packets";

const DISCARD_PORT = 9;

/** `raw-frames.py` at work in a namespace. */
export class RawFrames {
  private readonly child: ChildProcess;
  private readonly receivers = new Map<number, (frame: Uint8Array) => void>();
  private readonly syncs: (() => void)[] = [];
  private pending: Buffer = Buffer.alloc(0);
  private nextId = 0;
  /** Things that did not go well in there, most of them of interfaces that were taken away. */
  readonly errors: string[] = [];

  private constructor(child: ChildProcess) {
    this.child = child;
    child.stdout?.on("data", (chunk: Buffer) => this.take(chunk));
    // It is told to end by the end of its input; a write after that is lost.
    child.stdin?.on("error", () => undefined);
  }

  static async start(namespace: NetworkNamespace): Promise<RawFrames> {
    const script = join(import.meta.dirname, "raw-frames.py");
    return new RawFrames(await namespace.spawn("python3", [script], { stdio: ["pipe", "pipe", "inherit"] }));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Frames of the interface from now on; it must exist and be up. @returns a handle for `send` and `close`. */
  async open(name: string, receive: (frame: Uint8Array) => void): Promise<number> {
    const id = this.nextId++ & 255;
    this.receivers.set(id, receive);
    const before = this.errors.length;
    this.write("o", Buffer.concat([Buffer.from([id]), Buffer.from(name)]));
    await this.sync();
    if (this.errors.length > before) throw new Error(`${name}: ${this.errors.at(-1)}`);
    return id;
  }

  send(id: number, frame: Uint8Array): void {
    this.write("s", Buffer.concat([Buffer.from([id]), frame]));
  }

  close(id: number): void {
    this.receivers.delete(id);
    this.write("c", Buffer.from([id]));
  }

  datagram(from: number, to: number): void {
    const body = Buffer.alloc(10);
    body.writeUInt32BE(from, 0);
    body.writeUInt32BE(to, 4);
    body.writeUInt16BE(DISCARD_PORT, 8);
    this.write("u", body);
  }

  /** Resolves when everything before was done, and everything it had received by then was handed on. */
  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.child.exitCode !== null) return reject(new Error("raw-frames.py has ended"));
      this.syncs.push(resolve);
      this.write("p", Buffer.alloc(0));
    });
  }

  async stop(): Promise<void> {
    this.child.stdin?.end();
    await endChild(this.child);
  }

  private write(kind: string, body: Uint8Array): void {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(1 + body.length, 0);
    head.write(kind, 4);
    this.child.stdin?.write(Buffer.concat([head, body]));
  }

  private take(chunk: Buffer): void {
    this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
    let at = 0;
    while (this.pending.length - at >= 4) {
      const end = at + 4 + this.pending.readUInt32BE(at);
      if (this.pending.length < end) break;
      const kind = String.fromCharCode(this.pending[at + 4] as number);
      const body = this.pending.subarray(at + 5, end);
      if (kind === "r") this.receivers.get(body[0] as number)?.(Uint8Array.from(body.subarray(1)));
      else if (kind === "p") this.syncs.shift()?.();
      else this.errors.push(body.toString());
      at = end;
    }
    this.pending = this.pending.subarray(at);
  }
}

/** The kernel of a namespace seen from a process outside of it: through the eyes of one inside. */
export class NamespaceNetwork extends KernelNetwork {
  private readonly inside: RawFrames;
  /** Which interface is asked for addresses: /proc does not tell by name. */
  private readonly underlay: string;

  constructor(inside: RawFrames, underlay: string) {
    super({ sys: `/proc/${inside.pid}/root/sys`, procNet: `/proc/${inside.pid}/net` });
    this.inside = inside;
    this.underlay = underlay;
  }

  override interfaceWith(address: string): { readonly name: string; readonly mtu: number } | null {
    // Lines of local addresses: "           |-- 192.168.10.1" and, the next one, "              /32 host LOCAL".
    const lines = readFileSync(join(this.paths.procNet, "fib_trie"), "utf8").split("\n");
    if (!lines.some((line, i) => line.endsWith(` ${address}`) && lines[i + 1]?.includes("host LOCAL"))) return null;
    const mtu = this.mtu(this.underlay);
    return mtu === null ? null : { name: this.underlay, mtu };
  }

  override provoke(from: string, to: string): void {
    this.inside.datagram(parseIpv4(from) ?? 0, parseIpv4(to) ?? 0);
  }
}
