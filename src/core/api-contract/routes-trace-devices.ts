import * as z from "zod";
import { JSON_MEDIA } from "./media.ts";
import { ownRead, route } from "./route.ts";
import { tenantFilter } from "./routes-devices.ts";

const traceDevice = z.object({
  deviceType: z.enum(["BRIDGE", "PORT", "ROUTER"]),
  deviceId: z.string(),
  name: z.string().describe("of a port: device/port; the id of what has no name"),
  tenantId: z.string(),
});
export type TraceDeviceDto = z.output<typeof traceDevice>;

/**
 * What a trace can be asked for. Ours: MidoNet lists bridges, routers and ports to administrators only, and a tenant could
 * not choose among their own.
 */
export const traceDeviceRoutes = {
  listTraceDevices: route({
    method: "GET",
    path: "/midonet-api/trace_devices",
    tag: "trace request",
    summary: "The bridges, routers and ports that the viewer may trace, by name",
    roles: ownRead("each-listed"),
    query: tenantFilter,
    answer: { kind: "body", media: [JSON_MEDIA], schema: z.array(traceDevice) },
    errors: ["VALIDATION", "NOT_ACCEPTABLE"],
  }),
} as const;
