/** Every kind of record: what people call it, where it stands, how it is read. */
import type {
  BridgeId,
  ChainId,
  HostId,
  IpAddrGroupId,
  PortGroupId,
  PortId,
  RouteId,
  RouterId,
  RuleId,
  TenantId,
  TraceRequestId,
  TunnelZoneId,
  Violations,
} from "#core/base";
import {
  type BridgePortRecord,
  type BridgeRecord,
  type ChainRecord,
  type HostRecord,
  HOST_WEIGHTS,
  type IpAddrGroupRecord,
  type L2FlowAction,
  type NatFlowAction,
  type NatTarget,
  type PortGroupRecord,
  type PortRecord,
  type RouteRecord,
  type RouterPortRecord,
  type RouterRecord,
  type RuleRecord,
  type RuleType,
  type TraceRequestRecord,
  type TunnelZoneMember,
  type TunnelZoneRecord,
  validateBridge,
  validateChain,
  validateHost,
  validateIpAddrGroup,
  validatePort,
  validatePortGroup,
  validateRoute,
  validateRouter,
  validateRule,
  validateTraceRequest,
  validateTunnelZone,
} from "#core/topology";

import { bool, int, int64, list, nullable, object, oneOf, optional, type Reader, text, union } from "./codec.ts";
import { readCondition } from "./condition-codec.ts";

export interface Kind<T extends { readonly id: string }> {
  /** As error messages name it. */
  readonly name: string;
  /** Its directory: the record with an id stands at `directory/id`. */
  readonly directory: string;
  /** Directories that are made with each object, relative to it. */
  readonly children: readonly string[];
  readonly read: Reader<T>;
  /** Adds what is wrong with a record that somebody asks for. */
  readonly validate: (record: T, violations: Violations) => void;
}

const filters = {
  adminStateUp: bool,
  inboundFilterId: nullable(text<ChainId>()),
  outboundFilterId: nullable(text<ChainId>()),
};

export const BRIDGE: Kind<BridgeRecord> = {
  name: "bridge",
  validate: validateBridge,
  directory: "/bridges",
  children: ["ports", "traces", "mac_ports", "vlans"],
  read: object<BridgeRecord>({ id: text<BridgeId>(), tenantId: text<TenantId>(), name: text(), ...filters }),
};

export const ROUTER: Kind<RouterRecord> = {
  name: "router",
  validate: validateRouter,
  directory: "/routers",
  children: ["ports", "routes", "traces", "arp_table"],
  read: object<RouterRecord>({
    id: text<RouterId>(),
    tenantId: text<TenantId>(),
    name: text(),
    ...filters,
    asNumber: optional(int, 0),
  }),
};

const portCommon = {
  id: text<PortId>(),
  name: optional(text(), ""),
  ...filters,
  tunnelKey: int,
  hostId: nullable(text<HostId>()),
  interfaceName: nullable(text()),
  peerId: nullable(text<PortId>()),
  vifId: nullable(text()),
};

export const PORT: Kind<PortRecord> = {
  name: "port",
  validate: validatePort,
  directory: "/ports",
  children: ["active", "routes", "port_groups", "traces"],
  read: union<PortRecord>("type", {
    Bridge: object<BridgePortRecord>({
      type: oneOf("Bridge"),
      deviceId: text<BridgeId>(),
      ...portCommon,
      vlanId: optional(int, 0),
    }),
    Router: object<RouterPortRecord>({
      type: oneOf("Router"),
      deviceId: text<RouterId>(),
      ...portCommon,
      portMac: text(),
      portAddress: nullable(text()),
      networkLength: int,
    }),
  }),
};

export const CHAIN: Kind<ChainRecord> = {
  name: "chain",
  validate: validateChain,
  directory: "/chains",
  children: ["refs"],
  read: object<ChainRecord>({ id: text<ChainId>(), tenantId: text<TenantId>(), name: text() }),
};

type RuleOf<T extends RuleType> = Extract<RuleRecord, { readonly type: T }>;
const ruleCommon = {
  id: text<RuleId>(),
  chainId: text<ChainId>(),
  condition: readCondition,
  meterName: nullable(text()),
};
const flowAction = oneOf<NatFlowAction>("accept", "continue", "return");
const literal = object<RuleOf<"accept" | "drop" | "reject" | "return">>({
  type: oneOf("accept", "drop", "reject", "return"),
  ...ruleCommon,
});
const natTarget = object<NatTarget>({ addressFrom: text(), addressTo: text(), portFrom: int, portTo: int });
const forwardNat = object<RuleOf<"snat" | "dnat">>({
  type: oneOf("snat", "dnat"),
  ...ruleCommon,
  flowAction,
  natTargets: list(natTarget),
});
const reverseNat = object<RuleOf<"rev_snat" | "rev_dnat">>({
  type: oneOf("rev_snat", "rev_dnat"),
  ...ruleCommon,
  flowAction,
});
const ruleReaders: Readonly<Record<RuleType, Reader<RuleRecord>>> = {
  accept: literal,
  drop: literal,
  reject: literal,
  return: literal,
  jump: object<RuleOf<"jump">>({ type: oneOf("jump"), ...ruleCommon, jumpChainId: text<ChainId>() }),
  snat: forwardNat,
  dnat: forwardNat,
  rev_snat: reverseNat,
  rev_dnat: reverseNat,
  l2_transform: object<RuleOf<"l2_transform">>({
    type: oneOf("l2_transform"),
    ...ruleCommon,
    flowAction: oneOf<L2FlowAction>("accept", "redirect"),
    popVlan: bool,
    pushVlan: int,
    targetPortId: nullable(text<PortId>()),
    ingress: bool,
    failOpen: bool,
  }),
  trace: object<RuleOf<"trace">>({
    type: oneOf("trace"),
    ...ruleCommon,
    requestId: text<TraceRequestId>(),
    deviceId: text(),
    limit: int64,
  }),
};

export type TraceRule = RuleOf<"trace">;

export const RULE: Kind<RuleRecord> = {
  name: "rule",
  validate: validateRule,
  directory: "/rules",
  children: [],
  read: union<RuleRecord>("type", ruleReaders),
};

export const ROUTE: Kind<RouteRecord> = {
  name: "route",
  validate: validateRoute,
  directory: "/routes",
  children: [],
  read: object<RouteRecord>({
    id: text<RouteId>(),
    routerId: text<RouterId>(),
    type: oneOf("Normal", "BlackHole", "Reject", "Local"),
    srcNetworkAddr: text(),
    srcNetworkLength: int,
    dstNetworkAddr: text(),
    dstNetworkLength: int,
    nextHopPort: nullable(text<PortId>()),
    nextHopGateway: nullable(text()),
    weight: int,
    attributes: nullable(text()),
  }),
};

export const HOST: Kind<HostRecord> = {
  name: "host",
  validate: validateHost,
  directory: "/hosts",
  children: ["interfaces", "vrnMappings", "vrnMappings/ports", "tunnel_zones"],
  read: object<HostRecord>({
    id: text<HostId>(),
    name: text(),
    floodingProxyWeight: optional(int, HOST_WEIGHTS.floodingProxyWeight),
    containerWeight: optional(int, HOST_WEIGHTS.containerWeight),
    containerLimit: optional(int, HOST_WEIGHTS.containerLimit),
    enforceContainerLimit: optional(bool, HOST_WEIGHTS.enforceContainerLimit),
  }),
};

export const TUNNEL_ZONE: Kind<TunnelZoneRecord> = {
  name: "tunnel zone",
  validate: validateTunnelZone,
  directory: "/tunnel_zones",
  children: ["memberships"],
  read: object<TunnelZoneRecord>({
    id: text<TunnelZoneId>(),
    name: text(),
    type: oneOf("vxlan", "gre", "vtep"),
  }),
};

export const readMember: Reader<TunnelZoneMember> = object<TunnelZoneMember>({
  tunnelZoneId: text<TunnelZoneId>(),
  hostId: text<HostId>(),
  ipAddress: text(),
});

export const PORT_GROUP: Kind<PortGroupRecord> = {
  name: "port group",
  validate: validatePortGroup,
  directory: "/port_groups",
  children: ["ports"],
  read: object<PortGroupRecord>({
    id: text<PortGroupId>(),
    tenantId: text<TenantId>(),
    name: text(),
    stateful: bool,
  }),
};

export const IP_ADDR_GROUP: Kind<IpAddrGroupRecord> = {
  name: "ip address group",
  validate: validateIpAddrGroup,
  directory: "/ip_addr_groups",
  children: ["addrs"],
  read: object<IpAddrGroupRecord>({ id: text<IpAddrGroupId>(), name: text() }),
};

export const TRACE: Kind<TraceRequestRecord> = {
  name: "trace request",
  validate: validateTraceRequest,
  directory: "/traces",
  children: [],
  read: object<TraceRequestRecord>({
    id: text<TraceRequestId>(),
    name: text(),
    deviceType: oneOf("BRIDGE", "ROUTER", "PORT"),
    deviceId: text(),
    condition: readCondition,
    creationTimestampMs: int,
    limit: int64,
    enabledRule: nullable(text<RuleId>()),
    enabledChain: nullable(text<ChainId>()),
  }),
};

export const readRuleList: Reader<{ readonly ruleList: RuleId[] }> = object<{ readonly ruleList: RuleId[] }>({
  ruleList: list(text<RuleId>()),
});
