import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { ecsMappings } from "#core/exporting";
import { misfit } from "./elasticsearch.ts";
import { type Mood, nothingYet, type Receiver, slowly, type TlsFiles } from "./receiver.ts";

type Json = Readonly<Record<string, unknown>>;

/** Logstash's `tcp` input with the `json_lines` codec: an object per line, each with ECS names; closes when the client does. */
export class LogstashReceiver implements Receiver {
  readonly got = nothingYet();
  readonly moods: readonly Mood[] = ["well", "busy", "silent", "slow"];
  mood: Mood = "well";
  connections = 0;
  private readonly tls: TlsFiles | null;
  private server: Server | null = null;
  private readonly sockets = new Set<Socket>();
  private port = 0;

  constructor(tls: TlsFiles | null = null) {
    this.tls = tls;
  }

  async start(): Promise<void> {
    const listener = (socket: Socket): void => void this.accept(socket);
    const server = this.tls === null ? createServer(listener) : createTlsServer(this.tls, listener);
    this.server = server;
    await new Promise<void>((resolve) => server.listen(this.port, "127.0.0.1", resolve));
    this.port = (server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const { server } = this;
    this.server = null;
    if (server === null) return;
    for (const socket of this.sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  url = (): string => (this.tls === null ? `logstash://127.0.0.1:${this.port}` : `logstashs://localhost:${this.port}`);

  private async accept(socket: Socket): Promise<void> {
    this.connections++;
    this.sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => this.sockets.delete(socket));
    // It accepts, and goes away.
    if (this.mood === "busy") return void socket.destroy();
    if (this.mood === "silent") return;
    if (this.mood === "slow") await slowly();
    let rest = "";
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.take(line);
    });
    socket.on("end", () => {
      if (rest !== "") this.got.faults.push(`a line without its end: ${rest.slice(0, 80)}`);
    });
  }

  private take(line: string): void {
    const document = JSON.parse(line) as Json;
    const wrong = misfit(document, ecsMappings());
    if (wrong !== null) this.got.faults.push(wrong);
    this.got.texts.push(line);
    const { id, reason } = document["event"] as Json;
    const lost = (document["midotrace"] as { readonly lost?: { readonly count: number } }).lost;
    if (lost === undefined) this.got.ids.push(String(id));
    else this.got.losses.push({ count: lost.count, cause: String(reason) });
  }
}
