import { metricSource, type MetricSource, type MetricTable } from "#core/base";
import type { FileTraceSpool } from "./spool.ts";

export const TRACE_SPOOL_METRICS = {
  midotrace_agent_spool_segments: {
    kind: "gauge",
    help: "Trace segments in the spool on the disk, for collectors that are away.",
  },
  midotrace_agent_spool_bytes: { kind: "gauge", help: "Bytes that they take there." },
  midotrace_agent_spool_unwritten_total: {
    kind: "counter",
    help: "Trace reports that the spool could not keep: they would end with the process.",
  },
} as const satisfies MetricTable;

/** @param spool null: there is none. */
export function traceSpoolMetrics(spool: () => FileTraceSpool | null): MetricSource {
  return metricSource(TRACE_SPOOL_METRICS, {
    midotrace_agent_spool_segments: () => spool()?.segments ?? null,
    midotrace_agent_spool_bytes: () => spool()?.bytes ?? null,
    midotrace_agent_spool_unwritten_total: () => spool()?.unwritten ?? null,
  });
}
