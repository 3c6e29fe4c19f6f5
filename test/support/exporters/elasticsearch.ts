import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import {
  HalfHearted,
  HttpReceiver,
  type Mood,
  nothingYet,
  type Receiver,
  reply,
  slowly,
  type TlsFiles,
} from "./receiver.ts";

type Json = Readonly<Record<string, unknown>>;

/**
 * The bulk API of Elasticsearch 8, as its reference documents it: newline-delimited JSON of pairs of action and source, each
 * line ending with a line feed, an item for each action in order; data streams take `create` alone, and need a template
 * with `data_stream`; a document whose field does not fit to its mapping is refused; an id that exists is a conflict.
 */
export class ElasticsearchReceiver implements Receiver {
  readonly got = nothingYet();
  readonly moods: readonly Mood[] = ["well", "busy", "half", "refusing", "silent", "slow"];
  mood: Mood = "well";
  templates = 0;
  readonly documents: Json[] = [];
  private mappings: Json | null = null;
  private pattern = "";
  private readonly ids = new Set<string>();
  private readonly half = new HalfHearted();
  private readonly http: HttpReceiver;
  private readonly tls: boolean;
  private readonly path: string;
  /** "user:password@" */
  private readonly user: string;

  constructor(options: { readonly tls?: TlsFiles; readonly stream?: string; readonly user?: string } = {}) {
    this.tls = options.tls !== undefined;
    this.path = options.stream === undefined ? "" : `/${options.stream}`;
    this.user = options.user ?? "";
    this.http = new HttpReceiver((q, body, a) => void this.answer(q, body, a), options.tls ?? null);
  }

  start = (): Promise<void> => this.http.start();
  stop = (): Promise<void> => this.http.stop();
  url = (): string =>
    `elasticsearch${this.tls ? "s" : ""}://${this.user}${this.tls ? "localhost" : "127.0.0.1"}:${this.http.port}${this.path}`;

  private async answer(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<void> {
    if (this.mood === "silent") return;
    if (this.mood === "slow") await slowly();
    const wanted = this.user === "" ? undefined : `Basic ${Buffer.from(this.user.slice(0, -1)).toString("base64")}`;
    if (request.headers.authorization !== wanted) reply(response, 401, { error: "security_exception", status: 401 });
    else if (this.mood === "busy") reply(response, 429, { error: { type: "circuit_breaking_exception" }, status: 429 });
    else if (request.method === "PUT" && request.url?.startsWith("/_index_template/") === true)
      this.template(JSON.parse(body.toString()) as Json, response);
    else if (request.method === "POST" && request.url === "/_bulk") this.bulk(request, body.toString("utf8"), response);
    else {
      this.got.faults.push(`${request.method} ${request.url}`);
      reply(response, 405, { error: "no handler found", status: 405 });
    }
  }

  private template(template: Json, response: ServerResponse): void {
    this.templates++;
    const { index_patterns: patterns, data_stream: stream, template: inner, priority, ...rest } = template;
    const strange = Object.keys(rest).filter((k) => !["_meta", "version", "composed_of"].includes(k));
    if (!Array.isArray(patterns) || patterns.length !== 1 || typeof stream !== "object" || typeof priority !== "number")
      this.got.faults.push(`template ${JSON.stringify(template).slice(0, 200)}`);
    if (strange.length > 0) this.got.faults.push(`template has ${strange.join()}`);
    this.pattern = String((patterns as unknown[])[0]);
    this.mappings = (inner as { readonly mappings: Json }).mappings;
    reply(response, 200, { acknowledged: true });
  }

  private bulk(request: IncomingMessage, text: string, response: ServerResponse): void {
    const bad = (reason: string): void => {
      this.got.faults.push(reason);
      reply(response, 400, { error: { type: "illegal_argument_exception", reason }, status: 400 });
    };
    if (request.headers["content-type"] !== "application/x-ndjson") return bad("Content-Type");
    if (!text.endsWith("\n")) return bad("The bulk request must be terminated by a newline [\\n]");
    const lines = text.slice(0, -1).split("\n");
    if (lines.length % 2 !== 0) return bad("an action without its source");
    const items: Json[] = [];
    for (let i = 0; i < lines.length; i += 2) {
      const action = JSON.parse(lines[i] as string) as Json;
      const create = action["create"] as { readonly _index?: unknown; readonly _id?: unknown } | undefined;
      if (Object.keys(action).length !== 1 || create === undefined) return bad(`action ${lines[i]}`);
      if (typeof create._id !== "string" || create._id.length > 512) return bad(`id ${String(create._id)}`);
      items.push({ create: this.take(String(create._index), create._id, JSON.parse(lines[i + 1] as string) as Json) });
    }
    reply(response, 200, { took: 1, errors: items.some((x) => "error" in (x["create"] as Json)), items });
  }

  private take(index: string, id: string, source: Json): Json {
    const item = { _index: `.ds-${index}-000001`, _id: id };
    const error = (status: number, type: string, reason: string): Json => ({
      ...item,
      status,
      error: { type, reason },
    });
    if (this.mappings === null || index !== this.pattern) {
      this.got.faults.push(`no template for ${index}`);
      return error(404, "index_not_found_exception", `no such index [${index}]`);
    }
    const wrong = misfit(source, this.mappings);
    if (wrong !== null) this.got.faults.push(wrong);
    if (wrong !== null) return error(400, "document_parsing_exception", wrong);
    const loss = source["midotrace"] as { readonly lost?: { readonly count: number } } | undefined;
    const half = loss?.lost === undefined && this.mood === "half" ? this.half.of(id) : "taken";
    if (this.mood === "refusing" || half === "refused") return error(400, "document_parsing_exception", "refused");
    if (half === "later") return error(429, "es_rejected_execution_exception", "rejected execution");
    if (this.ids.has(id)) return error(409, "version_conflict_engine_exception", "document already exists");
    this.ids.add(id);
    this.documents.push(source);
    this.got.texts.push(JSON.stringify(source));
    if (loss?.lost === undefined) this.got.ids.push(id);
    else this.got.losses.push({ count: loss.lost.count, cause: String((source["event"] as Json)["reason"]) });
    return { ...item, status: 201, result: "created", _version: 1 };
  }
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** The first field that is not in the mappings, or does not fit there; every field that is sent has to be mapped. */
export function misfit(source: Json, mappings: Json, at = ""): string | null {
  const properties = mappings["properties"] as Readonly<Record<string, Json>>;
  if (at === "" && typeof source["@timestamp"] !== "string") return "@timestamp is missing";
  for (const [name, value] of Object.entries(source)) {
    const path = at === "" ? name : `${at}.${name}`;
    const mapping = properties[name];
    if (mapping === undefined) return `${path} is not mapped`;
    if ("properties" in mapping) {
      const below =
        typeof value === "object" && value !== null ? misfit(value as Json, mapping, path) : `${path} is no object`;
      if (below !== null) return below;
      continue;
    }
    for (const one of Array.isArray(value) ? value : [value])
      if (!fits(one, mapping)) return `failed to parse field [${path}] of type [${String(mapping["type"])}]`;
  }
  return null;
}

function fits(value: unknown, mapping: Json): boolean {
  switch (mapping["type"]) {
    case "keyword":
      return typeof value === "string" && value.length > 0;
    case "text":
      return typeof value === "string";
    case "long":
      return Number.isSafeInteger(value);
    case "boolean":
      return typeof value === "boolean";
    case "date":
      return typeof value === "string" && RFC3339.test(value) && !Number.isNaN(Date.parse(value));
    case "ip":
      return typeof value === "string" && isIP(value) !== 0;
    case "object":
      return mapping["enabled"] === false && typeof value === "object" && value !== null;
    default:
      return false;
  }
}
