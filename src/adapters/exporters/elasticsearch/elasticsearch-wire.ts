import type { ExportRecord } from "#core/exporting";
import type { ExportWire, Outcome } from "../courier/wire.ts";
import { HttpClient, type HttpReply, statusError } from "../http-client.ts";
import { secretOf, type Target, wrong } from "../target.ts";
import { bulkBody, bulkOutcome, indexTemplate } from "./bulk.ts";

const NDJSON = { "content-type": "application/x-ndjson" };
const JSON_TYPE = { "content-type": "application/json" };
const [BAD_REQUEST, TOO_LARGE] = [400, 413];
/** Names of data streams: no capitals, and none of \ / * ? " < > | , # : or blanks; not beginning with - _ + or a dot. */
const STREAM_NAME = /^(?![-_+.])[^A-Z\\/*?"<>|,#:\s]{1,255}$/;

/** The bulk API of Elasticsearch 7.9 or later, and of OpenSearch. */
export class ElasticsearchWire implements ExportWire {
  readonly parallel = 2;
  private readonly http: HttpClient;
  private readonly stream: string;

  /** @throws MidotraceError USAGE */
  constructor(target: Target, unit: "steps" | "flows", env: Readonly<Record<string, string | undefined>>) {
    this.stream = target.path === "" ? `midotrace-${unit}` : target.path;
    if (!STREAM_NAME.test(this.stream))
      throw wrong(`${JSON.stringify(this.stream)} cannot be the name of a data stream`);
    const key = secretOf(target, "api-key-env", env);
    const password = secretOf(target, "password-env", env) ?? target.password;
    if (key !== null && target.user !== "") throw wrong("an API key or a user, not both");
    const basic = target.user === "" ? null : Buffer.from(`${target.user}:${password}`).toString("base64");
    const authorization = key !== null ? `ApiKey ${key}` : basic === null ? null : `Basic ${basic}`;
    this.http = new HttpClient(target, authorization === null ? {} : { authorization });
  }

  async open(signal: AbortSignal): Promise<void> {
    const path = `/_index_template/${encodeURIComponent(this.stream)}`;
    const reply = await this.http.send("PUT", path, JSON_TYPE, JSON.stringify(indexTemplate(this.stream)), signal);
    if (reply.status !== 200) throw statusError(reply);
  }

  async send(records: readonly ExportRecord[], signal: AbortSignal): Promise<Outcome> {
    const reply = await this.http.send("POST", "/_bulk", NDJSON, bulkBody(this.stream, records), signal);
    return this.outcome(reply, records.length);
  }

  async close(): Promise<void> {
    this.http.close();
  }

  private outcome(reply: HttpReply, count: number): Outcome {
    if (reply.status === TOO_LARGE) return { kind: "too-large" };
    if (reply.status === BAD_REQUEST) return { kind: "refused", why: statusError(reply).message };
    const outcome = reply.status === 200 ? bulkOutcome(reply.body, count) : null;
    if (outcome === null) throw statusError(reply);
    return outcome;
  }
}
