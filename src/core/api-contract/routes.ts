import type { Route } from "./route.ts";
import { agentRoutes } from "./routes-agents.ts";
import { deviceRoutes } from "./routes-devices.ts";
import { filterRoutes } from "./routes-filters.ts";
import { groupRoutes } from "./routes-groups.ts";
import { hostRoutes } from "./routes-hosts.ts";
import { packetRoutes } from "./routes-packets.ts";
import { segmentRoutes } from "./routes-segments.ts";
import { sessionRoutes } from "./routes-session.ts";
import { systemRoutes } from "./routes-system.ts";
import { tableRoutes } from "./routes-tables.ts";
import { traceDeviceRoutes } from "./routes-trace-devices.ts";
import { traceRoutes } from "./routes-traces.ts";

/** Every route of the API, by operation id: what the server serves, the client calls and the documents print. */
export const ROUTES = {
  ...sessionRoutes,
  ...systemRoutes,
  ...traceRoutes,
  ...traceDeviceRoutes,
  ...packetRoutes,
  ...deviceRoutes,
  ...tableRoutes,
  ...filterRoutes,
  ...hostRoutes,
  ...groupRoutes,
  ...segmentRoutes,
  ...agentRoutes,
} as const;

export type OperationId = keyof typeof ROUTES;
export type RouteOf<Id extends OperationId> = (typeof ROUTES)[Id];

/** All routes with their ids, for loops. */
export function allRoutes(): [OperationId, Route][] {
  return Object.entries(ROUTES) as unknown as [OperationId, Route][];
}

export type SessionOperation = keyof typeof sessionRoutes;
export type SystemOperation = keyof typeof systemRoutes;
export type TraceOperation = keyof typeof traceRoutes;
export type TraceDeviceOperation = keyof typeof traceDeviceRoutes;
export type PacketOperation = keyof typeof packetRoutes;
export type DeviceOperation = keyof typeof deviceRoutes;
export type TableOperation = keyof typeof tableRoutes;
export type FilterOperation = keyof typeof filterRoutes;
export type HostOperation = keyof typeof hostRoutes;
export type GroupOperation = keyof typeof groupRoutes;
export type AgentOperation = keyof typeof agentRoutes;
export type SegmentOperation = keyof typeof segmentRoutes;
