export * from "./base64.ts";
export * from "./cursor.ts";
export * from "./errors.ts";
export * from "./ids.ts";
export * from "./metrics.ts";
export { type MetricSection, metricReference } from "./metric-reference.ts";
export * from "./nearest.ts";
export * from "./text.ts";
export * from "./time.ts";
