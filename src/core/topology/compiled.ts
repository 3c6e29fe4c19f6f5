import type {
  BridgeId,
  ChainId,
  HostId,
  PortId,
  RouteId,
  RouterId,
  RuleId,
  TenantId,
  TraceRequestId,
} from "#core/base";
import { bindingTag, deviceTag, floodTag, type FlowTag, routeTag, routingTag } from "#core/flows";
import type { CompiledCondition } from "./compiled-condition.ts";
import { IndexPlace } from "./index-place.ts";
import type { TraceIndex } from "./trace-index.ts";

/**
 * The devices as the packet path sees them: immutable but for `traces` (armed and disarmed without touching the
 * device), classes with every field always present, tags made once. Built by compile.ts.
 */
export class PortDevice {
  readonly kind = "port";
  readonly id: PortId;
  readonly name: string;
  /** "device/port", for what people read. */
  readonly label: string;
  readonly tenantId: TenantId;
  readonly ownerKind: "bridge" | "router";
  readonly deviceId: BridgeId | RouterId;
  readonly adminUp: boolean;
  readonly inFilter: ChainId | null;
  readonly outFilter: ChainId | null;
  readonly tunnelKey: number;
  readonly hostId: HostId | null;
  readonly interfaceName: string | null;
  readonly peerId: PortId | null;
  /** An agent has the port's interface up (exterior ports only). */
  readonly active: boolean;
  readonly groups: ReadonlySet<string>;
  /** Bridge ports: 0 or 1..4094. */
  readonly vlanId: number;
  /** Router ports: MAC, address (u32, 0 = none) and prefix length. */
  readonly mac: number;
  readonly address: number;
  readonly prefixLength: number;
  readonly tag: FlowTag;
  readonly bindingTag: FlowTag;
  traces: TraceIndex | null = null;

  constructor(p: Omit<PortDevice, "kind" | "tag" | "bindingTag" | "traces" | "exterior" | "interior">) {
    this.id = p.id;
    this.name = p.name;
    this.label = p.label;
    this.tenantId = p.tenantId;
    this.ownerKind = p.ownerKind;
    this.deviceId = p.deviceId;
    this.adminUp = p.adminUp;
    this.inFilter = p.inFilter;
    this.outFilter = p.outFilter;
    this.tunnelKey = p.tunnelKey;
    this.hostId = p.hostId;
    this.interfaceName = p.interfaceName;
    this.peerId = p.peerId;
    this.active = p.active;
    this.groups = p.groups;
    this.vlanId = p.vlanId;
    this.mac = p.mac;
    this.address = p.address;
    this.prefixLength = p.prefixLength;
    this.tag = deviceTag(p.id);
    this.bindingTag = bindingTag(p.id);
  }

  /** Bound to an interface of a host. */
  get exterior(): boolean {
    return this.hostId !== null && this.interfaceName !== null;
  }

  /** Linked to another virtual port. */
  get interior(): boolean {
    return this.peerId !== null;
  }
}

/** A port of a bridge that is linked to a router's port. */
export interface LinkedRouterPort {
  /** The bridge's own port. */
  readonly portId: PortId;
  readonly routerPortId: PortId;
  readonly mac: number;
  /** u32, 0 = none. */
  readonly address: number;
}

export class BridgeDevice {
  readonly kind = "bridge";
  readonly id: BridgeId;
  readonly name: string;
  readonly tenantId: TenantId;
  readonly adminUp: boolean;
  readonly inFilter: ChainId | null;
  readonly outFilter: ChainId | null;
  /** Bound ports, in a stable order: the flood set, before admin state and activity are looked at. */
  readonly exteriorPorts: readonly PortId[];
  readonly linkedRouterPorts: readonly LinkedRouterPort[];
  /** MAC of a linked router port → the bridge's port that leads to it. */
  readonly linkedMacs: ReadonlyMap<number, PortId>;
  /** VLAN-aware bridge: VLAN id → the interior port that carries it. Empty on ordinary bridges. */
  readonly vlanPorts: ReadonlyMap<number, PortId>;
  /** The interior ports that lead to other bridges and carry no VLAN here (uplinks to a VLAN-aware bridge among them). */
  readonly bridgeUplinks: readonly PortId[];
  readonly tag: FlowTag;
  readonly floodTag: FlowTag;
  traces: TraceIndex | null = null;

  constructor(b: Omit<BridgeDevice, "kind" | "tag" | "floodTag" | "traces" | "linkedMacs">) {
    this.id = b.id;
    this.name = b.name;
    this.tenantId = b.tenantId;
    this.adminUp = b.adminUp;
    this.inFilter = b.inFilter;
    this.outFilter = b.outFilter;
    this.exteriorPorts = b.exteriorPorts;
    this.linkedRouterPorts = b.linkedRouterPorts;
    this.linkedMacs = new Map(b.linkedRouterPorts.map((p) => [p.mac, p.portId]));
    this.vlanPorts = b.vlanPorts;
    this.bridgeUplinks = b.bridgeUplinks;
    this.tag = deviceTag(b.id);
    this.floodTag = floodTag(b.id);
  }
}

export class CompiledRoute {
  readonly id: RouteId;
  readonly type: "Normal" | "BlackHole" | "Reject" | "Local";
  readonly src: number;
  readonly srcBits: number;
  readonly dst: number;
  readonly dstBits: number;
  readonly port: PortId | null;
  /** u32, 0 = the destination itself is the next hop. */
  readonly gateway: number;
  readonly weight: number;
  readonly tag: FlowTag;

  constructor(r: Omit<CompiledRoute, "tag">) {
    this.id = r.id;
    this.type = r.type;
    this.src = r.src;
    this.srcBits = r.srcBits;
    this.dst = r.dst;
    this.dstBits = r.dstBits;
    this.port = r.port;
    this.gateway = r.gateway;
    this.weight = r.weight;
    this.tag = routeTag(r.id);
  }
}

/** Longest-prefix lookup, as compiled by route-table.ts. */
export interface RouteLookup {
  /** The best routes (equal weight) for the packet; sets how many leading bits of each address the answer depends on. */
  lookup(src: number, dst: number): readonly CompiledRoute[];
  /** Valid after a lookup: 0..32. */
  readonly srcBitsUsed: number;
  readonly dstBitsUsed: number;
  readonly size: number;
}

export class RouterDevice {
  readonly kind = "router";
  readonly id: RouterId;
  readonly name: string;
  readonly tenantId: TenantId;
  readonly adminUp: boolean;
  readonly inFilter: ChainId | null;
  readonly outFilter: ChainId | null;
  readonly routes: RouteLookup;
  readonly routeList: readonly CompiledRoute[];
  readonly tag: FlowTag;
  readonly routingTag: FlowTag;
  traces: TraceIndex | null = null;

  constructor(r: Omit<RouterDevice, "kind" | "tag" | "routingTag" | "traces">) {
    this.id = r.id;
    this.name = r.name;
    this.tenantId = r.tenantId;
    this.adminUp = r.adminUp;
    this.inFilter = r.inFilter;
    this.outFilter = r.outFilter;
    this.routes = r.routes;
    this.routeList = r.routeList;
    this.tag = deviceTag(r.id);
    this.routingTag = routingTag(r.id);
  }
}

export type VirtualDevice = PortDevice | BridgeDevice | RouterDevice;

/** What a matching rule does. Trace rules are not here: they are in the devices' trace indexes. */
export type RuleAction = "accept" | "drop" | "reject" | "return" | "jump" | "nat" | "l2-transform";

export class CompiledRule {
  readonly id: RuleId;
  /** 1-based position among the ordinary rules of its chain. */
  readonly position: number;
  readonly condition: CompiledCondition;
  readonly action: RuleAction;
  readonly jumpTo: ChainId | null;
  /** The stored type ("snat", "rev_dnat", …), for what people read. */
  readonly type: string;
  /** `user:<name>` when the rule has a meter. */
  readonly meterTag: FlowTag | null;

  constructor(r: Omit<CompiledRule, never>) {
    this.id = r.id;
    this.position = r.position;
    this.condition = r.condition;
    this.action = r.action;
    this.jumpTo = r.jumpTo;
    this.type = r.type;
    this.meterTag = r.meterTag;
  }
}

export class CompiledChain {
  readonly id: ChainId;
  readonly name: string;
  readonly tenantId: TenantId;
  /** Without trace rules. */
  readonly rules: readonly CompiledRule[];
  readonly tag: FlowTag;

  constructor(id: ChainId, name: string, tenantId: TenantId, rules: readonly CompiledRule[]) {
    this.id = id;
    this.name = name;
    this.tenantId = tenantId;
    this.rules = rules;
    this.tag = deviceTag(id);
  }
}

/**
 * An enabled trace request, armed on one device. Unlike a rule's, its condition takes `nwProto` as IP's protocol only, unless
 * it names the ethertype: a router sees ARP too, and asking for pings must not spend the limit on ARP.
 */
export class ArmedTrace {
  readonly requestId: TraceRequestId;
  /** Identifies the enabling: the limit is counted per rule id. */
  readonly ruleId: RuleId;
  readonly chainId: ChainId;
  readonly deviceId: string;
  readonly limit: bigint;
  readonly condition: CompiledCondition;
  readonly place: IndexPlace;

  constructor(t: Omit<ArmedTrace, "place">) {
    this.requestId = t.requestId;
    this.ruleId = t.ruleId;
    this.chainId = t.chainId;
    this.deviceId = t.deviceId;
    this.limit = t.limit;
    this.condition = t.condition;
    this.place = new IndexPlace(t.condition);
  }
}

/**
 * What the simulation reads. `undefined`: not loaded yet (the packet waits); `null`: there is no such object. Between
 * two simulations it may change; within one it does not.
 */
export interface TopologyView {
  port(id: PortId): PortDevice | null | undefined;
  bridge(id: BridgeId): BridgeDevice | null | undefined;
  router(id: RouterId): RouterDevice | null | undefined;
  chain(id: ChainId): CompiledChain | null | undefined;
  /** Addresses of a group, u32. */
  ipAddrGroup(id: string): ReadonlySet<number> | null | undefined;
}
