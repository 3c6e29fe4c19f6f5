import { HistogramsBy, labelled, metricSource, type MetricSource, type MetricTable } from "#core/base";
import type { OperationId } from "#core/api-contract";
import type { CollectorCounters } from "./collector.ts";

/** What this server counts, from its start on. */
export const API_METRICS = {
  midotrace_api_ready: {
    kind: "gauge",
    help: "1 when the server can serve, else 0; /readyz says what is missing.",
  },
  midotrace_api_requests_total: {
    kind: "counter",
    help: "Requests answered.",
    labels: { operation: "a section of rest-api.md, or none", status: "HTTP status" },
  },
  midotrace_api_request_seconds: {
    kind: "histogram",
    help: "How long answers took; of event streams, until they were over.",
    labels: { operation: "a section of rest-api.md, or none" },
  },
  midotrace_api_refused_total: {
    kind: "counter",
    help: "Requests answered with 429, by the limit that was reached.",
    labels: { limit: "identity, address or refusals" },
  },
  midotrace_api_event_streams: { kind: "gauge", help: "Event streams that are open." },
  midotrace_api_trace_segments_total: {
    kind: "counter",
    help: "Trace segments that agents delivered, by what became of them.",
    labels: { result: "accepted, duplicate or refused" },
  },
  midotrace_api_trace_steps_total: { kind: "counter", help: "Steps in the trace segments that were accepted." },
  midotrace_api_trace_segments_lost_total: {
    kind: "counter",
    help: "Trace segments that agents said will never come.",
  },
  midotrace_api_trace_segments_lost_by_cause_total: {
    kind: "counter",
    help: "The same by cause, as far as agents said one.",
    labels: { cause: "a cause of completeness.md" },
  },
} as const satisfies MetricTable;

export interface ApiReadings {
  readonly streams: () => number;
  /** By limit. */
  readonly refused: Readonly<Record<string, number>>;
  readonly ready: () => boolean;
  readonly collected: Readonly<CollectorCounters>;
}

/** Counts answers, and shows them with what other parts of the server count. */
export class ApiMetrics {
  private readonly answers = new Map<string, { readonly operation: string; readonly status: number; count: number }>();
  private readonly seconds = new HistogramsBy("operation");

  count(operation: OperationId | null, status: number, tookMs: number): void {
    const named = operation ?? "none";
    this.seconds.observe(named, tookMs / 1_000);
    const key = `${named} ${status}`;
    const known = this.answers.get(key);
    if (known === undefined) this.answers.set(key, { operation: named, status, count: 1 });
    else known.count++;
  }

  source({ streams, refused, ready, collected }: ApiReadings): MetricSource {
    return metricSource(API_METRICS, {
      midotrace_api_ready: () => (ready() ? 1 : 0),
      midotrace_api_requests_total: () =>
        [...this.answers.values()].map(
          ({ operation, status, count }) => [{ operation, status: String(status) }, count] as const,
        ),
      midotrace_api_request_seconds: () => this.seconds.reading(),
      midotrace_api_refused_total: () => Object.entries(refused).map(([limit, count]) => [{ limit }, count] as const),
      midotrace_api_event_streams: streams,
      midotrace_api_trace_segments_total: () => [
        [{ result: "accepted" }, collected.accepted],
        [{ result: "duplicate" }, collected.duplicates],
        [{ result: "refused" }, collected.refused],
      ],
      midotrace_api_trace_steps_total: () => collected.steps,
      midotrace_api_trace_segments_lost_total: () => collected.lost,
      midotrace_api_trace_segments_lost_by_cause_total: () => labelled("cause", collected.lostBy),
    });
  }
}
