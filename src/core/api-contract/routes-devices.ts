import * as z from "zod";
import { bridgeAnswer, bridgeBody, routerAnswer, routerBody } from "./dto-devices.ts";
import { portGroupPortAnswer } from "./dto-groups.ts";
import { portAnswer, portBody, portLinkBody } from "./dto-ports.ts";
import { read } from "./fields.ts";
import { itemMedia } from "./media.ts";
import { createRoute, deleteRoute, getRoute, listRoute, updateRoute } from "./resource-routes.ts";
import { ADMIN_ONLY, ownRead, ownWrite, route } from "./route.ts";

const BRIDGE = { media: "Bridge", noun: "bridge", schema: bridgeAnswer } as const;
const ROUTER = { media: "Router", noun: "router", schema: routerAnswer } as const;
const PORT = { media: "Port", noun: "port", schema: portAnswer } as const;
const PORT_GROUP_PORT = { media: "PortGroupPort", noun: "port group member", schema: portGroupPortAnswer } as const;
const KEYS = ["TUNNEL_KEYS_EXHAUSTED"] as const;

export const tenantFilter = z.object({ tenant_id: read.text(undefined) });

export const deviceRoutes = {
  listBridges: listRoute("/midonet-api/bridges", BRIDGE, ADMIN_ONLY, tenantFilter),
  createBridge: createRoute("/midonet-api/bridges", BRIDGE, bridgeBody, ownWrite("body")),
  getBridge: getRoute("/midonet-api/bridges/{id}", BRIDGE, ownRead("bridge")),
  updateBridge: updateRoute("/midonet-api/bridges/{id}", BRIDGE, bridgeBody, ownWrite("bridge")),
  deleteBridge: deleteRoute("/midonet-api/bridges/{id}", BRIDGE, ownWrite("bridge")),
  listBridgePorts: listRoute("/midonet-api/bridges/{id}/ports", PORT, ownRead("bridge")),
  createBridgePort: createRoute("/midonet-api/bridges/{id}/ports", PORT, portBody, ownWrite("bridge"), KEYS),
  listBridgePeerPorts: listRoute("/midonet-api/bridges/{id}/peer_ports", PORT, ownRead("bridge")),

  listRouters: listRoute("/midonet-api/routers", ROUTER, ADMIN_ONLY, tenantFilter),
  createRouter: createRoute("/midonet-api/routers", ROUTER, routerBody, ownWrite("body")),
  getRouter: getRoute("/midonet-api/routers/{id}", ROUTER, ownRead("router")),
  updateRouter: updateRoute("/midonet-api/routers/{id}", ROUTER, routerBody, ownWrite("router")),
  deleteRouter: deleteRoute("/midonet-api/routers/{id}", ROUTER, ownWrite("router"), ["CONFLICT"]),
  listRouterPorts: listRoute("/midonet-api/routers/{id}/ports", PORT, ownRead("router")),
  createRouterPort: createRoute("/midonet-api/routers/{id}/ports", PORT, portBody, ownWrite("router"), KEYS),
  listRouterPeerPorts: listRoute("/midonet-api/routers/{id}/peer_ports", PORT, ownRead("router")),

  listPorts: listRoute("/midonet-api/ports", PORT, ADMIN_ONLY, tenantFilter),
  getPort: getRoute("/midonet-api/ports/{id}", PORT, ownRead("port")),
  updatePort: updateRoute("/midonet-api/ports/{id}", PORT, portBody, ownWrite("port")),
  deletePort: deleteRoute("/midonet-api/ports/{id}", PORT, ownWrite("port")),
  linkPort: route({
    method: "POST",
    path: "/midonet-api/ports/{id}/link",
    tag: "port",
    summary: "Link two ports",
    roles: ownWrite("port"),
    body: { media: itemMedia("PortLink", "Port"), schema: portLinkBody },
    answer: { kind: "empty", status: 201 },
    errors: ["VALIDATION", "MALFORMED_JSON", "NOT_FOUND", "CONFLICT", "TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"],
  }),
  unlinkPort: route({
    method: "DELETE",
    path: "/midonet-api/ports/{id}/link",
    tag: "port",
    summary: "Take a link apart, from either end",
    roles: ownWrite("port"),
    answer: { kind: "empty", status: 204 },
    errors: ["NOT_FOUND", "CONFLICT"],
  }),
  listGroupsOfPort: listRoute("/midonet-api/ports/{id}/port_groups", PORT_GROUP_PORT, ownRead("port")),
} as const;
