import * as z from "zod";
import {
  ipAddrAnswer,
  ipAddrBody,
  ipAddrGroupAnswer,
  ipAddrGroupBody,
  portGroupAnswer,
  portGroupBody,
  portGroupPortAnswer,
  portGroupPortBody,
} from "./dto-groups.ts";
import { read } from "./fields.ts";
import { createRoute, deleteRoute, getRoute, listRoute, updateRoute } from "./resource-routes.ts";
import { ADMIN_ONLY, EVERYBODY, ownRead, ownWrite } from "./route.ts";

const PORT_GROUP = { media: "PortGroup", noun: "port group", schema: portGroupAnswer } as const;
const MEMBER = { media: "PortGroupPort", noun: "port group member", schema: portGroupPortAnswer } as const;
const IP_GROUP = { media: "IpAddrGroup", noun: "ip address group", schema: ipAddrGroupAnswer } as const;
const ADDRESS = { media: "IpAddrGroupAddr", noun: "address of a group", schema: ipAddrAnswer } as const;
const groupFilter = z.object({ tenant_id: read.text(undefined), port_id: read.uuid(undefined) });
const ADDRESS_PATH = "/midonet-api/ip_addr_groups/{id}/versions/{version}/ip_addrs/{addr}";

export const groupRoutes = {
  listPortGroups: listRoute("/midonet-api/port_groups", PORT_GROUP, ADMIN_ONLY, groupFilter),
  createPortGroup: createRoute("/midonet-api/port_groups", PORT_GROUP, portGroupBody, ownWrite("body")),
  getPortGroup: getRoute("/midonet-api/port_groups/{id}", PORT_GROUP, ownRead("port-group")),
  updatePortGroup: updateRoute("/midonet-api/port_groups/{id}", PORT_GROUP, portGroupBody, ownWrite("port-group")),
  deletePortGroup: deleteRoute("/midonet-api/port_groups/{id}", PORT_GROUP, ownWrite("port-group"), ["CONFLICT"]),
  listPortGroupPorts: listRoute("/midonet-api/port_groups/{id}/ports", MEMBER, ownRead("port-group")),
  createPortGroupPort: createRoute(
    "/midonet-api/port_groups/{id}/ports",
    MEMBER,
    portGroupPortBody,
    ownWrite("port-group"),
  ),
  getPortGroupPort: getRoute("/midonet-api/port_groups/{id}/ports/{portId}", MEMBER, ownRead("port-group")),
  deletePortGroupPort: deleteRoute("/midonet-api/port_groups/{id}/ports/{portId}", MEMBER, ownWrite("port-group")),

  listIpAddrGroups: listRoute("/midonet-api/ip_addr_groups", IP_GROUP, EVERYBODY),
  createIpAddrGroup: createRoute("/midonet-api/ip_addr_groups", IP_GROUP, ipAddrGroupBody, ADMIN_ONLY),
  getIpAddrGroup: getRoute("/midonet-api/ip_addr_groups/{id}", IP_GROUP, EVERYBODY),
  deleteIpAddrGroup: deleteRoute("/midonet-api/ip_addr_groups/{id}", IP_GROUP, ADMIN_ONLY, ["CONFLICT"]),
  listIpAddrs: listRoute("/midonet-api/ip_addr_groups/{id}/ip_addrs", ADDRESS, EVERYBODY),
  createIpAddr: createRoute("/midonet-api/ip_addr_groups/{id}/ip_addrs", ADDRESS, ipAddrBody, ADMIN_ONLY),
  getIpAddr: getRoute(ADDRESS_PATH, ADDRESS, EVERYBODY),
  deleteIpAddr: deleteRoute(ADDRESS_PATH, ADDRESS, ADMIN_ONLY, ["VALIDATION", "NOT_FOUND", "CONFLICT"]),
} as const;
