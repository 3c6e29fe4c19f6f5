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
} from "#core/base";
import type { Condition } from "./condition.ts";

/**
 * Records: the objects of the virtual network as they are stored. Addresses are texts, as people and JSON write them;
 * the packet path works on the compiled devices of compiled.ts. Names of fields are MidoNet's REST names.
 */
export interface BridgeRecord {
  readonly id: BridgeId;
  readonly tenantId: TenantId;
  readonly name: string;
  readonly adminStateUp: boolean;
  readonly inboundFilterId: ChainId | null;
  readonly outboundFilterId: ChainId | null;
}

export interface RouterRecord {
  readonly id: RouterId;
  readonly tenantId: TenantId;
  readonly name: string;
  readonly adminStateUp: boolean;
  readonly inboundFilterId: ChainId | null;
  readonly outboundFilterId: ChainId | null;
  /** Kept for clients; no routing protocol runs here. Absent: 0. */
  readonly asNumber?: number | undefined;
}

interface PortCommon {
  readonly id: PortId;
  /** Ours: MidoNet's ports have no name. May be empty. */
  readonly name: string;
  readonly adminStateUp: boolean;
  readonly inboundFilterId: ChainId | null;
  readonly outboundFilterId: ChainId | null;
  /** Allocated with the port, 1..0xfffff, unique in the store. */
  readonly tunnelKey: number;
  /** Both set (exterior: bound to a host's interface) or both null. */
  readonly hostId: HostId | null;
  readonly interfaceName: string | null;
  /** The port this one is linked to (interior); symmetric. Never together with `hostId`. */
  readonly peerId: PortId | null;
  /** The interface of a virtual machine that the port stands for: kept for who asked for it. Absent: null. */
  readonly vifId?: string | null | undefined;
}

export interface BridgePortRecord extends PortCommon {
  readonly type: "Bridge";
  readonly deviceId: BridgeId;
  /** 0 = none, 1..4094: the VLAN of a linked bridge on a VLAN-aware bridge. */
  readonly vlanId: number;
}

export interface RouterPortRecord extends PortCommon {
  readonly type: "Router";
  readonly deviceId: RouterId;
  /** "aa:bb:cc:dd:ee:ff" */
  readonly portMac: string;
  /** Dotted quad of the port itself, null for a port without address. */
  readonly portAddress: string | null;
  /** 0..32 */
  readonly networkLength: number;
}

export type PortRecord = BridgePortRecord | RouterPortRecord;

export interface ChainRecord {
  readonly id: ChainId;
  readonly tenantId: TenantId;
  readonly name: string;
}

export interface NatTarget {
  readonly addressFrom: string;
  readonly addressTo: string;
  readonly portFrom: number;
  readonly portTo: number;
}

interface RuleCommon {
  readonly id: RuleId;
  readonly chainId: ChainId;
  readonly condition: Condition;
  readonly meterName: string | null;
}

export type RuleRecord =
  | (RuleCommon & { readonly type: "accept" | "drop" | "reject" | "return" })
  | (RuleCommon & { readonly type: "jump"; readonly jumpChainId: ChainId })
  | (RuleCommon & {
      readonly type: "snat" | "dnat";
      readonly flowAction: NatFlowAction;
      readonly natTargets: readonly NatTarget[];
    })
  | (RuleCommon & { readonly type: "rev_snat" | "rev_dnat"; readonly flowAction: NatFlowAction })
  | L2TransformRule
  /** Made and removed only by enabling and disabling a trace request; fires only for `deviceId`, whoever shares the chain. */
  | (RuleCommon & {
      readonly type: "trace";
      readonly requestId: TraceRequestId;
      readonly deviceId: string;
      readonly limit: bigint;
    });

/** Changes VLAN tags, or sends the packet elsewhere: for chains of service functions. */
export type L2TransformRule = RuleCommon & {
  readonly type: "l2_transform";
  readonly flowAction: L2FlowAction;
  readonly popVlan: boolean;
  /** 0: none. */
  readonly pushVlan: number;
  readonly targetPortId: PortId | null;
  readonly ingress: boolean;
  readonly failOpen: boolean;
};

export const L2_FLOW_ACTIONS = ["accept", "redirect"] as const;
export type L2FlowAction = (typeof L2_FLOW_ACTIONS)[number];

export const NAT_FLOW_ACTIONS = ["accept", "continue", "return"] as const;
export type NatFlowAction = (typeof NAT_FLOW_ACTIONS)[number];

export type RuleType = RuleRecord["type"];
export const RULE_TYPES = [
  "accept",
  "drop",
  "reject",
  "return",
  "jump",
  "snat",
  "dnat",
  "rev_snat",
  "rev_dnat",
  "l2_transform",
  "trace",
] as const satisfies readonly RuleType[];

export interface RouteRecord {
  readonly id: RouteId;
  readonly routerId: RouterId;
  readonly type: "Normal" | "BlackHole" | "Reject" | "Local";
  /** Prefixes as "a.b.c.d" and a length 0..32. */
  readonly srcNetworkAddr: string;
  readonly srcNetworkLength: number;
  readonly dstNetworkAddr: string;
  readonly dstNetworkLength: number;
  /** A port of the same router; null only for BlackHole and Reject. */
  readonly nextHopPort: PortId | null;
  /** Dotted quad; null: the destination is on the link. */
  readonly nextHopGateway: string | null;
  /** Lower wins; equal weights share the flows (ECMP). */
  readonly weight: number;
  /** Whatever a client wants to remember with the route. Absent: null. */
  readonly attributes?: string | null | undefined;
}

export interface HostRecord extends HostWeights {
  readonly id: HostId;
  readonly name: string;
}

/** Wishes of clients for services that do not run here: kept, and given back. Absent: see `HOST_WEIGHTS`. */
export interface HostWeights {
  /** 0..65535 */
  readonly floodingProxyWeight?: number | undefined;
  readonly containerWeight?: number | undefined;
  /** -1: none. */
  readonly containerLimit?: number | undefined;
  readonly enforceContainerLimit?: boolean | undefined;
}

export const HOST_WEIGHTS = {
  floodingProxyWeight: 1,
  containerWeight: 1,
  containerLimit: -1,
  enforceContainerLimit: false,
} as const;

export interface TunnelZoneRecord {
  readonly id: TunnelZoneId;
  readonly name: string;
  readonly type: "vxlan" | "gre" | "vtep";
}

export interface TunnelZoneMember {
  readonly tunnelZoneId: TunnelZoneId;
  readonly hostId: HostId;
  readonly ipAddress: string;
}

export interface PortGroupRecord {
  readonly id: PortGroupId;
  readonly tenantId: TenantId;
  readonly name: string;
  readonly stateful: boolean;
}

export interface IpAddrGroupRecord {
  readonly id: IpAddrGroupId;
  readonly name: string;
}

export type DeviceType = "BRIDGE" | "ROUTER" | "PORT";

/** Default of `limit`: every flow. */
export const LIMIT_MAX = 9223372036854775807n;

export interface TraceRequestRecord {
  readonly id: TraceRequestId;
  readonly name: string;
  readonly deviceType: DeviceType;
  readonly deviceId: string;
  readonly condition: Condition;
  readonly creationTimestampMs: number;
  /** Flows traced per host and per enabling, 0..2^63-1. */
  readonly limit: bigint;
  /** The trace rule while enabled; a new id at each enabling, so that limits are counted per enabling. Null: disabled. */
  readonly enabledRule: RuleId | null;
  /** The chain that `enabledRule` stands in. */
  readonly enabledChain: ChainId | null;
}

/** Name of the chain that enabling makes for a device without infilter. */
export const traceChainName = (id: TraceRequestId): string => `TRACE_REQUEST_CHAIN_${id}`;
export const isTraceChainName = (name: string): boolean => name.startsWith("TRACE_REQUEST_CHAIN_");
