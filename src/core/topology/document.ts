import type { Condition } from "./condition.ts";

/**
 * A topology document: what a YAML file says. Objects refer to each other by name; names are unique per kind (and, for
 * ports, per device) within one document. A document adds and changes; what it does not name stays.
 */
export interface TopologyDocument {
  readonly hosts: readonly HostSpec[];
  readonly tunnelZones: readonly TunnelZoneSpec[];
  readonly ipAddrGroups: readonly IpAddrGroupSpec[];
  readonly portGroups: readonly PortGroupSpec[];
  readonly chains: readonly ChainSpec[];
  readonly bridges: readonly BridgeSpec[];
  readonly routers: readonly RouterSpec[];
}

export interface HostSpec {
  readonly name: string;
  /** Chosen by the user (an agent is started with it), or made at the first apply. */
  readonly id?: string;
}

export interface TunnelZoneSpec {
  readonly name: string;
  readonly type: "vxlan" | "gre" | "vtep";
  /** host name → tunnel address */
  readonly hosts: Readonly<Record<string, string>>;
}

export interface IpAddrGroupSpec {
  readonly name: string;
  readonly addresses: readonly string[];
}

export interface PortGroupSpec {
  readonly name: string;
  readonly tenant: string;
  readonly stateful: boolean;
  /** "device/port" names */
  readonly ports: readonly string[];
}

export interface ChainSpec {
  readonly name: string;
  readonly tenant: string;
  /** The whole list, in order; on a change the user's rules of the chain are replaced (trace rules stay). */
  readonly rules: readonly RuleSpec[];
}

export interface RuleSpec {
  readonly type: "accept" | "drop" | "reject" | "return" | "jump";
  /** Target chain's name, for "jump". */
  readonly jump?: string;
  /** In the file: `match: "<expression>"`, or `condition: {…}` with REST's field names; group references by name. */
  readonly condition: Condition;
}

interface DeviceSpec {
  readonly name: string;
  readonly tenant: string;
  readonly up: boolean;
  readonly inFilter?: string;
  readonly outFilter?: string;
}

export interface BridgeSpec extends DeviceSpec {
  readonly ports: readonly BridgePortSpec[];
}

export interface RouterSpec extends DeviceSpec {
  readonly ports: readonly RouterPortSpec[];
  readonly routes: readonly RouteSpec[];
}

interface PortSpec {
  readonly name: string;
  readonly up: boolean;
  readonly inFilter?: string;
  readonly outFilter?: string;
  readonly bind?: { readonly host: string; readonly interface: string };
  /** "device/port" of the other end; naming it at one end is enough. */
  readonly link?: string;
}

export interface BridgePortSpec extends PortSpec {
  /** 0 = none */
  readonly vlan: number;
}

export interface RouterPortSpec extends PortSpec {
  /** "10.0.1.1/24", or absent */
  readonly address?: string;
  /** Absent: chosen at creation. */
  readonly mac?: string;
}

export interface RouteSpec {
  readonly type: "Normal" | "BlackHole" | "Reject";
  /** "a.b.c.d/n"; default 0.0.0.0/0 */
  readonly src: string;
  readonly dst: string;
  /** Name of a port of this router, for "Normal". */
  readonly port?: string;
  readonly gateway?: string;
  readonly weight: number;
}
