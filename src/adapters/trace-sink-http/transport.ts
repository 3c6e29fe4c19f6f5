import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";

export interface Reply {
  readonly status: number;
  readonly body: string;
}

/** Carries one request and its answer. */
export interface Transport {
  /** Rejects when there was no answer; then nobody knows whether the request arrived. */
  post(url: string, body: string, signal: AbortSignal): Promise<Reply>;
  /** Ends idle connections. */
  close(): void;
}

/** Longer answers are none of a collector. */
const MAX_REPLY_BYTES = 1024 * 1024;

/** With what an agent shows collectors who it is, and knows them. PEM texts; null: none, or what the machine trusts. */
export interface CollectorCredentials {
  readonly token: string | null;
  readonly ca: string | null;
  readonly client: { readonly cert: string; readonly key: string } | null;
}

const NO_CREDENTIALS: CollectorCredentials = { token: null, ca: null, client: null };
const KEPT = { keepAlive: true, maxSockets: 2 } as const;

/** HTTP/1.1 on connections that are kept. */
export class HttpTransport implements Transport {
  private readonly credentials: () => CollectorCredentials;
  private readonly http = new HttpAgent(KEPT);
  private https: HttpsAgent | null = null;
  private madeFor: CollectorCredentials | null = null;

  /** @param credentials asked for each request; new ones are another object. */
  constructor(credentials: () => CollectorCredentials = () => NO_CREDENTIALS) {
    this.credentials = credentials;
  }

  post(url: string, body: string, signal: AbortSignal): Promise<Reply> {
    const bytes = Buffer.from(body);
    const secure = url.startsWith("https:");
    const credentials = this.credentials();
    return new Promise((resolve, reject) => {
      const options = {
        method: "POST",
        agent: secure ? this.secureAgent(credentials) : this.http,
        signal,
        headers: {
          "content-type": "application/json",
          "content-length": bytes.length,
          accept: "application/json, */*",
          ...(credentials.token === null ? {} : { "x-auth-token": credentials.token }),
        },
      };
      const req = (secure ? httpsRequest : httpRequest)(url, options, (res) => {
        readReply(res).then(resolve, reject);
      });
      req.on("error", reject);
      req.end(bytes);
    });
  }

  close(): void {
    this.http.destroy();
    this.https?.destroy();
  }

  private secureAgent(credentials: CollectorCredentials): HttpsAgent {
    if (this.https !== null && this.madeFor === credentials) return this.https;
    this.https?.destroy();
    const { ca, client } = credentials;
    this.madeFor = credentials;
    this.https = new HttpsAgent({ ...KEPT, ...(ca === null ? {} : { ca }), ...client });
    return this.https;
  }
}

async function readReply(res: IncomingMessage): Promise<Reply> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of res as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_REPLY_BYTES) throw new Error(`the answer is longer than ${MAX_REPLY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return { status: res.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") };
}
