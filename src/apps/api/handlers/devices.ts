import {
  bridgeFromBody,
  bridgeToDto,
  type DeviceOperation,
  portFromBody,
  type PortBody,
  type PortDraft,
  portGroupPortToDto,
  portToDto,
  routerFromBody,
  routerToDto,
  type Links,
} from "#core/api-contract";
import { type BridgeId, MidotraceError, type PortId, type RouterId, Violations } from "#core/base";
import type { Identity } from "#core/identity";
import type { PortRecord } from "#core/topology";
import { created, type Deps, EMPTY, type Handlers, ignoringMissing, json } from "../call.ts";

/** Bridges, routers and ports. */
export function deviceHandlers({ nsdb, random, sight }: Deps): Handlers<DeviceOperation> {
  const portDto = async (p: PortRecord, links: Links, viewer: Identity) => {
    const hosts = p.hostId === null ? [] : await nsdb.state.activeHosts(p.id);
    return portToDto(sight.port(viewer, p), p.hostId !== null && hosts.includes(p.hostId), links);
  };
  const portDtos = (ports: readonly PortRecord[], links: Links, viewer: Identity) =>
    Promise.all(ports.map((p) => portDto(p, links, viewer)));
  const isOf = async (port: PortRecord, tenantId: string): Promise<boolean> => {
    const device = await (port.type === "Bridge" ? nsdb.bridges : nsdb.routers).find(port.deviceId);
    return device?.tenantId === tenantId;
  };
  /** Tenants see those of their own devices: a link to somebody else's shows no more than the port's id. */
  const peersOf = async (deviceId: string, viewer: Identity): Promise<PortRecord[]> => {
    const ports = await nsdb.ports.list({ deviceId });
    const found = await Promise.all(ports.flatMap((p) => (p.peerId === null ? [] : [nsdb.ports.find(p.peerId)])));
    const peers = found.filter((p) => p !== null);
    if (viewer.admin) return peers;
    const shown = await Promise.all(peers.map((p) => isOf(p, viewer.tenantId)));
    return peers.filter((_, i) => shown[i]);
  };
  return {
    listBridges: async ({ query, links }) =>
      json((await nsdb.bridges.list({ tenantId: query.tenant_id })).map((b) => bridgeToDto(b, links))),
    createBridge: async ({ body, links }) => {
      const bridge = await nsdb.bridges.create(bridgeFromBody(body, body.id ?? random.uuid()));
      return created(links.to("bridges", bridge.id));
    },
    getBridge: async ({ params, links }) => json(bridgeToDto(await nsdb.bridges.get(params.id), links)),
    updateBridge: async ({ params, body }) => {
      const { id } = await nsdb.bridges.get(params.id);
      await nsdb.bridges.update(id, bridgeFromBody(body, id));
      return EMPTY;
    },
    deleteBridge: async ({ params }) => {
      await nsdb.bridges.delete(params.id as BridgeId);
      return EMPTY;
    },
    listBridgePorts: async ({ params, links, viewer }) => {
      await nsdb.bridges.get(params.id);
      return json(await portDtos(await nsdb.ports.list({ deviceId: params.id }), links, viewer));
    },
    createBridgePort: async ({ params, body, links }) => {
      const bridge = await nsdb.bridges.get(params.id);
      const draft = draftFor(body, "Bridge", bridge.id, null);
      const port = await nsdb.ports.createOnBridge(bridge.id, { ...draft, id: newPortId(body) });
      return created(links.to("ports", port.id));
    },
    listBridgePeerPorts: async ({ params, links, viewer }) => {
      await nsdb.bridges.get(params.id);
      return json(await portDtos(await peersOf(params.id, viewer), links, viewer));
    },

    listRouters: async ({ query, links }) =>
      json((await nsdb.routers.list({ tenantId: query.tenant_id })).map((r) => routerToDto(r, links))),
    createRouter: async ({ body, links }) => {
      const router = await nsdb.routers.create(routerFromBody(body, body.id ?? random.uuid()));
      return created(links.to("routers", router.id));
    },
    getRouter: async ({ params, links }) => json(routerToDto(await nsdb.routers.get(params.id), links)),
    updateRouter: async ({ params, body }) => {
      const { id } = await nsdb.routers.get(params.id);
      await nsdb.routers.update(id, routerFromBody(body, id));
      return EMPTY;
    },
    deleteRouter: async ({ params }) => {
      await ignoringMissing(nsdb.routers.delete(params.id as RouterId));
      return EMPTY;
    },
    listRouterPorts: async ({ params, links, viewer }) => {
      await nsdb.routers.get(params.id);
      return json(await portDtos(await nsdb.ports.list({ deviceId: params.id }), links, viewer));
    },
    createRouterPort: async ({ params, body, links }) => {
      const router = await nsdb.routers.get(params.id);
      const { portMac, ...draft } = draftFor(body, "Router", router.id, null);
      const mac = portMac === null ? {} : { portMac };
      const port = await nsdb.ports.createOnRouter(router.id, { ...draft, ...mac, id: newPortId(body) });
      return created(links.to("ports", port.id));
    },
    listRouterPeerPorts: async ({ params, links, viewer }) => {
      await nsdb.routers.get(params.id);
      return json(await portDtos(await peersOf(params.id, viewer), links, viewer));
    },

    // MidoNet knows the filter `tenant_id` here and ignores it.
    listPorts: async ({ links, viewer }) => json(await portDtos(await nsdb.ports.list(), links, viewer)),
    getPort: async ({ params, links, viewer }) => json(await portDto(await nsdb.ports.get(params.id), links, viewer)),
    updatePort: async ({ params, body }) => {
      const stored = await nsdb.ports.get(params.id);
      if (stored.type === "Bridge") {
        await nsdb.ports.update(stored.id, draftFor(body, "Bridge", stored.deviceId, stored));
        return EMPTY;
      }
      const { portMac, ...draft } = draftFor(body, "Router", stored.deviceId, stored);
      await nsdb.ports.update(stored.id, { ...draft, portMac: portMac ?? stored.portMac });
      return EMPTY;
    },
    deletePort: async ({ params }) => {
      await nsdb.ports.delete(params.id as PortId);
      return EMPTY;
    },
    linkPort: async ({ params, body }) => {
      const violations = new Violations();
      if (body.peerId === null) violations.add("peerId", "may not be null");
      violations.throwIfAny("link");
      await nsdb.ports.link(params.id as PortId, (body.peerId ?? "") as PortId);
      return EMPTY;
    },
    unlinkPort: async ({ params }) => {
      await nsdb.ports.unlink(params.id as PortId);
      return EMPTY;
    },
    listGroupsOfPort: async ({ params, links, viewer }) => {
      const port = await nsdb.ports.get(params.id);
      const groups = await sight.own(
        viewer,
        "port-group",
        await nsdb.portGroups.list({ portId: port.id }),
        (g) => g.id,
      );
      return json(groups.map((g) => portGroupPortToDto(g.id, port.id, links)));
    },
  };
}

const newPortId = (body: PortBody): PortId | undefined => (body.id === null ? undefined : (body.id as PortId));

type DraftOf<T extends PortRecord["type"]> = Extract<PortDraft, { readonly type: T }>;

function draftFor<T extends PortRecord["type"]>(
  body: PortBody,
  type: T,
  deviceId: string,
  stored: PortRecord | null,
): DraftOf<T> {
  const id = stored?.id ?? body.id ?? NO_ID;
  const draft = portFromBody(body, { id, deviceId, type, stored });
  if (draft.type !== type) throw new MidotraceError("INTERNAL", "a port draft of another type");
  return draft as DraftOf<T>;
}

/** Stands for the id that the store will choose, while a body is checked. */
const NO_ID = "00000000-0000-4000-8000-000000000000";
