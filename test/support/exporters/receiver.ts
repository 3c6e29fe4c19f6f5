import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";

/** What an export target has taken: everything else that a target keeps. */
export interface Got {
  /** Of steps and flows, in the order of arrival; what came twice stands here twice. */
  readonly ids: string[];
  readonly losses: { readonly count: number; readonly cause: string }[];
  /** Everything that was taken, as text: to look for what must not be there. */
  readonly texts: string[];
  /** What the documented grammar does not allow. */
  readonly faults: string[];
}

/**
 * How a target behaves:
 * `well`; `busy`: takes nothing now; `half`: takes every third, refuses every third for ever, and the other third until it
 * has come three times; `refusing`: takes nothing, ever; `silent`: never answers; `slow`: answers later.
 */
export type Mood = "well" | "busy" | "half" | "refusing" | "silent" | "slow";

/** An export target under test: its own grammar, checked strictly. */
export interface Receiver {
  readonly got: Got;
  mood: Mood;
  start(): Promise<void>;
  /** The address stays: a target that comes again is at its place. */
  stop(): Promise<void>;
  /** For `--export`. */
  url(): string;
  /** Moods that the kind of target can have. */
  readonly moods: readonly Mood[];
}

export const nothingYet = (): Got => ({ ids: [], losses: [], texts: [], faults: [] });

/** Files in PEM. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** An HTTP server at an address that stays, which keeps requests that it does not answer. */
export class HttpReceiver {
  port = 0;
  private server: Server | null = null;
  private readonly answer: (request: IncomingMessage, body: Buffer, response: ServerResponse) => void;
  private readonly tls: TlsFiles | null;

  constructor(
    answer: (request: IncomingMessage, body: Buffer, response: ServerResponse) => void,
    tls: TlsFiles | null = null,
  ) {
    this.answer = answer;
    this.tls = tls;
  }

  async start(): Promise<void> {
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => this.answer(request, Buffer.concat(chunks), response));
    };
    const server = this.tls === null ? createServer(listener) : createTlsServer(this.tls, listener);
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, "127.0.0.1", resolve);
    });
    this.port = (server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const { server } = this;
    this.server = null;
    if (server === null) return;
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

export function reply(
  response: ServerResponse,
  status: number,
  body: object | Uint8Array,
  type = "application/json",
): void {
  response.writeHead(status, { "content-type": type });
  response.end(body instanceof Uint8Array ? body : JSON.stringify(body));
}

/** What a half-hearted target does with a record: by its id, the same each time, but that one third is taken at last. */
export class HalfHearted {
  private readonly seen = new Map<string, number>();

  of(id: string): "taken" | "refused" | "later" {
    let hash = 7;
    for (const c of id) hash = (hash * 31 + c.charCodeAt(0)) % 9_973;
    if (hash % 3 === 0) return "taken";
    if (hash % 3 === 1) return "refused";
    const times = (this.seen.get(id) ?? 0) + 1;
    this.seen.set(id, times);
    return times >= 3 ? "taken" : "later";
  }
}

/** Answers of a slow target wait for so many turns of the event loop. */
export async function slowly(turns = 50): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
