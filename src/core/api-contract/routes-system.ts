import * as z from "zod";
import { applyAnswer, healthAnswer, readinessAnswer, topologyAnswer, topologyBody } from "./dto-results.ts";
import {
  applicationAnswer,
  hostVersionAnswer,
  systemStateAnswer,
  systemStateBody,
  tenantAnswer,
  writeVersionAnswer,
  writeVersionBody,
} from "./dto-system.ts";
import { HTML_MEDIA, itemMedia, JSON_MEDIA, TEXT_MEDIA } from "./media.ts";
import { getRoute, listRoute, updateRoute } from "./resource-routes.ts";
import { ADMIN_ONLY, ANONYMOUS, EVERYBODY, ownRead, route } from "./route.ts";

const STATE = { media: "SystemState", noun: "system state", schema: systemStateAnswer } as const;
const WRITE_VERSION = { media: "WriteVersion", noun: "write version", schema: writeVersionAnswer } as const;
const TENANT = { media: "Tenant", noun: "tenant", schema: tenantAnswer } as const;

export const systemRoutes = {
  getApplication: getRoute(
    "/midonet-api",
    { media: "Application", noun: "application", schema: applicationAnswer },
    EVERYBODY,
  ),
  // MidoNet's v5 client asks for it at every start, whoever uses it, and gives up without; 2015.06's did not.
  getSystemState: getRoute("/midonet-api/system_state", STATE, EVERYBODY),
  updateSystemState: {
    ...updateRoute("/midonet-api/system_state", STATE, systemStateBody, ADMIN_ONLY),
    evenReadOnly: true,
  },
  getWriteVersion: getRoute("/midonet-api/write_version", WRITE_VERSION, ADMIN_ONLY),
  updateWriteVersion: {
    ...updateRoute("/midonet-api/write_version", WRITE_VERSION, writeVersionBody, ADMIN_ONLY),
    evenReadOnly: true,
  },
  listHostVersions: route({
    method: "GET",
    path: "/midonet-api/versions",
    tag: "host version",
    summary: "Which version each running host has",
    roles: ADMIN_ONLY,
    // MidoNet's list has the type of an item.
    answer: { kind: "body", media: itemMedia("HostVersion"), schema: z.array(hostVersionAnswer) },
    errors: ["NOT_ACCEPTABLE"],
  }),
  listTenants: listRoute("/midonet-api/tenants", TENANT, ADMIN_ONLY),
  getTenant: getRoute("/midonet-api/tenants/{id}", TENANT, ownRead("tenant")),
  getTopology: route({
    method: "GET",
    path: "/midonet-api/topology",
    tag: "topology",
    summary: "The whole topology: its records, by kind",
    roles: ADMIN_ONLY,
    answer: { kind: "body", media: [JSON_MEDIA], schema: topologyAnswer },
    errors: ["NOT_ACCEPTABLE"],
  }),
  applyTopology: route({
    method: "POST",
    path: "/midonet-api/topology",
    tag: "topology",
    summary: "Apply a topology document in one transaction; says what was created, changed and left",
    roles: ADMIN_ONLY,
    body: { media: [JSON_MEDIA], schema: topologyBody },
    answer: { kind: "body", media: [JSON_MEDIA], schema: applyAnswer },
    errors: [
      "VALIDATION",
      "MALFORMED_JSON",
      "CONFLICT",
      "NOT_ACCEPTABLE",
      "TOO_LARGE",
      "UNSUPPORTED_MEDIA_TYPE",
      "TUNNEL_KEYS_EXHAUSTED",
    ],
  }),
  getOpenApi: route({
    method: "GET",
    path: "/midonet-api/openapi.json",
    tag: "server",
    summary: "This API as an OpenAPI 3.1 document",
    roles: ANONYMOUS,
    answer: { kind: "body", media: [JSON_MEDIA], schema: z.looseObject({}) },
    errors: ["NOT_ACCEPTABLE"],
  }),
  getDocs: route({
    method: "GET",
    path: "/midonet-api/docs",
    tag: "server",
    summary: "This API for people: every operation with its fields, in one page that loads nothing",
    roles: ANONYMOUS,
    answer: { kind: "text", media: [HTML_MEDIA] },
    errors: ["NOT_ACCEPTABLE"],
  }),
  getHome: route({
    method: "GET",
    path: "/",
    tag: "server",
    summary: "What this server is, for a browser",
    roles: ANONYMOUS,
    answer: { kind: "text", media: [HTML_MEDIA] },
    errors: ["NOT_ACCEPTABLE"],
  }),
  getHealth: route({
    method: "GET",
    path: "/healthz",
    tag: "server",
    summary: "The process answers",
    roles: ANONYMOUS,
    answer: { kind: "body", media: [JSON_MEDIA], schema: healthAnswer },
    errors: ["NOT_ACCEPTABLE"],
  }),
  getReadiness: route({
    method: "GET",
    path: "/readyz",
    tag: "server",
    summary: "The server can serve; 503 says what it waits for",
    roles: ANONYMOUS,
    answer: { kind: "body", media: [JSON_MEDIA], schema: readinessAnswer },
    errors: ["NOT_ACCEPTABLE"],
  }),
  getMetrics: route({
    method: "GET",
    path: "/metrics",
    tag: "server",
    summary: "Prometheus text format 0.0.4; at the address of --collect without credentials",
    roles: ADMIN_ONLY,
    answer: { kind: "text", media: [TEXT_MEDIA] },
    errors: ["NOT_ACCEPTABLE"],
  }),
} as const;
