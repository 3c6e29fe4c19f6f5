import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import protobuf from "protobufjs";
import { HttpReceiver, type Mood, nothingYet, type Receiver, reply, slowly } from "./receiver.ts";

const root = protobuf.loadSync(join(import.meta.dirname, "../../fixtures/otlp/otlp.proto"));
const SIGNALS = {
  "/v1/traces": {
    request: root.lookupType("ExportTraceServiceRequest"),
    response: root.lookupType("ExportTraceServiceResponse"),
  },
  "/v1/logs": {
    request: root.lookupType("ExportLogsServiceRequest"),
    response: root.lookupType("ExportLogsServiceResponse"),
  },
} as const;

interface Value {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly intValue?: string;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values: readonly Value[] };
}
interface KeyValue {
  readonly key: string;
  readonly value: Value;
}

/** A span as it came, its attributes as an object. */
export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Null: the root. */
  readonly parentSpanId: string | null;
  readonly name: string;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
  readonly error: string | null;
  readonly events: readonly { readonly name: string; readonly attributes: Readonly<Record<string, unknown>> }[];
}

export interface ReceivedLog {
  readonly traceId: string | null;
  readonly body: string;
  readonly severity: number;
  readonly eventName: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}

/** OTLP over HTTP, decoded by the official message definitions; what they do not know is a fault. */
export class OtlpReceiver implements Receiver {
  readonly got = nothingYet();
  readonly moods: readonly Mood[] = ["well", "half", "refusing", "slow"];
  mood: Mood = "well";
  /** Of the next request, so many items are rejected in a partial success. */
  reject = 0;
  readonly spans: ReceivedSpan[] = [];
  readonly logs: ReceivedLog[] = [];
  private readonly http = new HttpReceiver((q, body, a) => void this.answer(q, body, a));

  start = (): Promise<void> => this.http.start();
  stop = (): Promise<void> => this.http.stop();
  url = (): string => `otlp://127.0.0.1:${this.http.port}`;

  private async answer(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<void> {
    if (this.mood === "silent") return;
    if (this.mood === "slow") await slowly();
    const signal = SIGNALS[request.url as keyof typeof SIGNALS];
    if (
      signal === undefined ||
      request.method !== "POST" ||
      request.headers["content-type"] !== "application/x-protobuf"
    )
      this.got.faults.push(`${request.method} ${request.url} ${request.headers["content-type"]}`);
    if (signal === undefined) return reply(response, 404, {});
    if (this.mood === "busy") return reply(response, 503, new Uint8Array(0), "application/x-protobuf");
    if (this.mood === "refusing") return reply(response, 400, new Uint8Array(0), "application/x-protobuf");
    const message = signal.request.decode(body);
    this.got.faults.push(...unknownFields(signal.request, body));
    const plain = signal.request.toObject(message, { longs: String, bytes: String, enums: String }) as Record<
      string,
      never
    >;
    const before = this.got.ids.length + this.got.losses.length;
    if (request.url === "/v1/traces") this.takeSpans(plain);
    else this.takeLogs(plain);
    const came = this.got.ids.length + this.got.losses.length - before;
    const rejected = this.mood === "half" ? Math.floor(came / 2) : Math.min(came, this.reject);
    this.reject = 0;
    // It says how many, not which: here it is the last ones.
    if (rejected > 0) this.got.ids.length -= Math.min(rejected, this.got.ids.length);
    const field = request.url === "/v1/traces" ? "rejectedSpans" : "rejectedLogRecords";
    const partialSuccess = rejected === 0 ? {} : { partialSuccess: { [field]: rejected, errorMessage: "half" } };
    reply(
      response,
      200,
      signal.response.encode(signal.response.fromObject(partialSuccess)).finish(),
      "application/x-protobuf",
    );
  }

  private takeSpans(message: { readonly resourceSpans?: readonly Record<string, unknown>[] }): void {
    for (const r of message.resourceSpans ?? []) {
      const resource = attributesOf(
        (r["resource"] as { readonly attributes?: readonly KeyValue[] } | undefined)?.attributes,
      );
      for (const scope of (r["scopeSpans"] ?? []) as readonly { readonly spans: readonly Record<string, unknown>[] }[])
        for (const span of scope.spans) this.takeSpan(span, resource);
    }
    const ids = new Set(this.spans.map((s) => `${s.traceId} ${s.spanId}`));
    for (const s of this.spans)
      if (s.parentSpanId !== null && !ids.has(`${s.traceId} ${s.parentSpanId}`))
        this.got.faults.push(`no parent of ${s.name}`);
  }

  private takeSpan(span: Record<string, unknown>, resource: Readonly<Record<string, unknown>>): void {
    const id = (name: string, length: number): string => {
      const bytes = Buffer.from((span[name] as string | undefined) ?? "", "base64");
      if (bytes.length !== length || bytes.every((b) => b === 0))
        this.got.faults.push(`${name} ${bytes.toString("hex")}`);
      return bytes.toString("hex");
    };
    const attributes = attributesOf(span["attributes"] as readonly KeyValue[] | undefined);
    const status = span["status"] as { readonly code?: string; readonly message?: string } | undefined;
    const received: ReceivedSpan = {
      traceId: id("traceId", 16),
      spanId: id("spanId", 8),
      parentSpanId: span["parentSpanId"] === undefined || span["parentSpanId"] === "" ? null : id("parentSpanId", 8),
      name: String(span["name"]),
      startNs: BigInt(String(span["startTimeUnixNano"])),
      endNs: BigInt(String(span["endTimeUnixNano"])),
      attributes,
      resource,
      error: status?.code === "STATUS_CODE_ERROR" ? (status.message ?? "") : null,
      events: (
        (span["events"] ?? []) as readonly { readonly name: string; readonly attributes?: readonly KeyValue[] }[]
      ).map((e) => ({ name: e.name, attributes: attributesOf(e.attributes) })),
    };
    if (received.name === "" || received.endNs < received.startNs || received.startNs <= 0n)
      this.got.faults.push(`span ${received.name} from ${received.startNs} to ${received.endNs}`);
    if (span["kind"] !== "SPAN_KIND_INTERNAL") this.got.faults.push(`kind ${String(span["kind"])}`);
    this.spans.push(received);
    this.got.texts.push(JSON.stringify({ ...received, startNs: "", endNs: "" }));
    if (received.parentSpanId !== null) return;
    if (received.name === "midotrace.loss") this.lost(attributes);
    else this.got.ids.push(`${received.traceId} ${String(attributes["midotrace.revision"])}`);
  }

  private takeLogs(message: { readonly resourceLogs?: readonly Record<string, unknown>[] }): void {
    for (const r of message.resourceLogs ?? []) {
      const resource = attributesOf(
        (r["resource"] as { readonly attributes?: readonly KeyValue[] } | undefined)?.attributes,
      );
      for (const scope of (r["scopeLogs"] ?? []) as readonly {
        readonly logRecords: readonly Record<string, unknown>[];
      }[])
        for (const log of scope.logRecords) this.takeLog(log, resource);
    }
  }

  private takeLog(log: Record<string, unknown>, resource: Readonly<Record<string, unknown>>): void {
    const attributes = attributesOf(log["attributes"] as readonly KeyValue[] | undefined);
    const trace = Buffer.from((log["traceId"] as string | undefined) ?? "", "base64");
    if (trace.length !== 0 && trace.length !== 16) this.got.faults.push(`traceId ${trace.toString("hex")}`);
    const received: ReceivedLog = {
      traceId: trace.length === 0 ? null : trace.toString("hex"),
      body: String((log["body"] as Value | undefined)?.stringValue),
      severity: Number(log["severityNumber"]),
      eventName: String(log["eventName"]),
      attributes,
      resource,
    };
    if (BigInt(String(log["timeUnixNano"])) <= 0n || received.body === "" || received.severity < 1)
      this.got.faults.push(`log record ${JSON.stringify(log)}`);
    this.logs.push(received);
    this.got.texts.push(JSON.stringify(received));
    if (received.eventName === "midotrace.loss") this.lost(attributes);
    else this.got.ids.push(String(attributes["midotrace.id"]));
  }

  private lost(attributes: Readonly<Record<string, unknown>>): void {
    this.got.losses.push({
      count: Number(attributes["midotrace.lost.count"]),
      cause: String(attributes["midotrace.lost.cause"]),
    });
  }
}

/** Fields of a message, and of those below it, that the definitions do not have. */
function unknownFields(type: protobuf.Type, bytes: Uint8Array): string[] {
  const faults: string[] = [];
  const reader = protobuf.Reader.create(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const field = type.fieldsById[tag >>> 3]?.resolve();
    if (field === undefined) faults.push(`${type.name} has no field ${tag >>> 3}`);
    if (field?.resolvedType instanceof protobuf.Type) faults.push(...unknownFields(field.resolvedType, reader.bytes()));
    else reader.skipType(tag & 7);
  }
  return faults;
}

function attributesOf(list: readonly KeyValue[] | undefined): Readonly<Record<string, unknown>> {
  return Object.fromEntries((list ?? []).map(({ key, value }) => [key, plainOf(value)]));
}

function plainOf(v: Value): unknown {
  if (v.arrayValue !== undefined) return (v.arrayValue.values ?? []).map(plainOf);
  if (v.intValue !== undefined) return Number(v.intValue);
  return v.stringValue ?? v.boolValue ?? v.doubleValue;
}
