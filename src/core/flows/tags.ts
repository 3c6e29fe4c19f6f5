import type { BridgeId, ChainId, PortId, RouteId, RouterId } from "#core/base";
import { formatIpv4, formatMac } from "#core/packets";

/** Texts that one maker of tags remembers. */
const MAX_KEPT = 4_096;

/**
 * A flow tag names something an installed flow depends on; invalidating the tag removes the flow. Tags of objects are
 * made once, when the object is compiled; only tags of misses (an unknown MAC) are composed on the packet path.
 */
export type FlowTag = string;

/** Any change of the device (port, bridge, router, chain, port group, address group). */
export const deviceTag = (id: string): FlowTag => `dev:${id}`;
/** Forwarding to (or learning from) this MAC on this port: invalidated when it moves or expires. */
export const macPortTag = (bridge: BridgeId, vlan: number, mac: number, port: PortId): FlowTag =>
  `mac:${bridge}:${vlan}:${formatMac(mac)}:${port}`;
/** Flooded because the MAC was unknown: invalidated when it is learned. */
export const macMissTag = (bridge: BridgeId, vlan: number, mac: number): FlowTag =>
  `mac?:${bridge}:${vlan}:${formatMac(mac)}`;
/** Flooded: invalidated when the set of ports of the bridge, or their being active, changes. */
export const floodTag = (bridge: BridgeId): FlowTag => `flood:${bridge}`;
export const routeTag = (route: RouteId): FlowTag => `route:${route}`;
/** The set of routes of a router: invalidated when a route is added, or a port of it goes up or down. */
export const routingTag = (router: RouterId): FlowTag => `routing:${router}`;
export const arpTag = (router: RouterId, ip: number): FlowTag => `arp:${router}:${formatIpv4(ip)}`;
export const chainTag = (id: ChainId): FlowTag => `dev:${id}`;
/** A virtual port's place: its host, interface and tunnel key. */
export const bindingTag = (port: PortId): FlowTag => `binding:${port}`;
/** Tunnelling to a host: invalidated when its tunnel address changes. */
export const peerTag = kept((host: string): FlowTag => `peer:${host}`);
/** There is a tunnel port, and which: of flows to other hosts, also of those that left them out for want of it. */
export const TUNNEL_PORT_TAG: FlowTag = "tunnel-port";
/** A datapath port number of this host's switch. */
export const ofportTag = kept((port: number): FlowTag => `ofport:${port}`);
/** Egress flows of a tunnel key. */
export const tunnelKeyTag = (key: number): FlowTag => `tunkey:${key}`;

/** Remembers the texts it made: these are asked for with every packet, for few different things. */
function kept<K>(make: (of: K) => FlowTag): (of: K) => FlowTag {
  const made = new Map<K, FlowTag>();
  return (of) => {
    let tag = made.get(of);
    if (tag === undefined) {
      if (made.size >= MAX_KEPT) made.clear();
      tag = make(of);
      made.set(of, tag);
    }
    return tag;
  };
}
