import type { FlowTag } from "#core/flows";
import type { PortId } from "#core/base";
import type { BridgeDevice, RouterDevice } from "#core/topology";

/** Where a bridge knows a MAC to be. `tag` is what a flow that relies on it carries. */
export interface MacEntry {
  readonly port: PortId;
  readonly tag: FlowTag;
  /** An administrator says so: a frame that comes by another port changes nothing. */
  readonly fixed?: boolean;
}

export interface ArpEntry {
  readonly mac: number;
  readonly tag: FlowTag;
}

/** What the network has learned so far, as the simulation reads it. Lookups change nothing the simulation can see. */
export interface FlowState {
  mac(bridge: BridgeDevice, vlan: number, mac: number): MacEntry | null;
  arp(router: RouterDevice, ip: number): ArpEntry | null;
}
