import type { ChainId, HostId, IpAddrGroupId, PortGroupId, PortId, RuleId } from "#core/base";
import type {
  BridgeRecord,
  ChainRecord,
  HostRecord,
  IpAddrGroupRecord,
  PortGroupRecord,
  PortRecord,
  RouteRecord,
  RouterRecord,
  RuleRecord,
  TraceRequestRecord,
  TunnelZoneMember,
  TunnelZoneRecord,
} from "./model.ts";

/** A whole topology as records: what the store holds, what a snapshot is compiled from. */
export interface TopologyRecords {
  readonly bridges: readonly BridgeRecord[];
  readonly routers: readonly RouterRecord[];
  readonly ports: readonly PortRecord[];
  readonly chains: readonly ChainRecord[];
  readonly rules: readonly RuleRecord[];
  /** Order of the rules of each chain. */
  readonly ruleOrder: ReadonlyMap<ChainId, readonly RuleId[]>;
  readonly routes: readonly RouteRecord[];
  readonly hosts: readonly HostRecord[];
  readonly tunnelZones: readonly TunnelZoneRecord[];
  readonly tunnelZoneMembers: readonly TunnelZoneMember[];
  readonly portGroups: readonly PortGroupRecord[];
  readonly portGroupMembers: ReadonlyMap<PortGroupId, readonly PortId[]>;
  readonly ipAddrGroups: readonly IpAddrGroupRecord[];
  /** Texts as entered (IPv4 or IPv6). */
  readonly ipAddrGroupAddrs: ReadonlyMap<IpAddrGroupId, readonly string[]>;
  readonly traces: readonly TraceRequestRecord[];
  /** Exterior ports whose interface is up on their host, and where. */
  readonly activePorts: ReadonlyMap<PortId, HostId>;
}
