import { EXPORTER_METRICS } from "#core/exporting";
import type { MetricTable } from "#core/base";
import { STORE_METRICS } from "#core/nsdb";
import { TRACE_STORE_METRICS } from "#core/tracing";
import { API_METRICS } from "./metrics.ts";

/** What a server's page shows besides its process, for the reference. */
export const API_METRIC_TABLES: readonly MetricTable[] = [
  API_METRICS,
  TRACE_STORE_METRICS,
  STORE_METRICS,
  EXPORTER_METRICS,
];
