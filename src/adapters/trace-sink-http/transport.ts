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

/** HTTP/1.1 on connections that are kept. */
export class HttpTransport implements Transport {
  private readonly http = new HttpAgent({ keepAlive: true, maxSockets: 2 });
  private readonly https = new HttpsAgent({ keepAlive: true, maxSockets: 2 });

  post(url: string, body: string, signal: AbortSignal): Promise<Reply> {
    const bytes = Buffer.from(body);
    const secure = url.startsWith("https:");
    return new Promise((resolve, reject) => {
      const options = {
        method: "POST",
        agent: secure ? this.https : this.http,
        signal,
        headers: {
          "content-type": "application/json",
          "content-length": bytes.length,
          accept: "application/json, */*",
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
    this.https.destroy();
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
