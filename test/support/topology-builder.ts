import type { BridgeId, ChainId, HostId, IpAddrGroupId, PortGroupId, PortId, RouteId, RouterId } from "#core/base";
import type { RuleId, TenantId, TraceRequestId, TunnelZoneId } from "#core/base";
import {
  type BridgeRecord,
  type ChainRecord,
  type Condition,
  type DeviceType,
  LIMIT_MAX,
  type PortRecord,
  type RouteRecord,
  type RouterRecord,
  type RuleRecord,
  type TopologyRecords,
  TopologySnapshot,
  type TraceRequestRecord,
  traceChainName,
} from "#core/topology";
import {
  type DeviceOptions,
  type PortOptions,
  type RouteInput,
  type RuleInput,
  ruleRecord,
} from "./topology-builder-types.ts";

export type { DeviceOptions, PortOptions, RouteInput, RuleInput } from "./topology-builder-types.ts";

const KIND = { bridge: "b", router: "e", port: "a", chain: "c", rule: "d", route: "9" } as const;
const OTHER = { host: "1", zone: "2", portGroup: "3", addrGroup: "4", trace: "f" } as const;
const LETTER = { ...KIND, ...OTHER };

/**
 * Builds topologies for tests by name. Ids are made from the kind and the order of first mention, so the same program
 * gives the same ids: bridges start with b, routers e, ports a, chains c, rules d, routes 9, hosts 1, traces f. Ports are
 * named "device/port". Every host is in one VXLAN zone; the n-th host's tunnel address is 172.16.0.n.
 */
export class TopologyBuilder {
  private readonly ids = new Map<string, string>();
  private readonly counters = new Map<string, number>();
  private readonly bridges = new Map<string, BridgeRecord>();
  private readonly routers = new Map<string, RouterRecord>();
  private readonly ports = new Map<string, PortRecord>();
  private readonly chains = new Map<string, ChainRecord>();
  private readonly rules = new Map<RuleId, RuleRecord>();
  private readonly order = new Map<ChainId, RuleId[]>();
  private readonly routes: RouteRecord[] = [];
  private readonly hosts = new Map<string, string>();
  private readonly groups = new Map<string, { tenant: string; ports: string[] }>();
  private readonly addressGroups = new Map<string, readonly string[]>();
  private readonly traces = new Map<string, TraceRequestRecord>();
  private readonly active = new Map<PortId, HostId>();

  private id(kind: keyof typeof LETTER, name: string): string {
    const key = `${kind} ${name}`;
    const known = this.ids.get(key);
    if (known !== undefined) return known;
    const n = (this.counters.get(kind) ?? 0) + 1;
    this.counters.set(kind, n);
    const id = `${LETTER[kind]}0000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;
    this.ids.set(key, id);
    return id;
  }

  readonly bridgeId = (name: string): BridgeId => this.id("bridge", name) as BridgeId;
  readonly routerId = (name: string): RouterId => this.id("router", name) as RouterId;
  readonly portId = (name: string): PortId => this.id("port", name) as PortId;
  readonly chainId = (name: string): ChainId => this.id("chain", name) as ChainId;
  readonly hostId = (name: string): HostId => this.id("host", name) as HostId;
  readonly portGroupId = (name: string): PortGroupId => this.id("portGroup", name) as PortGroupId;
  readonly ipAddrGroupId = (name: string): IpAddrGroupId => this.id("addrGroup", name) as IpAddrGroupId;
  readonly traceId = (name: string): TraceRequestId => this.id("trace", name) as TraceRequestId;
  /** The rule that was the n-th (from 0) when `chain` was called. */
  readonly ruleId = (chain: string, n: number): RuleId => this.id("rule", `${chain}[${n}]`) as RuleId;
  /** The n-th route (from 0) of a router in the order they were made; a port's Local route counts. */
  readonly routeId = (router: string, n: number): RouteId => this.id("route", `${router}[${n}]`) as RouteId;

  host(name: string, tunnelIp?: string): this {
    if (!this.hosts.has(name) || tunnelIp !== undefined)
      this.hosts.set(name, tunnelIp ?? `172.16.0.${this.hosts.size + 1}`);
    this.hostId(name);
    return this;
  }

  bridge(name: string, o: DeviceOptions = {}): this {
    this.bridges.set(name, { id: this.bridgeId(name), name, ...this.device(o) });
    return this;
  }

  router(name: string, o: DeviceOptions = {}): this {
    this.routers.set(name, { id: this.routerId(name), name, ...this.device(o) });
    return this;
  }

  /** A bridge port, "bridge/port". */
  port(name: string, o: PortOptions = {}): this {
    const deviceId = this.bridgeId(deviceOf(name));
    this.ports.set(name, { ...this.common(name, o), type: "Bridge", deviceId, vlanId: o.vlan ?? 0 });
    return this;
  }

  /** @param address "10.0.1.1/24" or null. With an address it gets the automatic Local route of weight 0. */
  routerPort(name: string, address: string | null, o: PortOptions = {}): this {
    const router = deviceOf(name);
    const [ip, length] = (address ?? "").split("/");
    const common = this.common(name, o);
    this.ports.set(name, {
      ...common,
      type: "Router",
      deviceId: this.routerId(router),
      portMac: o.mac ?? `ac:ca:ba:00:00:${common.tunnelKey.toString(16).padStart(2, "0")}`,
      portAddress: address === null ? null : (ip ?? null),
      networkLength: address === null ? 0 : Number(length),
    });
    if (address !== null) this.route(router, { type: "Local", dst: `${ip}/32`, port: name, weight: 0 });
    return this;
  }

  /** Links two ports; a bridge's port that is new is made. */
  link(a: string, b: string): this {
    for (const name of [a, b]) if (!this.ports.has(name) && this.bridges.has(deviceOf(name))) this.port(name);
    this.patchPort(a, { peerId: this.portId(b) });
    return this.patchPort(b, { peerId: this.portId(a) });
  }

  /** Defines or redefines a chain's ordinary rules (trace rules stay in front). */
  chain(name: string, rules: readonly RuleInput[], tenant = ""): this {
    const chainId = this.chainId(name);
    this.chains.set(name, { id: chainId, name, tenantId: tenant as TenantId });
    const traceRules = (this.order.get(chainId) ?? []).filter((id) => this.rules.get(id)?.type === "trace");
    const ids = rules.map((rule, n) => {
      const id = this.ruleId(name, n);
      this.rules.set(id, ruleRecord(id, chainId, rule, this.chainId));
      return id;
    });
    this.order.set(chainId, [...traceRules, ...ids]);
    return this;
  }

  route(router: string, r: RouteInput): this {
    const routerId = this.routerId(router);
    const [srcNetworkAddr = "", srcLength] = (r.src ?? "0.0.0.0/0").split("/");
    const [dstNetworkAddr = "", dstLength] = (r.dst ?? "0.0.0.0/0").split("/");
    const port = r.port === undefined || r.port.includes("/") ? r.port : `${router}/${r.port}`;
    this.routes.push({
      id: this.routeId(router, this.routes.filter((x) => x.routerId === routerId).length),
      routerId,
      type: r.type ?? "Normal",
      srcNetworkAddr,
      srcNetworkLength: Number(srcLength ?? 32),
      dstNetworkAddr,
      dstNetworkLength: Number(dstLength ?? 32),
      nextHopPort: port === undefined ? null : this.portId(port),
      nextHopGateway: r.gateway ?? null,
      weight: r.weight ?? 100,
    });
    return this;
  }

  portGroup(name: string, ports: readonly string[], tenant = ""): this {
    this.portGroupId(name);
    this.groups.set(name, { tenant, ports: [...ports] });
    return this;
  }

  ipAddrGroup(name: string, addresses: readonly string[]): this {
    this.ipAddrGroupId(name);
    this.addressGroups.set(name, addresses);
    return this;
  }

  /**
   * A trace request, enabled unless told otherwise: its rule is put first in the device's infilter, or into a new chain
   * `TRACE_REQUEST_CHAIN_<id>` where the device has none.
   *
   * @param device name of a bridge, a router or a port.
   */
  trace(name: string, device: string, condition: Condition = {}, o: { limit?: bigint; enabled?: boolean } = {}): this {
    const id = this.traceId(name);
    const target = this.bridges.get(device) ?? this.routers.get(device) ?? this.ports.get(device);
    if (target === undefined) throw new Error(`no device ${device}`);
    const deviceType: DeviceType = this.bridges.has(device) ? "BRIDGE" : this.routers.has(device) ? "ROUTER" : "PORT";
    const limit = o.limit ?? LIMIT_MAX;
    let enabledRule: RuleId | null = null;
    let enabledChain: ChainId | null = null;
    if (o.enabled !== false) {
      if (target.inboundFilterId === null) {
        this.chain(traceChainName(id), []);
        this.patch(device, { inboundFilterId: this.chainId(traceChainName(id)) });
      }
      enabledChain = target.inboundFilterId ?? this.chainId(traceChainName(id));
      enabledRule = this.id("rule", `trace ${name}`) as RuleId;
      const common = { id: enabledRule, chainId: enabledChain, condition, meterName: null };
      this.rules.set(enabledRule, { ...common, type: "trace", requestId: id, deviceId: target.id, limit });
      this.order.set(enabledChain, [enabledRule, ...(this.order.get(enabledChain) ?? [])]);
    }
    const common = { id, name, deviceType, deviceId: target.id, condition, limit };
    this.traces.set(name, { ...common, creationTimestampMs: 0, enabledRule, enabledChain });
    return this;
  }

  /** Changes fields of a bridge's or router's record, or of a port's. */
  patch(
    name: string,
    fields: { adminStateUp?: boolean; inboundFilterId?: ChainId | null; outboundFilterId?: ChainId | null },
  ): this {
    const bridge = this.bridges.get(name);
    const router = this.routers.get(name);
    if (bridge !== undefined) this.bridges.set(name, { ...bridge, ...fields });
    else if (router !== undefined) this.routers.set(name, { ...router, ...fields });
    else this.patchPort(name, fields);
    return this;
  }

  patchPort(name: string, fields: Partial<Omit<PortRecord, "type" | "deviceId">>): this {
    const port = this.ports.get(name);
    if (port === undefined) throw new Error(`no port ${name}`);
    this.ports.set(name, { ...port, ...fields });
    return this;
  }

  /** The port's interface comes up (on the host it is bound to) or goes down. */
  setActive(name: string, up: boolean): this {
    const port = this.ports.get(name);
    if (up && port?.hostId) this.active.set(port.id, port.hostId);
    else this.active.delete(this.portId(name));
    return this;
  }

  records(): TopologyRecords {
    const zone = this.id("zone", "tz") as TunnelZoneId;
    return {
      bridges: [...this.bridges.values()],
      routers: [...this.routers.values()],
      ports: [...this.ports.values()],
      chains: [...this.chains.values()],
      rules: [...this.rules.values()],
      ruleOrder: new Map(this.order),
      routes: [...this.routes],
      hosts: [...this.hosts.keys()].map((name) => ({ id: this.hostId(name), name })),
      tunnelZones: [{ id: zone, name: "tz", type: "vxlan" }],
      tunnelZoneMembers: [...this.hosts].map(([name, ipAddress]) => ({
        tunnelZoneId: zone,
        hostId: this.hostId(name),
        ipAddress,
      })),
      portGroups: [...this.groups].map(([name, g]) => ({
        id: this.portGroupId(name),
        tenantId: g.tenant as TenantId,
        name,
        stateful: false,
      })),
      portGroupMembers: new Map(
        [...this.groups].map(([name, g]) => [this.portGroupId(name), g.ports.map(this.portId)]),
      ),
      ipAddrGroups: [...this.addressGroups.keys()].map((name) => ({ id: this.ipAddrGroupId(name), name })),
      ipAddrGroupAddrs: new Map([...this.addressGroups].map(([name, a]) => [this.ipAddrGroupId(name), a])),
      traces: [...this.traces.values()],
      activePorts: new Map(this.active),
    };
  }

  snapshot(): TopologySnapshot {
    return TopologySnapshot.compile(this.records());
  }

  private device(o: DeviceOptions) {
    return { tenantId: (o.tenant ?? "") as TenantId, ...this.filters(o) };
  }

  private filters(o: DeviceOptions | PortOptions) {
    return {
      adminStateUp: o.up ?? true,
      inboundFilterId: o.inFilter === undefined ? null : this.chainId(o.inFilter),
      outboundFilterId: o.outFilter === undefined ? null : this.chainId(o.outFilter),
    };
  }

  private common(name: string, o: PortOptions) {
    const id = this.portId(name);
    if (o.host !== undefined) {
      this.host(o.host);
      if (o.active !== false) this.active.set(id, this.hostId(o.host));
    }
    return {
      id,
      name: name.slice(name.indexOf("/") + 1),
      ...this.filters(o),
      tunnelKey: this.ports.get(name)?.tunnelKey ?? this.ports.size + 1,
      hostId: o.host === undefined ? null : this.hostId(o.host),
      interfaceName: o.host === undefined ? null : (o.ifName ?? name.replace("/", "-")),
      peerId: null,
    };
  }
}

function deviceOf(port: string): string {
  const slash = port.indexOf("/");
  if (slash < 0) throw new Error(`"${port}" is not "device/port"`);
  return port.slice(0, slash);
}
