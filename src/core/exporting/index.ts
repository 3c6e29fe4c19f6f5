export * from "./captured-packets.ts";
export * from "./ecs.ts";
export * from "./ecs-fields.ts";
export * from "./exporter.ts";
export * from "./hash.ts";
export * from "./iso-time.ts";
export * from "./records.ts";
export * from "./spans.ts";
export { EXPORTER_METRICS, exporterMetrics } from "./metrics.ts";
