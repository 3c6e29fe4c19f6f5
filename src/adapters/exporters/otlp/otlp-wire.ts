import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-proto";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import type { Clock } from "#core/base";
import { type ExportRecord, flowSpans, lossLog, lossSpan, stepLog } from "#core/exporting";
import { ALL_TAKEN, type ExportWire, type Outcome } from "../courier/wire.ts";
import { secretOf, type Target, wrong } from "../target.ts";
import { tlsOptions } from "../tls.ts";
import { listenForPartialSuccess, takePartialSuccess } from "./partial-success.ts";
import { Readables } from "./readable.ts";

/** For one request and what the exporters try again by themselves, ms. */
const TIMEOUT_MS = 5_000;
const [BAD_REQUEST, TOO_LARGE, UNPROCESSABLE, WRONG_TYPE] = [400, 413, 422, 415];

/** What the official exporters call back with. */
interface Result {
  readonly code: number;
  readonly error?: Error & { readonly code?: number };
}
const SUCCESS = 0;

type Send = (records: readonly ExportRecord[], done: (result: Result) => void) => void;

/** OTLP over HTTP with protobuf, by the official exporters: logs of steps, traces of flows. */
export class OtlpWire implements ExportWire {
  readonly parallel = 2;
  private readonly export: Send;
  private readonly shutdown: () => Promise<void>;

  /** @throws MidotraceError USAGE */
  constructor(
    target: Target,
    unit: "steps" | "flows",
    parts: { readonly clock: Clock; readonly env: Readonly<Record<string, string | undefined>> },
  ) {
    const host = target.host.includes(":") ? `[${target.host}]` : target.host;
    const base = `${target.tls ? "https" : "http"}://${host}:${target.port}/${target.path === "" ? "" : `${target.path}/`}`;
    const config = {
      headers: { ...basic(target), ...headersOf(secretOf(target, "headers-env", parts.env)) },
      timeoutMillis: TIMEOUT_MS,
      httpAgentOptions: { keepAlive: true, ...tlsOptions(target) },
    };
    listenForPartialSuccess();
    const readables = new Readables();
    if (unit === "steps") {
      const exporter = new OTLPLogExporter({ ...config, url: `${base}v1/logs` });
      this.export = (records, done) =>
        exporter.export(
          records.flatMap(logsOf).map((l) => readables.log(l, parts.clock.nowMs())),
          done,
        );
      this.shutdown = () => exporter.shutdown();
    } else {
      const exporter = new OTLPTraceExporter({ ...config, url: `${base}v1/traces` });
      this.export = (records, done) =>
        exporter.export(
          records.flatMap(spansOf).map((s) => readables.span(s)),
          done,
        );
      this.shutdown = () => exporter.shutdown();
    }
  }

  async open(): Promise<void> {
    // Nothing is prepared.
  }

  send(records: readonly ExportRecord[], signal: AbortSignal): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      // What is under way is not called back any more; it ends by its own time limit.
      const aborted = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
      signal.addEventListener("abort", aborted, { once: true });
      takePartialSuccess();
      this.export(records, (result) => {
        signal.removeEventListener("abort", aborted);
        try {
          resolve(outcomeOf(result, records.length));
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }

  async close(): Promise<void> {
    // It waits for what is under way, which nobody else does.
    this.shutdown().catch(() => undefined);
  }
}

function outcomeOf({ code, error }: Result, count: number): Outcome {
  const { rejected, why } = takePartialSuccess();
  if (code === SUCCESS) {
    if (rejected === 0) return ALL_TAKEN;
    // It says how many it rejected, and not which: as many records count as refused.
    const refused = Array.from({ length: Math.min(count, rejected) }, (_, i) => count - 1 - i);
    return { kind: "taken", retry: [], refused, why };
  }
  const status = error?.code;
  if (status === TOO_LARGE) return { kind: "too-large" };
  if (status === BAD_REQUEST || status === UNPROCESSABLE || status === WRONG_TYPE)
    return { kind: "refused", why: `HTTP ${status} ${error?.message ?? ""}` };
  throw new Error(status === undefined ? (error?.message ?? "it failed") : `HTTP ${status} ${error?.message ?? ""}`);
}

const logsOf = (r: ExportRecord) => (r.type === "step" ? [stepLog(r)] : r.type === "loss" ? [lossLog(r)] : []);
const spansOf = (r: ExportRecord) => (r.type === "flow" ? flowSpans(r) : r.type === "loss" ? [lossSpan(r)] : []);

function basic({ user, password }: Target): Readonly<Record<string, string>> {
  return user === "" ? {} : { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
}

function headersOf(text: string | null): Readonly<Record<string, string>> {
  if (text === null) return {};
  return Object.fromEntries(
    text.split(",").map((pair) => {
      const [name = "", ...value] = pair.split("=");
      if (!/^[A-Za-z0-9-]+$/.test(name.trim()) || value.length === 0) throw wrong("headers-env: name=value,name=value");
      return [name.trim().toLowerCase(), value.join("=").trim()];
    }),
  );
}
