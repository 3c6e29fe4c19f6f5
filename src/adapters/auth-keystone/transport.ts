import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { type Cancel, MidotraceError, type Scheduler } from "#core/base";

export interface KeystoneReply {
  readonly status: number;
  /** `X-Subject-Token`; null when there is none. */
  readonly subjectToken: string | null;
  readonly body: unknown;
}

export interface KeystoneRequest {
  readonly method: "GET" | "POST";
  /** Below the root: "/auth/tokens". */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export interface TransportOptions {
  /** See `keystoneUrl`. */
  readonly url: string;
  /** PEM of the authorities to trust, instead of those that the system trusts. */
  readonly ca: string | null;
  readonly timeoutMs: number;
  readonly scheduler: Scheduler;
}

const MAX_SOCKETS = 16;
/** A token with a service catalogue has some 10 KiB. */
const MAX_REPLY_BYTES = 4 * 1024 * 1024;

/** Requests to Keystone; each has one answer, or one error, in bounded time. Redirects are not followed. */
export class KeystoneTransport {
  private readonly options: TransportOptions;
  private readonly agent: HttpAgent | HttpsAgent;

  constructor(options: TransportOptions) {
    this.options = options;
    const keep = { keepAlive: true, maxSockets: MAX_SOCKETS };
    this.agent = options.url.startsWith("https:")
      ? new HttpsAgent({ ...keep, ...(options.ca === null ? {} : { ca: options.ca }) })
      : new HttpAgent(keep);
  }

  /** @throws MidotraceError AUTH_UNAVAILABLE when there is no answer, none in time, or one that is no JSON. */
  async send(asked: KeystoneRequest): Promise<KeystoneReply> {
    const { timeoutMs, scheduler } = this.options;
    const abort = new AbortController();
    const timer: Cancel = scheduler.after(timeoutMs, () =>
      abort.abort(new Error(`it has not answered for ${timeoutMs / 1000} s`)),
    );
    try {
      for (;;) {
        const reply = await this.exchange(asked, abort.signal);
        if (reply !== null) return reply;
      }
    } catch (cause) {
      const reason: unknown = abort.signal.aborted ? abort.signal.reason : cause;
      throw unavailable(reason instanceof Error ? reason.message : String(reason), cause);
    } finally {
      timer.cancel();
    }
  }

  close(): void {
    this.agent.destroy();
  }

  /** Null: the connection had been kept, and was closed by the other side just as it was used again. */
  private exchange(
    { method, path, headers, body }: KeystoneRequest,
    signal: AbortSignal,
  ): Promise<KeystoneReply | null> {
    const { url } = this.options;
    const bytes = body === undefined ? null : Buffer.from(JSON.stringify(body));
    return new Promise((resolve, reject) => {
      const send = url.startsWith("https:") ? httpsRequest : httpRequest;
      const req = send(`${url}${path}`, {
        method,
        agent: this.agent,
        signal,
        headers: {
          accept: "application/json",
          ...(bytes === null ? {} : { "content-type": "application/json", "content-length": bytes.length }),
          ...headers,
        },
      });
      req.on("error", (error: NodeJS.ErrnoException) => {
        if (req.reusedSocket && error.code === "ECONNRESET" && !signal.aborted) resolve(null);
        else reject(error);
      });
      req.on("response", (res) => void readReply(res).then(resolve, reject));
      req.end(bytes ?? undefined);
    });
  }
}

export function unavailable(why: string, cause?: unknown): MidotraceError {
  return new MidotraceError("AUTH_UNAVAILABLE", `the identity service (Keystone) cannot be asked: ${why}`, [], {
    cause,
  });
}

async function readReply(res: IncomingMessage): Promise<KeystoneReply> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of res as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_REPLY_BYTES) throw new Error(`its answer is longer than ${MAX_REPLY_BYTES} bytes`);
    chunks.push(chunk);
  }
  const token = res.headers["x-subject-token"];
  const text = Buffer.concat(chunks).toString("utf8");
  const status = res.statusCode ?? 0;
  return { status, subjectToken: typeof token === "string" ? token : null, body: parsed(text, status) };
}

function parsed(text: string, status: number): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // What a proxy says of an error is no JSON, and not looked at.
    if (status >= 400 || text === "") return null;
    throw new Error("its answer is no JSON");
  }
}
