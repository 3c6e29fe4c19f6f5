/**
 * The REST API: the contract of #core/api-contract served by Fastify.
 *
 *     api-server.ts  life of the server     http.ts, request.ts, http-error.ts  HTTP     handlers/  one function per route
 *     store-life.ts, trace-watch.ts, read-only.ts  what ties it to the store     collector.ts  what agents deliver
 *     listener.ts  an address
 *     access.ts, ownership.ts, caller.ts, watch-access.ts  who may
 *     event-stream.ts, streams.ts  server-sent events     simulate.ts  packets that nobody sent     main.ts  composition
 *     web-site.ts  the web UI's files, or home.ts
 */
export { ApiServer, type ApiServerOptions, type Started } from "./api-server.ts";
export { EventStream, type EventStreamOptions, HEARTBEAT_MS } from "./event-stream.ts";
export { agentGate, type AgentTokens, parseAgentTokens } from "./agent-gate.ts";
export { ACCESS_CHECK_MS } from "./watch-access.ts";
export type { ApiLog, StreamSink } from "./call.ts";
export { isLoopback, type ListenAddress, parseListen, requireLoopback } from "./listen.ts";
export { apiCommand, composeApi } from "./main.ts";
export { API_METRIC_TABLES } from "./metric-tables.ts";
export { AgentReports } from "./agent-reports.ts";
export { advertisedUrl } from "./advertise.ts";
export type { SiteFile, WebSite } from "./web-site.ts";
export { API_OPTIONS, type ApiOptionValues } from "./options.ts";
export { FlowExports } from "./flow-exports.ts";
