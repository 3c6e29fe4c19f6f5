import { connect, createServer, type Server, type Socket } from "node:net";

/** What happens to a connection that a client makes. "hold": accepted, and nothing goes through until "pass". */
export type ProxyMode = "pass" | "refuse" | "hold";

interface Pair {
  readonly client: Socket;
  upstream: Socket | null;
}

/** A network in one's hands: it stands between a client and one TCP server. */
export class TcpProxy {
  private readonly to: { readonly host: string; readonly port: number };
  private readonly server: Server;
  private readonly pairs = new Set<Pair>();
  private current: ProxyMode = "pass";
  private frozen = false;
  /** Changes what the server says; null: nothing more of this chunk. */
  alter: ((chunk: Buffer) => Buffer | null) | null = null;
  /** What the server said first on the newest connection. */
  greeting: Buffer | null = null;
  accepted = 0;

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

  get mode(): ProxyMode {
    return this.current;
  }

  set mode(mode: ProxyMode) {
    this.current = mode;
    if (mode !== "pass") return;
    for (const pair of this.pairs) if (pair.upstream === null) this.join(pair);
  }

  get connections(): number {
    return this.pairs.size;
  }

  /** All connections break, on both sides. */
  cut(): void {
    for (const { client, upstream } of this.pairs) {
      reset(client);
      if (upstream !== null) reset(upstream);
    }
    this.pairs.clear();
  }

  /** A black hole: connections stay, and nothing goes through, until `thaw`. */
  freeze(): void {
    this.frozen = true;
    for (const { client, upstream } of this.pairs) {
      client.pause();
      upstream?.pause();
    }
  }

  thaw(): void {
    this.frozen = false;
    for (const { client, upstream } of this.pairs) {
      client.resume();
      upstream?.resume();
    }
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private accept(client: Socket): void {
    this.accepted++;
    client.on("error", () => {});
    if (this.current === "refuse") {
      reset(client);
      return;
    }
    const pair: Pair = { client, upstream: null };
    this.pairs.add(pair);
    client.pause();
    client.on("close", () => this.end(pair));
    if (this.current === "pass") this.join(pair);
  }

  private join(pair: Pair): void {
    const { client } = pair;
    const upstream = connect(this.to);
    pair.upstream = upstream;
    let first = true;
    upstream.setNoDelay(true);
    client.setNoDelay(true);
    upstream.on("error", () => {});
    upstream.on("close", () => this.end(pair));
    upstream.on("data", (chunk: Buffer) => {
      if (first) this.greeting = chunk;
      first = false;
      const altered = this.alter === null ? chunk : this.alter(chunk);
      if (altered !== null) client.write(altered);
    });
    client.on("data", (chunk: Buffer) => upstream.write(chunk));
    if (this.frozen) upstream.pause();
    else client.resume();
  }

  private end(pair: Pair): void {
    if (!this.pairs.delete(pair)) return;
    pair.client.destroy();
    pair.upstream?.destroy();
  }
}

/** A socket that is shutting down cannot be reset any more: libuv refuses, and Node then never closes it. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}
