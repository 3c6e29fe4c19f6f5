import { labelled, metricSource, type MetricSource, type MetricTable } from "#core/base";
import type { HttpTraceSinkCounters } from "./sink.ts";

export const TRACE_SINK_METRICS = {
  midotrace_agent_collectors: { kind: "gauge", help: "API servers that trace segments are delivered to." },
  midotrace_agent_collectors_failing: { kind: "gauge", help: "Of them, those whose last delivery failed." },
  midotrace_agent_deliveries_total: { kind: "counter", help: "Deliveries that a collector took." },
  midotrace_agent_segments_delivered_total: {
    kind: "counter",
    help: "Trace segments that a collector took, counted for each collector.",
  },
  midotrace_agent_segments_refused_total: {
    kind: "counter",
    help: "Trace segments that a collector refused as wrong; they are lost for it.",
  },
  midotrace_agent_delivery_retries_total: { kind: "counter", help: "Deliveries that failed and were tried again." },
  midotrace_agent_segments_overflowed_total: {
    kind: "counter",
    help: "Trace segments thrown away because a collector was away or behind for too long; it is told.",
  },
  midotrace_agent_segments_waiting: {
    kind: "gauge",
    help: "Trace segments that wait for a collector, counted for each; or for the first collector at all.",
  },
  midotrace_agent_delivery_losses_total: {
    kind: "counter",
    help: "Trace segments that no collector will ever get, lost on their way, by cause.",
    labels: { cause: "a cause of completeness.md" },
  },
} as const satisfies MetricTable;

/** @param counters null: no sink yet. */
export function traceSinkMetrics(counters: () => HttpTraceSinkCounters | null): MetricSource {
  const of = (name: Exclude<keyof HttpTraceSinkCounters, "lostBy">) => (): number | null => counters()?.[name] ?? null;
  return metricSource(TRACE_SINK_METRICS, {
    midotrace_agent_collectors: of("collectors"),
    midotrace_agent_collectors_failing: of("failing"),
    midotrace_agent_deliveries_total: of("deliveries"),
    midotrace_agent_segments_delivered_total: of("delivered"),
    midotrace_agent_segments_refused_total: of("refused"),
    midotrace_agent_delivery_retries_total: of("retries"),
    midotrace_agent_segments_overflowed_total: of("overflowed"),
    midotrace_agent_segments_waiting: of("waiting"),
    midotrace_agent_delivery_losses_total: () => labelled("cause", counters()?.lostBy ?? {}),
  });
}
