import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { commandIndex, type Io, run } from "#apps/cli";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Captured extends Io {
  readonly written: { out: string; err: string };
}

export function captured(env: Record<string, string> = {}, stop = new AbortController().signal): Captured {
  const written = { out: "", err: "" };
  return {
    written,
    out: (text) => void (written.out += text),
    err: (text) => void (written.err += text),
    env,
    colours: false,
    columns: 100,
    version: "0.0.0-test",
    stop,
  };
}

/** The whole program in this process, on this command line. */
export async function midotrace(argv: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const io = captured(env);
  const code = await run(argv, await commandIndex(), io);
  return { code, ...io.written };
}

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export interface Answer {
  readonly status?: number;
  readonly body?: string;
  readonly headers?: Record<string, string>;
  /** Leaves the answer open after the body. */
  readonly open?: boolean;
}

export interface Stub {
  readonly url: string;
  readonly seen: Seen[];
  close(): Promise<void>;
}

/** An HTTP server that answers as told: "GET /bridges" → answer, or a function of the request. Paths are below the API's. */
export async function stub(answers: Record<string, Answer | ((seen: Seen) => Answer)>): Promise<Stub> {
  const seen: Seen[] = [];
  const server: Server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (chunk: string) => (body += chunk));
    request.on("end", () => {
      const path = (request.url ?? "").replace("/midonet-api", "");
      const one = { method: request.method ?? "", path, headers: request.headers, body };
      seen.push(one);
      const found = answers[`${one.method} ${path}`] ?? {
        status: 404,
        body: `{"message":"nothing at ${path}","code":404}`,
      };
      const answer = typeof found === "function" ? found(one) : found;
      response.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers });
      if (answer.open === true) response.write(answer.body ?? "");
      else response.end(answer.body ?? "");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
