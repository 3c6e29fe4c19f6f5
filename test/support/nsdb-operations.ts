/** Random operations on a whole topology: what properties of the store are tested with. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import type {
  ChainId,
  BridgeId,
  HostId,
  PortGroupId,
  PortId,
  RouteId,
  RouterId,
  RuleId,
  TraceRequestId,
} from "#core/base";
import { MidotraceError } from "#core/base";
import type { Nsdb } from "#core/nsdb";
import type { DeviceType, TopologyRecords } from "#core/topology";
import { TENANT, TENANT_2 } from "../unit/nsdb/rig.ts";

/** One operation: a number for what, three for whom. Whom it names is found in the topology of that moment. */
export interface Step {
  readonly what: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  /** Which of the two servers; `together` runs it at the same time as the step before. */
  readonly server: 0 | 1;
  readonly together: boolean;
}

export const step: fc.Arbitrary<Step> = fc.record({
  what: fc.nat(1000),
  a: fc.nat(1000),
  b: fc.nat(1000),
  c: fc.nat(1000),
  server: fc.constantFrom(0 as const, 1 as const),
  together: fc.boolean(),
});

const NOWHERE = "00000000-0000-4000-8000-000000000000";
const pick = <I extends string>(from: readonly { readonly id: I }[], n: number): I =>
  from[n % (from.length + 1)]?.id ?? (NOWHERE as I);
/** Mostly something. */
const pickOrNull = <I extends string>(from: readonly { readonly id: I }[], n: number): I | null =>
  from[n % (from.length + 1)]?.id ?? null;

export type Operation = (n: Nsdb, t: TopologyRecords, s: Step) => Promise<unknown>;

const device = (t: TopologyRecords, n: number): { deviceType: DeviceType; deviceId: string } => {
  const all = [
    ...t.bridges.map((d) => ({ deviceType: "BRIDGE" as const, deviceId: d.id as string })),
    ...t.routers.map((d) => ({ deviceType: "ROUTER" as const, deviceId: d.id as string })),
    ...t.ports.map((d) => ({ deviceType: "PORT" as const, deviceId: d.id as string })),
  ];
  return all[n % Math.max(1, all.length)] ?? { deviceType: "BRIDGE", deviceId: NOWHERE };
};

export const traceWork: readonly Operation[] = [
  (n, t, s) => n.traces.create({ name: "t", ...device(t, s.a), condition: {}, enabled: s.b % 2 === 0 }),
  (n, t, s) => n.traces.create({ name: "t", ...device(t, s.a), condition: {}, enabled: true }),
  (n, t, s) => n.traces.enable(pick<TraceRequestId>(t.traces, s.a)),
  (n, t, s) => n.traces.enable(pick<TraceRequestId>(t.traces, s.a)),
  (n, t, s) => n.traces.disable(pick<TraceRequestId>(t.traces, s.a)),
  (n, t, s) => n.traces.delete(pick<TraceRequestId>(t.traces, s.a)),
  (n, t, s) => n.traces.update(pick<TraceRequestId>(t.traces, s.a), { ...device(t, s.b), limit: BigInt(s.c) }),
  (n, t, s) =>
    n.bridges.update(pick<BridgeId>(t.bridges, s.a), { inboundFilterId: pickOrNull<ChainId>(t.chains, s.b) }),
  (n, t, s) =>
    n.routers.update(pick<RouterId>(t.routers, s.a), { inboundFilterId: pickOrNull<ChainId>(t.chains, s.b) }),
  (n, t, s) => n.ports.update(pick<PortId>(t.ports, s.a), { inboundFilterId: pickOrNull<ChainId>(t.chains, s.b) }),
  (n, t, s) =>
    n.bridges.update(pick<BridgeId>(t.bridges, s.a), { outboundFilterId: pickOrNull<ChainId>(t.chains, s.b) }),
  (n, t, s) =>
    n.rules.create(pick<ChainId>(t.chains, s.a), { type: "accept", condition: {}, meterName: null }, 1 + (s.b % 3)),
  (n, t, s) =>
    n.rules.create(pick<ChainId>(t.chains, s.a), {
      type: "jump",
      jumpChainId: pick<ChainId>(t.chains, s.b),
      condition: {},
      meterName: null,
    }),
  (n, t, s) => n.rules.delete(pick<RuleId>(t.rules, s.a)),
  (n, t, s) => n.chains.delete(pick<ChainId>(t.chains, s.a)),
];

export const restWork: readonly Operation[] = [
  (n, t, s) => n.bridges.create({ tenantId: TENANT, inboundFilterId: pickOrNull<ChainId>(t.chains, s.a) }),
  (n, t, s) => n.routers.create({ tenantId: TENANT, inboundFilterId: pickOrNull<ChainId>(t.chains, s.a) }),
  (n) => n.chains.create({ tenantId: TENANT, name: "c" }),
  (n, t, s) => n.ports.createOnBridge(pick<BridgeId>(t.bridges, s.a), {}),
  (n, t, s) =>
    n.ports.createOnRouter(pick<RouterId>(t.routers, s.a), {
      portAddress: s.b % 2 ? "10.0.0.1" : null,
      networkLength: 24,
    }),
  (n, t, s) => n.ports.update(pick<PortId>(t.ports, s.a), { portAddress: s.b % 2 ? "10.0.0.2" : null, name: "p" }),
  (n, t, s) => n.ports.delete(pick<PortId>(t.ports, s.a)),
  (n, t, s) => n.ports.link(pick<PortId>(t.ports, s.a), pick<PortId>(t.ports, s.b)),
  (n, t, s) => n.ports.unlink(pick<PortId>(t.ports, s.a)),
  (n, t, s) =>
    n.ports.bind({
      portId: pick<PortId>(t.ports, s.a),
      hostId: pick<HostId>(t.hosts, s.b),
      interfaceName: `e${s.c % 2}`,
    }),
  (n, t, s) => n.ports.unbind(pick<PortId>(t.ports, s.a)),
  (n, t, s) =>
    n.routes.create(pick<RouterId>(t.routers, s.a), {
      type: "Normal",
      srcNetworkAddr: "0.0.0.0",
      srcNetworkLength: 0,
      dstNetworkAddr: "10.1.0.0",
      dstNetworkLength: 16,
      nextHopPort: pick<PortId>(t.ports, s.b),
      nextHopGateway: null,
      weight: 1,
    }),
  (n, t, s) => n.routes.delete(pick<RouteId>(t.routes, s.a)),
  (n) => n.hosts.create({ name: "h" }),
  (n, t, s) => n.hosts.delete(pick<HostId>(t.hosts, s.a)),
  (n, _t, s) => n.tunnelZones.create({ name: `z${s.a % 2}`, type: "vxlan" }),
  (n, t, s) =>
    n.tunnelZones.addMember({
      tunnelZoneId: pick(t.tunnelZones, s.a),
      hostId: pick<HostId>(t.hosts, s.b),
      ipAddress: "192.0.2.1",
    }),
  (n, t, s) => n.tunnelZones.delete(pick(t.tunnelZones, s.a)),
  (n, t, s) => n.bridges.update(pick<BridgeId>(t.bridges, s.a), { tenantId: s.b % 2 ? TENANT : TENANT_2 }),
  (n, t, s) => n.routers.update(pick<RouterId>(t.routers, s.a), { tenantId: s.b % 2 ? TENANT : TENANT_2 }),
  (n, t, s) =>
    n.bridgeTables.setMac(pick<BridgeId>(t.bridges, s.a), {
      mac: `02:00:00:00:00:0${s.c % 3}`,
      portId: pick<PortId>(t.ports, s.b),
      vlan: 0,
    }),
  (n) => n.portGroups.create({ name: "g" }),
  (n, t, s) => n.portGroups.addPort(pick<PortGroupId>(t.portGroups, s.a), pick<PortId>(t.ports, s.b)),
  (n, t, s) => n.portGroups.delete(pick<PortGroupId>(t.portGroups, s.a)),
  (n, t, s) => (s.b % 4 ? Promise.resolve() : n.bridges.delete(pick<BridgeId>(t.bridges, s.a))),
  (n, t, s) => (s.b % 4 ? Promise.resolve() : n.routers.delete(pick<RouterId>(t.routers, s.a))),
];

const EXPECTED = new Set(["NOT_FOUND", "CONFLICT", "ALREADY_EXISTS", "VALIDATION", "FORBIDDEN"]);

/** Runs the work; a refusal that a user may meet is fine, anything else is not. */
export async function allowed(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof MidotraceError && EXPECTED.has(error.code))) throw error;
    assert.doesNotMatch(error.message, /gave up/);
  }
}
