import type { TraceDeviceDto, TraceDeviceOperation } from "#core/api-contract";
import { type Deps, type Handlers, json } from "../call.ts";

/** What a trace can be asked for: names only, as cheap as they can be had. */
export function traceDeviceHandlers({ nsdb }: Deps): Handlers<TraceDeviceOperation> {
  return {
    // `tenant_id` of whoever is not the administrator is their own, whatever they say.
    listTraceDevices: async ({ query }) => {
      const tenantId = query.tenant_id;
      const [bridges, routers, ports] = await Promise.all([
        nsdb.bridges.list({ tenantId }),
        nsdb.routers.list({ tenantId }),
        nsdb.ports.list(),
      ]);
      const devices = new Map([...bridges, ...routers].map((d) => [d.id as string, d]));
      const dto = (deviceType: TraceDeviceDto["deviceType"], id: string, name: string, tenant: string) => ({
        deviceType,
        deviceId: id,
        name: name === "" ? id : name,
        tenantId: tenant,
      });
      return json([
        ...bridges.map((b) => dto("BRIDGE", b.id, b.name, b.tenantId)),
        ...routers.map((r) => dto("ROUTER", r.id, r.name, r.tenantId)),
        ...ports.flatMap((p) => {
          const of = devices.get(p.deviceId);
          if (of === undefined) return [];
          const name = of.name === "" || p.name === "" ? "" : `${of.name}/${p.name}`;
          return [dto("PORT", p.id, name, of.tenantId)];
        }),
      ]);
    },
  };
}
