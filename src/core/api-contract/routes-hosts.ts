import {
  bindingAnswer,
  bindingBody,
  hostAnswer,
  hostBody,
  interfaceAnswer,
  tunnelZoneAnswer,
  tunnelZoneBody,
  zoneMemberAnswer,
  zoneMemberBody,
} from "./dto-hosts.ts";
import { createRoute, deleteRoute, getRoute, listRoute, updateRoute } from "./resource-routes.ts";
import { ADMIN_ONLY } from "./route.ts";
import { tenantFilter } from "./routes-devices.ts";

const HOST = { media: "Host", noun: "host", schema: hostAnswer } as const;
const INTERFACE = { media: "Interface", noun: "host interface", schema: interfaceAnswer } as const;
const BINDING = { media: "HostInterfacePort", noun: "binding", schema: bindingAnswer } as const;
const ZONE = { media: "TunnelZone", noun: "tunnel zone", schema: tunnelZoneAnswer } as const;
const MEMBER = {
  media: ["TunnelZoneHost", "GreTunnelZoneHost"],
  noun: "tunnel zone member",
  schema: zoneMemberAnswer,
} as const;

export const hostRoutes = {
  listHosts: listRoute("/midonet-api/hosts", HOST, ADMIN_ONLY),
  createHost: createRoute("/midonet-api/hosts", HOST, hostBody, ADMIN_ONLY),
  getHost: getRoute("/midonet-api/hosts/{id}", HOST, ADMIN_ONLY),
  // MidoNet answers 200 to these two.
  updateHost: updateRoute("/midonet-api/hosts/{id}", HOST, hostBody, ADMIN_ONLY, [], 200),
  deleteHost: deleteRoute("/midonet-api/hosts/{id}", HOST, ADMIN_ONLY, ["NOT_FOUND", "CONFLICT"], 200),
  listInterfaces: listRoute("/midonet-api/hosts/{id}/interfaces", INTERFACE, ADMIN_ONLY),
  getInterface: getRoute("/midonet-api/hosts/{id}/interfaces/{name}", INTERFACE, ADMIN_ONLY),
  listBindings: listRoute("/midonet-api/hosts/{id}/ports", BINDING, ADMIN_ONLY),
  createBinding: createRoute("/midonet-api/hosts/{id}/ports", BINDING, bindingBody, ADMIN_ONLY),
  getBinding: getRoute("/midonet-api/hosts/{id}/ports/{portId}", BINDING, ADMIN_ONLY),
  deleteBinding: deleteRoute("/midonet-api/hosts/{id}/ports/{portId}", BINDING, ADMIN_ONLY),

  listTunnelZones: listRoute("/midonet-api/tunnel_zones", ZONE, ADMIN_ONLY, tenantFilter),
  createTunnelZone: createRoute("/midonet-api/tunnel_zones", ZONE, tunnelZoneBody, ADMIN_ONLY),
  getTunnelZone: getRoute("/midonet-api/tunnel_zones/{id}", ZONE, ADMIN_ONLY),
  updateTunnelZone: updateRoute("/midonet-api/tunnel_zones/{id}", ZONE, tunnelZoneBody, ADMIN_ONLY, ["ALREADY_EXISTS"]),
  deleteTunnelZone: deleteRoute("/midonet-api/tunnel_zones/{id}", ZONE, ADMIN_ONLY, ["CONFLICT"]),
  listZoneMembers: listRoute("/midonet-api/tunnel_zones/{id}/hosts", MEMBER, ADMIN_ONLY),
  createZoneMember: createRoute("/midonet-api/tunnel_zones/{id}/hosts", MEMBER, zoneMemberBody, ADMIN_ONLY),
  getZoneMember: getRoute("/midonet-api/tunnel_zones/{id}/hosts/{hostId}", MEMBER, ADMIN_ONLY),
  deleteZoneMember: deleteRoute("/midonet-api/tunnel_zones/{id}/hosts/{hostId}", MEMBER, ADMIN_ONLY),
} as const;
