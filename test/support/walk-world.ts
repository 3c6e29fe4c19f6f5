import { randomUUID } from "node:crypto";
import type { TenantId } from "#core/base";
import type { Rig } from "../integration/api-support.ts";
import { ingressSegment } from "./tracing-example.ts";
import { flowId } from "./tracing-samples.ts";

/** One tenant's objects, one of each kind that a route can be about. */
export interface Belongings {
  readonly tenant: string;
  readonly bridge: string;
  readonly router: string;
  readonly port: string;
  readonly chain: string;
  readonly rule: string;
  readonly route: string;
  readonly portGroup: string;
  readonly trace: string;
  /** A flow that the trace request traced. */
  readonly flow: string;
}

/** What belongs to nobody. */
export interface Common {
  readonly host: string;
  readonly zone: string;
  readonly ipGroup: string;
}

let flows = 0x10_0000;

/** New objects of a tenant; every name has the tenant's in it. */
export async function belongingsOf(rig: Rig, tenant: string): Promise<Belongings> {
  const { nsdb } = rig;
  const tenantId = tenant as TenantId;
  const named = (what: string): string => `${what} of ${tenant}`;
  const bridge = await nsdb.bridges.create({ name: named("bridge"), tenantId });
  const port = await nsdb.ports.createOnBridge(bridge.id, { name: named("port") });
  const router = await nsdb.routers.create({ name: named("router"), tenantId });
  const gateway = await nsdb.ports.createOnRouter(router.id, {
    name: named("gateway"),
    portAddress: "10.0.1.1",
    networkLength: 24,
  });
  const route = await nsdb.routes.create(router.id, {
    type: "Normal",
    srcNetworkAddr: "0.0.0.0",
    srcNetworkLength: 0,
    dstNetworkAddr: "10.0.1.0",
    dstNetworkLength: 24,
    nextHopPort: gateway.id,
    nextHopGateway: null,
    weight: 100,
  });
  const chain = await nsdb.chains.create({ name: named("chain"), tenantId });
  const rule = await nsdb.rules.create(chain.id, { type: "drop", condition: {}, meterName: null });
  const portGroup = await nsdb.portGroups.create({ name: named("group"), tenantId });
  await nsdb.portGroups.addPort(portGroup.id, port.id);
  const trace = await nsdb.traces.create({
    name: named("trace"),
    deviceType: "BRIDGE",
    deviceId: bridge.id,
    condition: {},
  });
  const flow = flowId(flows++);
  await rig.traceStore.add([
    ingressSegment({ segmentId: `walk/${flow}`, flowTraceId: flow, requestIds: [trace.id], expects: [] }),
  ]);
  return {
    tenant,
    bridge: bridge.id,
    router: router.id,
    port: port.id,
    chain: chain.id,
    rule: rule.id,
    route: route.id,
    portGroup: portGroup.id,
    trace: trace.id,
    flow,
  };
}

/** Ids of objects that are nowhere; the tenant is one that has nothing. */
export function missingBelongings(): Belongings {
  const [bridge, router, port, chain, rule, route, portGroup, trace, flow] = Array.from({ length: 9 }, () =>
    randomUUID(),
  );
  return { tenant: "tenant-of-nobody", bridge, router, port, chain, rule, route, portGroup, trace, flow } as Belongings;
}

export async function commonObjects({ nsdb }: Rig): Promise<Common> {
  const host = await nsdb.hosts.create({ name: "h" });
  const zone = await nsdb.tunnelZones.create({ name: `zone ${host.id}`, type: "vxlan" });
  const ipGroup = await nsdb.ipAddrGroups.create({ name: "addresses" });
  return { host: host.id, zone: zone.id, ipGroup: ipGroup.id };
}
