/** What became of a packet, and why it was not delivered: closed lists, each row explained in docs/reference/verdicts.md. */
export const VERDICTS = {
  delivered: "handed to the one virtual port it was meant for",
  flooded: "handed to several ports of a bridge",
  dropped: "silently discarded",
  rejected: "discarded, and the sender was told (ICMP error) or a reject rule decided",
  consumed: "answered or absorbed by a virtual device (ARP, echo to a router)",
  error: "the simulation failed; a defect or an inconsistent topology",
  unknown: "not every host has reported, so nobody can say",
} as const;

export type Verdict = keyof typeof VERDICTS;

export const DROP_REASONS = {
  "unbound-interface": "the packet came from an interface that no virtual port is bound to",
  "port-admin-down": "the virtual port is administratively down",
  "bridge-admin-down": "the bridge is administratively down",
  "router-admin-down": "the router is administratively down",
  "filter-drop": "a rule of type drop matched",
  "filter-reject": "a rule of type reject matched",
  "rule-jump-depth": "rules jump deeper than 10 chains",
  "multicast-source": "the source MAC is a group address",
  "vlan-mismatch": "the frame's VLAN does not fit the port it should leave by",
  "destination-on-ingress-port": "the destination MAC is known on the port the frame came from",
  "nowhere-to-flood": "no other port of the bridge is up",
  "router-vlan-tagged": "routers do not take tagged frames",
  "router-ethertype": "routers take only IPv4 and ARP",
  "router-broadcast": "routers do not take broadcast frames other than ARP",
  "router-foreign-mac": "the destination MAC is not the router port's",
  "router-malformed": "the IPv4 header or ARP message is truncated or inconsistent",
  "arp-not-ours": "the ARP message is not for the router port, or its sender is outside the port's network",
  "no-route": "the router has no route to the destination",
  "route-blackhole": "the best route is a black hole",
  "route-reject": "the best route rejects",
  "local-address": "the destination is the router's own address, and the router offers no such service",
  "ttl-expired": "the time to live ran out at the router",
  "next-hop-unreachable": "the next hop is not in the network of the port the route leaves by",
  "arp-timeout": "nobody answered ARP for the next hop",
  "port-unplugged": "the virtual port is neither bound to an interface nor linked to a port",
  "port-inactive": "the port's interface is not up on its host",
  "no-tunnel": "the host of the destination port has no tunnel address in common with this host",
  "too-big-for-tunnel": "the packet is longer than the tunnel to the other host takes",
  "loop-limit": "the packet crossed more than 12 devices",
  "device-missing": "a device on the way does not exist (any more)",
  "topology-timeout": "the store did not deliver a device within 5 s",
  "waiting-room-full": "too many packets were waiting for ARP or topology",
  "unknown-tunnel-key": "no local port has the tunnel key the packet came with",
  "simulation-error": "the simulation threw; the log has the details",
} as const;

export type DropReason = keyof typeof DROP_REASONS;
