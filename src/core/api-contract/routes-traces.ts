import * as z from "zod";
import {
  flowPageAnswer,
  flowQuery,
  keptFlowAnswer,
  pathPageAnswer,
  pathQuery,
  simulationAnswer,
  simulationBody,
  traceSummariesAnswer,
} from "./dto-results.ts";
import { traceAnswer, traceBody } from "./dto-traces.ts";
import { pageShape, read } from "./fields.ts";
import { EVENT_STREAM_MEDIA, JSON_MEDIA } from "./media.ts";
import { createRoute, deleteRoute, getRoute, listRoute, updateRoute } from "./resource-routes.ts";
import { ownRead, ownWrite, route } from "./route.ts";

const TRACE = { media: "TraceRequest", noun: "trace request", schema: traceAnswer } as const;
const traceFilter = z.object({
  ...pageShape,
  tenant_id: read.text(undefined),
  device_id: read.uuid(undefined),
  enabled: read.bool(undefined),
});

export const traceRoutes = {
  listTraces: listRoute("/midonet-api/traces", TRACE, ownWrite("each-listed"), traceFilter),
  createTrace: createRoute("/midonet-api/traces", TRACE, traceBody, ownWrite("trace-device-of-body"), [
    "BAD_EXPRESSION",
    "LIMIT_EXCEEDED",
  ]),
  getTrace: getRoute("/midonet-api/traces/{id}", TRACE, ownRead("trace")),
  updateTrace: updateRoute("/midonet-api/traces/{id}", TRACE, traceBody, ownWrite("trace"), [
    "BAD_EXPRESSION",
    "LIMIT_EXCEEDED",
  ]),
  deleteTrace: deleteRoute("/midonet-api/traces/{id}", TRACE, ownWrite("trace"), ["CONFLICT"]),
  listFlows: route({
    method: "GET",
    path: "/midonet-api/traces/{id}/flows",
    tag: "flow trace",
    summary: "The flows that the request traced, newest first, in pages",
    roles: ownRead("trace"),
    query: flowQuery,
    answer: { kind: "body", media: [JSON_MEDIA], schema: flowPageAnswer },
    errors: ["VALIDATION", "NOT_FOUND", "NOT_ACCEPTABLE"],
  }),
  getFlow: route({
    method: "GET",
    path: "/midonet-api/traces/{id}/flows/{flowTraceId}",
    tag: "flow trace",
    summary: "One flow, hop by hop",
    roles: ownRead("trace"),
    answer: { kind: "body", media: [JSON_MEDIA], schema: keptFlowAnswer },
    errors: ["NOT_FOUND", "NOT_ACCEPTABLE"],
  }),
  pinFlow: route({
    method: "PUT",
    path: "/midonet-api/traces/{id}/flows/{flowTraceId}/pin",
    evenReadOnly: true,
    tag: "flow trace",
    summary: "Keep a flow whatever becomes of older ones",
    roles: ownWrite("trace"),
    answer: { kind: "empty", status: 204 },
    errors: ["NOT_FOUND", "CONFLICT"],
  }),
  unpinFlow: route({
    method: "DELETE",
    path: "/midonet-api/traces/{id}/flows/{flowTraceId}/pin",
    evenReadOnly: true,
    tag: "flow trace",
    summary: "Let a flow go when it is among the oldest",
    roles: ownWrite("trace"),
    answer: { kind: "empty", status: 204 },
    errors: ["NOT_FOUND"],
  }),
  listPaths: route({
    method: "GET",
    path: "/midonet-api/traces/{id}/paths",
    tag: "flow trace",
    summary: "The paths that the flows took: same devices, same decisions, same end; with counts",
    roles: ownRead("trace"),
    query: pathQuery,
    answer: { kind: "body", media: [JSON_MEDIA], schema: pathPageAnswer },
    errors: ["VALIDATION", "NOT_FOUND", "NOT_ACCEPTABLE"],
  }),
  traceSummaries: route({
    method: "GET",
    path: "/midonet-api/trace_summaries",
    tag: "flow trace",
    summary: "How many flows each trace request has traced, and how they ended",
    roles: ownRead("each-listed"),
    query: z.object({ tenant_id: read.text(undefined) }),
    answer: { kind: "body", media: [JSON_MEDIA], schema: traceSummariesAnswer },
    errors: ["VALIDATION", "NOT_ACCEPTABLE"],
  }),
  traceEvents: route({
    method: "GET",
    path: "/midonet-api/traces/{id}/events",
    tag: "flow trace",
    summary: "Flows as they come: server-sent events, resumable by Last-Event-ID",
    roles: ownRead("trace"),
    answer: { kind: "events", media: [EVENT_STREAM_MEDIA] },
    errors: ["VALIDATION", "NOT_FOUND", "NOT_ACCEPTABLE", "LIMIT_EXCEEDED"],
  }),
  simulate: route({
    method: "POST",
    path: "/midonet-api/simulations",
    tag: "flow trace",
    summary: "What would become of a packet that entered by this port, with the same steps as a trace",
    roles: ownRead("port-of-body"),
    evenReadOnly: true,
    body: { media: [JSON_MEDIA], schema: simulationBody },
    answer: { kind: "body", media: [JSON_MEDIA], schema: simulationAnswer },
    errors: [
      "VALIDATION",
      "MALFORMED_JSON",
      "BAD_EXPRESSION",
      "NOT_FOUND",
      "NOT_ACCEPTABLE",
      "TOO_LARGE",
      "UNSUPPORTED_MEDIA_TYPE",
    ],
  }),
} as const;
