import * as z from "zod";
import { arpAnswer, arpBody, macPortAnswer, macPortBody } from "./dto-tables.ts";
import { portAnswer } from "./dto-ports.ts";
import { collectionMedia, itemMedia } from "./media.ts";
import { createRoute, deleteRoute, getRoute, listRoute } from "./resource-routes.ts";
import { type Answer, ownRead, ownWrite, type Roles, route, type Route } from "./route.ts";

const MAC = { media: "MacPort", noun: "MAC table entry", schema: macPortAnswer } as const;
const ARP = { media: "IP4Mac", noun: "ARP table entry", schema: arpAnswer } as const;
const PORT = { media: "Port", noun: "port", schema: portAnswer } as const;
const GONE = ["VALIDATION", "NOT_FOUND", "CONFLICT"] as const;
const BRIDGE = "/midonet-api/bridges/{id}";

/** What MidoNet has and this server has not: clients find the collection, and nothing in it. */
function emptyRoute<const P extends string>(
  path: P,
  noun: string,
  media: readonly string[],
  roles: Roles,
): Route<P, z.ZodUndefined> {
  const answer: Answer = { kind: "body", media, schema: z.array(z.never()) };
  return route({
    method: "GET",
    path,
    tag: noun,
    summary: `List: ${noun}; there are none here`,
    roles,
    answer,
    errors: ["NOT_FOUND", "NOT_ACCEPTABLE"],
  });
}

/** The tables of bridges, and the collections below bridges and routers that are always empty. */
export const tableRoutes = {
  listMacs: listRoute(`${BRIDGE}/mac_table`, MAC, ownRead("bridge")),
  createMac: createRoute(`${BRIDGE}/mac_table`, MAC, macPortBody, ownWrite("bridge")),
  getMac: getRoute(`${BRIDGE}/mac_table/{entry}`, MAC, ownRead("bridge"), ["VALIDATION"]),
  deleteMac: deleteRoute(`${BRIDGE}/mac_table/{entry}`, MAC, ownWrite("bridge"), GONE),
  listVlanMacs: listRoute(`${BRIDGE}/vlans/{vlan}/mac_table`, MAC, ownRead("bridge")),
  createVlanMac: createRoute(`${BRIDGE}/vlans/{vlan}/mac_table`, MAC, macPortBody, ownWrite("bridge")),
  getVlanMac: getRoute(`${BRIDGE}/vlans/{vlan}/mac_table/{entry}`, MAC, ownRead("bridge"), ["VALIDATION"]),
  deleteVlanMac: deleteRoute(`${BRIDGE}/vlans/{vlan}/mac_table/{entry}`, MAC, ownWrite("bridge"), GONE),
  listArp: listRoute(`${BRIDGE}/arp_table`, ARP, ownRead("bridge")),
  createArp: createRoute(`${BRIDGE}/arp_table`, ARP, arpBody, ownWrite("bridge")),
  getArp: getRoute(`${BRIDGE}/arp_table/{entry}`, ARP, ownRead("bridge"), ["VALIDATION"]),
  deleteArp: deleteRoute(`${BRIDGE}/arp_table/{entry}`, ARP, ownWrite("bridge"), GONE),

  listVxlanPorts: listRoute(`${BRIDGE}/vxlan_ports`, PORT, ownRead("bridge")),
  listDhcpSubnets: emptyRoute(`${BRIDGE}/dhcp`, "DHCP subnet", collectionMedia("DhcpSubnet"), ownRead("bridge")),
  listDhcpSubnets6: emptyRoute(`${BRIDGE}/dhcpV6`, "DHCPv6 subnet", collectionMedia("DhcpV6Subnet"), ownRead("bridge")),
  listBgpNetworks: emptyRoute(
    "/midonet-api/routers/{id}/bgp_networks",
    "BGP network",
    collectionMedia("BgpNetwork"),
    ownRead("router"),
  ),
  listBgpPeers: emptyRoute(
    "/midonet-api/routers/{id}/bgp_peers",
    "BGP peer",
    collectionMedia("BgpPeer"),
    ownRead("router"),
  ),
  listPeerings: emptyRoute(
    "/midonet-api/routers/{id}/ports/{portId}/peering_table",
    "peering",
    itemMedia("MacIp"),
    ownRead("router"),
  ),
} as const;
