import type { TopologyRecords } from "#core/topology";

/** The records of a topology nested as a topology document is: ports below devices, rules below chains, and so on. */
export function topologyJson(t: TopologyRecords): Readonly<Record<string, unknown>> {
  const portsOf = Map.groupBy(t.ports, (p): string => p.deviceId);
  const routesOf = Map.groupBy(t.routes, (r): string => r.routerId);
  const membersOf = Map.groupBy(t.tunnelZoneMembers, (m): string => m.tunnelZoneId);
  const rules = new Map(t.rules.map((r) => [r.id, r]));
  return {
    hosts: t.hosts,
    tunnelZones: t.tunnelZones.map((z) => ({ ...z, hosts: membersOf.get(z.id) ?? [] })),
    ipAddrGroups: t.ipAddrGroups.map((g) => ({ ...g, addresses: t.ipAddrGroupAddrs.get(g.id) ?? [] })),
    portGroups: t.portGroups.map((g) => ({ ...g, ports: t.portGroupMembers.get(g.id) ?? [] })),
    chains: t.chains.map((c) => ({
      ...c,
      rules: (t.ruleOrder.get(c.id) ?? []).flatMap((id) => rules.get(id) ?? []),
    })),
    bridges: t.bridges.map((b) => ({ ...b, ports: portsOf.get(b.id) ?? [] })),
    routers: t.routers.map((r) => ({ ...r, ports: portsOf.get(r.id) ?? [], routes: routesOf.get(r.id) ?? [] })),
    traces: t.traces,
    activePorts: Object.fromEntries(t.activePorts),
  };
}
