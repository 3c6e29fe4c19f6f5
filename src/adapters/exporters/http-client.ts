import { Agent as HttpAgent, request as httpRequest, type RequestOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Target } from "./target.ts";
import { tlsOptions } from "./tls.ts";

export interface HttpReply {
  readonly status: number;
  readonly body: string;
}

/** Longest answer that is read; targets answer a batch with a few bytes for each record. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

/** HTTP to one target, on connections that are kept. */
export class HttpClient {
  private readonly agent: HttpAgent;
  private readonly base: RequestOptions;
  private readonly tls: boolean;
  private readonly headers: Readonly<Record<string, string>>;

  /** @param headers of every request. @throws MidotraceError USAGE */
  constructor(target: Target, headers: Readonly<Record<string, string>>) {
    const options = { keepAlive: true, ...tlsOptions(target) };
    this.tls = target.tls;
    this.agent = target.tls ? new HttpsAgent(options) : new HttpAgent(options);
    this.base = { host: target.host, port: target.port };
    this.headers = headers;
  }

  /** @throws the error of the network, or of the signal. */
  send(
    method: "POST" | "PUT",
    path: string,
    headers: Readonly<Record<string, string>>,
    body: string,
    signal: AbortSignal,
  ): Promise<HttpReply> {
    const bytes = Buffer.from(body);
    const all = { ...this.headers, ...headers, "content-length": String(bytes.length) };
    const options: RequestOptions = { ...this.base, method, path, headers: all, agent: this.agent, signal };
    return new Promise((resolve, reject) => {
      const request = (this.tls ? httpsRequest : httpRequest)(options, (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_ANSWER_BYTES) request.destroy(new Error("the answer is too long"));
          else chunks.push(chunk);
        });
        response.on("error", reject);
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") }),
        );
      });
      request.on("error", (error) => reject(signal.aborted && signal.reason instanceof Error ? signal.reason : error));
      request.end(bytes);
    });
  }

  close(): void {
    this.agent.destroy();
  }
}

/** What a target says in JSON; null: it is none. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** The error of a whole batch that the target did not take: status and the beginning of what it says. */
export function statusError({ status, body }: HttpReply): Error {
  return new Error(`HTTP ${status} ${body.slice(0, 200).replaceAll(/\s+/g, " ")}`.trim());
}
