import { EXPORTER_METRICS } from "#core/exporting";
import { TRACE_SPOOL_METRICS } from "#adapters/trace-spool-file";
import { TRACE_SINK_METRICS } from "#adapters/trace-sink-http";
import type { MetricTable } from "#core/base";
import { STORE_METRICS } from "#core/nsdb";
import { AGENT_METRICS } from "./metrics.ts";

/** What the daemon's page shows besides its process, for the reference. */
export const AGENT_METRIC_TABLES: readonly MetricTable[] = [
  AGENT_METRICS,
  TRACE_SINK_METRICS,
  TRACE_SPOOL_METRICS,
  STORE_METRICS,
  EXPORTER_METRICS,
];
