/**
 * Trace segments on their way from an agent to the API servers, by HTTP.
 *
 *     sink.ts  which collectors, and what waits for the first     directory.ts  who is in the store
 *     delivery.ts  one collector: order, pace, repetition     parcel-queue.ts  what waits, bounded     transport.ts  HTTP
 */
export { HttpTraceSink, type HttpTraceSinkCounters, type HttpTraceSinkOptions } from "./sink.ts";
export { TRACE_SINK_METRICS, traceSinkMetrics } from "./metrics.ts";
export { SINK_LIMITS, type SinkLimits } from "./limits.ts";
export { type CollectorCredentials, HttpTransport, type Reply, type Transport } from "./transport.ts";
