import type { BridgeId, ChainId, HostId, PortGroupId, PortId, RouterId, TenantId, TunnelZoneId } from "#core/base";
import { parseIpv4 } from "#core/packets";
import {
  armedIn,
  compileBridge,
  compileChain,
  compilePort,
  compileRouter,
  isUsableNextHop,
  orderRules,
} from "./compile.ts";
import type {
  ArmedTrace,
  BridgeDevice,
  CompiledChain,
  PortDevice,
  RouterDevice,
  TopologyView,
  VirtualDevice,
} from "./compiled.ts";
import type { BridgeRecord, PortRecord, RouteRecord, RouterRecord, RuleRecord } from "./model.ts";
import type { TopologyRecords } from "./records.ts";
import { TraceIndex } from "./trace-index.ts";

/** A whole topology, compiled at once; everything is loaded, so nothing is ever `undefined`. */
export class TopologySnapshot implements TopologyView {
  private readonly ports = new Map<PortId, PortDevice>();
  private readonly bridges = new Map<BridgeId, BridgeDevice>();
  private readonly routers = new Map<RouterId, RouterDevice>();
  private readonly chains = new Map<ChainId, CompiledChain>();
  private readonly addressGroups = new Map<string, ReadonlySet<number>>();
  private readonly portsByKey = new Map<number, PortDevice>();
  private readonly portsByBinding = new Map<string, PortDevice>();
  /** Per host, its tunnel addresses by zone, in the order of the zones' ids. */
  private readonly tunnelIps = new Map<HostId, Map<TunnelZoneId, number>>();

  private constructor() {}

  /**
   * Never throws on records: references to what does not exist lead nowhere. A port counts as active only while the
   * host it is bound to is the one that has its interface up.
   */
  static compile(records: TopologyRecords): TopologySnapshot {
    const s = new TopologySnapshot();
    s.compileFilters(records);
    const portRecords = new Map<PortId, PortRecord>(records.ports.map((p) => [p.id, p]));
    const owners = new Map<string, BridgeRecord | RouterRecord>(
      [...records.bridges, ...records.routers].map((d) => [d.id, d]),
    );
    const active = (p: PortRecord): boolean => p.hostId !== null && records.activePorts.get(p.id) === p.hostId;
    const groups = groupsByPort(records.portGroupMembers);
    for (const record of records.ports) {
      s.addPort(
        compilePort(record, {
          tenantId: owners.get(record.deviceId)?.tenantId ?? NOBODY,
          deviceName: owners.get(record.deviceId)?.name ?? "",
          active: active(record),
          groups: groups.get(record.id) ?? NO_GROUPS,
        }),
      );
    }
    const portsOf = Map.groupBy(records.ports, (p): string => p.deviceId);
    for (const record of records.bridges)
      s.bridges.set(record.id, compileBridge(record, portsOf.get(record.id) ?? [], portRecords));
    const routesOf = Map.groupBy(records.routes, (r: RouteRecord) => r.routerId);
    for (const record of records.routers) {
      const usable = (id: PortId): boolean => {
        const port = portRecords.get(id);
        return port !== undefined && port.deviceId === record.id && isUsableNextHop(port, active(port));
      };
      s.routers.set(record.id, compileRouter(record, routesOf.get(record.id) ?? [], usable));
    }
    s.compileHosts(records);
    s.armTraces(records);
    return s;
  }

  port(id: PortId): PortDevice | null {
    return this.ports.get(id) ?? null;
  }

  bridge(id: BridgeId): BridgeDevice | null {
    return this.bridges.get(id) ?? null;
  }

  router(id: RouterId): RouterDevice | null {
    return this.routers.get(id) ?? null;
  }

  chain(id: ChainId): CompiledChain | null {
    return this.chains.get(id) ?? null;
  }

  ipAddrGroup(id: string): ReadonlySet<number> | null {
    return this.addressGroups.get(id) ?? null;
  }

  /** The port that owns a tunnel key (without trace bit). */
  portByKey(tunnelKey: number): PortDevice | null {
    return this.portsByKey.get(tunnelKey) ?? null;
  }

  portByBinding(hostId: HostId, interfaceName: string): PortDevice | null {
    return this.portsByBinding.get(bindingKey(hostId, interfaceName)) ?? null;
  }

  /**
   * @param from only an address in a zone that this host is a member of, too.
   * @returns u32, or null when the host is in no (common) VXLAN or GRE zone.
   */
  hostTunnelIp(hostId: HostId, from?: HostId): number | null {
    const zones = this.tunnelIps.get(hostId);
    if (zones === undefined) return null;
    const common = from === undefined ? null : this.tunnelIps.get(from);
    if (common === undefined) return null;
    for (const [zone, ip] of zones) if (common === null || common.has(zone)) return ip;
    return null;
  }

  allPorts(): Iterable<PortDevice> {
    return this.ports.values();
  }

  allBridges(): Iterable<BridgeDevice> {
    return this.bridges.values();
  }

  allRouters(): Iterable<RouterDevice> {
    return this.routers.values();
  }

  allChains(): Iterable<CompiledChain> {
    return this.chains.values();
  }

  private compileFilters(records: TopologyRecords): void {
    const rules = new Map<string, RuleRecord>(records.rules.map((r) => [r.id, r]));
    for (const record of records.chains) {
      const ordered = orderRules(records.ruleOrder.get(record.id) ?? [], rules, record.id);
      this.chains.set(record.id, compileChain(record, ordered));
    }
    for (const group of records.ipAddrGroups)
      this.addressGroups.set(group.id, compileAddresses(records.ipAddrGroupAddrs.get(group.id) ?? []));
  }

  private addPort(port: PortDevice): void {
    this.ports.set(port.id, port);
    if (port.tunnelKey !== 0) this.portsByKey.set(port.tunnelKey, port);
    if (port.hostId !== null && port.interfaceName !== null)
      this.portsByBinding.set(bindingKey(port.hostId, port.interfaceName), port);
  }

  private compileHosts(records: TopologyRecords): void {
    const zones = new Set(records.tunnelZones.filter((z) => z.type !== "vtep").map((z) => z.id));
    for (const member of records.tunnelZoneMembers.toSorted((a, b) => (a.tunnelZoneId < b.tunnelZoneId ? -1 : 1))) {
      const ip = parseIpv4(member.ipAddress);
      if (ip === null || !zones.has(member.tunnelZoneId)) continue;
      let ips = this.tunnelIps.get(member.hostId);
      if (ips === undefined) this.tunnelIps.set(member.hostId, (ips = new Map()));
      ips.set(member.tunnelZoneId, ip);
    }
  }

  private armTraces(records: TopologyRecords): void {
    if (!records.rules.some((r) => r.type === "trace")) return;
    const rules = new Map<string, RuleRecord>(records.rules.map((r) => [r.id, r]));
    const byChain = new Map<ChainId, Map<string, ArmedTrace[]>>();
    for (const id of this.chains.keys())
      byChain.set(id, armedIn(orderRules(records.ruleOrder.get(id) ?? [], rules, id)));
    const arm = (device: VirtualDevice): void => {
      const traces = device.inFilter === null ? undefined : byChain.get(device.inFilter)?.get(device.id);
      if (traces !== undefined) device.traces = new TraceIndex(traces);
    };
    this.ports.forEach(arm);
    this.bridges.forEach(arm);
    this.routers.forEach(arm);
  }
}

/** A topology with nothing in it. */
export function emptyRecords(): TopologyRecords {
  return {
    bridges: [],
    routers: [],
    ports: [],
    chains: [],
    rules: [],
    ruleOrder: new Map(),
    routes: [],
    hosts: [],
    tunnelZones: [],
    tunnelZoneMembers: [],
    portGroups: [],
    portGroupMembers: new Map(),
    ipAddrGroups: [],
    ipAddrGroupAddrs: new Map(),
    traces: [],
    activePorts: new Map(),
  };
}

/** The IPv4 addresses among the texts, as u32; others are left out (the packet path compares IPv4 only). */
export function compileAddresses(texts: readonly string[]): ReadonlySet<number> {
  const set = new Set<number>();
  for (const text of texts) {
    const ip = parseIpv4(text);
    if (ip !== null) set.add(ip);
  }
  return set;
}

/** Port → ids of the groups it is a member of. */
export function groupsByPort(members: ReadonlyMap<PortGroupId, readonly PortId[]>): Map<PortId, Set<string>> {
  const groups = new Map<PortId, Set<string>>();
  for (const [group, ports] of members) {
    for (const port of ports) {
      const set = groups.get(port);
      if (set === undefined) groups.set(port, new Set([group]));
      else set.add(group);
    }
  }
  return groups;
}

const NOBODY = "" as TenantId;
const NO_GROUPS: ReadonlySet<string> = new Set();
const bindingKey = (host: HostId, interfaceName: string): string => `${host} ${interfaceName}`;
