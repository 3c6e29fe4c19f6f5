import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Lifecycle } from "#core/base";

export interface StatusSource {
  /** What the daemon waits for, in words; empty: it is ready. */
  waitingFor(): readonly string[];
  /** Prometheus' text format 0.0.4. */
  metrics(): Promise<string>;
  /** Where things are, for people: told by /readyz beside the readiness. */
  facts(): Readonly<Record<string, string | number | null>>;
}

/**
 * A daemon's own small server: /healthz (200 while the process answers), /readyz (200 or 503, with what it waits for) and
 * /metrics.
 */
export class StatusServer implements Lifecycle {
  private readonly source: StatusSource;
  private readonly host: string;
  private readonly port: number;
  private server: Server | null = null;
  /** "http://127.0.0.1:8182"; empty before the start. */
  url = "";

  constructor(host: string, port: number, source: StatusSource) {
    this.host = host;
    this.port = port;
    this.source = source;
  }

  /** @throws the socket's error when the address cannot be listened on. */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      this.answer(request.method ?? "", (request.url ?? "").split("?")[0] ?? "", response);
    });
    server.requestTimeout = 10_000;
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, this.host, resolve);
    });
    const { address, family, port } = server.address() as AddressInfo;
    this.url = `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
  }

  async stop(): Promise<void> {
    const { server } = this;
    this.server = null;
    if (server === null) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  private async showMetrics(response: ServerResponse): Promise<void> {
    try {
      const text = await this.source.metrics();
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
      response.end(text);
    } catch (error) {
      json(response, 500, { error: error instanceof Error ? error.message : String(error) });
    }
  }

  private answer(method: string, path: string, response: ServerResponse): void {
    if (method !== "GET" && method !== "HEAD") json(response, 405, { error: "only GET is answered here" });
    else if (path === "/healthz") json(response, 200, { status: "ok" });
    else if (path === "/readyz") {
      const waitingFor = this.source.waitingFor();
      const ready = waitingFor.length === 0;
      json(response, ready ? 200 : 503, { ready, waitingFor, ...this.source.facts() });
    } else if (path === "/metrics") {
      void this.showMetrics(response);
    } else json(response, 404, { error: "there is /healthz, /readyz and /metrics" });
  }
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(`${JSON.stringify(body)}\n`);
}
