import { type LabelValues, metricSource, type MetricSource, type MetricTable } from "#core/base";
import type { Exporter, ExporterCounters } from "./exporter.ts";

const TARGET = { target: "the target of `--export`, without secrets" };

export const EXPORTER_METRICS = {
  midotrace_export_records_total: {
    kind: "counter",
    help: "Records for a target: the sum of those delivered, lost and waiting.",
    labels: TARGET,
  },
  midotrace_export_delivered_total: { kind: "counter", help: "Records that the target has.", labels: TARGET },
  midotrace_export_lost_total: {
    kind: "counter",
    help: "Records that the target will never have.",
    labels: { ...TARGET, cause: "why" },
  },
  midotrace_export_waiting: { kind: "gauge", help: "Records that wait for the target.", labels: TARGET },
  midotrace_export_lag_seconds: { kind: "gauge", help: "For how long the oldest of them waits.", labels: TARGET },
  midotrace_export_retries_total: {
    kind: "counter",
    help: "Attempts that failed and were made again.",
    labels: TARGET,
  },
  midotrace_export_failing: { kind: "gauge", help: "Whether the last attempt failed.", labels: TARGET },
} as const satisfies MetricTable;

export function exporterMetrics(exporters: () => readonly Exporter[]): MetricSource {
  const each = (value: (c: ExporterCounters) => number) => (): [LabelValues, number][] =>
    exporters().map((e) => [{ target: e.name }, value(e.counters())]);
  return metricSource(EXPORTER_METRICS, {
    midotrace_export_records_total: each((c) => c.offered),
    midotrace_export_delivered_total: each((c) => c.delivered),
    midotrace_export_lost_total: () =>
      exporters().flatMap((e) =>
        Object.entries(e.counters().lost).map(([cause, n]): [LabelValues, number] => [{ target: e.name, cause }, n]),
      ),
    midotrace_export_waiting: each((c) => c.waiting),
    midotrace_export_lag_seconds: each((c) => c.lagMs / 1_000),
    midotrace_export_retries_total: each((c) => c.retries),
    midotrace_export_failing: each((c) => (c.failing ? 1 : 0)),
  });
}
