import {
  bindingFromBody,
  bindingToDto,
  type HostOperation,
  hostFromBody,
  hostToDto,
  hostWeightsFromBody,
  interfaceToDto,
  type Links,
  tunnelZoneFromBody,
  tunnelZoneToDto,
  zoneMemberFromBody,
  zoneMemberToDto,
} from "#core/api-contract";
import { type HostId, MidotraceError, type TunnelZoneId } from "#core/base";
import type { HostRecord } from "#core/topology";
import { created, type Deps, EMPTY, type Handlers, ignoringMissing, json } from "../call.ts";

/** Hosts, their interfaces and bindings, and tunnel zones. */
export function hostHandlers({ nsdb, random }: Deps): Handlers<HostOperation> {
  const hostDto = async (host: HostRecord, links: Links) => {
    const [alive, interfaces] = await Promise.all([nsdb.state.isAlive(host.id), nsdb.state.interfaces(host.id)]);
    return hostToDto(host, { alive, interfaces }, links);
  };
  return {
    listHosts: async ({ links }) => json(await Promise.all((await nsdb.hosts.list()).map((h) => hostDto(h, links)))),
    getHost: async ({ params, links }) => json(await hostDto(await nsdb.hosts.get(params.id), links)),
    createHost: async ({ body, links }) => {
      const host = await nsdb.hosts.create(hostFromBody(body, body.id ?? random.uuid()));
      return created(links.to("hosts", host.id));
    },
    updateHost: async ({ params, body }) => {
      const stored = await nsdb.hosts.get(params.id);
      await nsdb.hosts.update(stored.id, hostWeightsFromBody(body, stored));
      return EMPTY;
    },
    deleteHost: async ({ params }) => {
      await nsdb.hosts.delete(params.id as HostId);
      return EMPTY;
    },
    listInterfaces: async ({ params, links }) => {
      const host = await nsdb.hosts.get(params.id);
      return json((await nsdb.state.interfaces(host.id)).map((i) => interfaceToDto(host.id, i, links)));
    },
    getInterface: async ({ params, links }) => {
      const host = await nsdb.hosts.get(params.id);
      const found = (await nsdb.state.interfaces(host.id)).find((i) => i.name === params.name);
      if (found === undefined) throw new MidotraceError("NOT_FOUND", `no interface ${params.name} on host ${host.id}`);
      return json(interfaceToDto(host.id, found, links));
    },
    listBindings: async ({ params, links }) =>
      json((await nsdb.hosts.bindings(params.id as HostId)).map((b) => bindingToDto(b, links))),
    createBinding: async ({ params, body, links }) => {
      const host = await nsdb.hosts.get(params.id);
      const binding = bindingFromBody(body, host.id);
      await nsdb.ports.bind(binding);
      return created(links.to("hosts", host.id, "ports", binding.portId));
    },
    getBinding: async ({ params, links }) => {
      const host = await nsdb.hosts.get(params.id);
      const port = await nsdb.ports.get(params.portId);
      return json(bindingToDto(await nsdb.hosts.binding(host.id, port.id), links));
    },
    deleteBinding: async ({ params }) => {
      const port = await nsdb.ports.get(params.portId);
      if (port.hostId === params.id) await nsdb.ports.unbind(port.id);
      return EMPTY;
    },

    // MidoNet knows the filter `tenant_id` here and ignores it.
    listTunnelZones: async ({ links }) => json((await nsdb.tunnelZones.list()).map((z) => tunnelZoneToDto(z, links))),
    createTunnelZone: async ({ body, links }) => {
      const zone = await nsdb.tunnelZones.create(tunnelZoneFromBody(body, body.id ?? random.uuid()));
      return created(links.to("tunnel_zones", zone.id));
    },
    getTunnelZone: async ({ params, links }) => json(tunnelZoneToDto(await nsdb.tunnelZones.get(params.id), links)),
    updateTunnelZone: async ({ params, body }) => {
      const { id } = await nsdb.tunnelZones.get(params.id);
      await nsdb.tunnelZones.update(id, tunnelZoneFromBody(body, id));
      return EMPTY;
    },
    deleteTunnelZone: async ({ params }) => {
      await ignoringMissing(nsdb.tunnelZones.delete(params.id as TunnelZoneId));
      return EMPTY;
    },
    listZoneMembers: async ({ params, links }) =>
      json((await nsdb.tunnelZones.members(params.id as TunnelZoneId)).map((m) => zoneMemberToDto(m, links))),
    createZoneMember: async ({ params, body, links }) => {
      const zone = await nsdb.tunnelZones.get(params.id);
      const member = await nsdb.tunnelZones.addMember(zoneMemberFromBody(body, zone.id));
      return created(links.to("tunnel_zones", zone.id, "hosts", member.hostId));
    },
    getZoneMember: async ({ params, links }) =>
      json(zoneMemberToDto(await nsdb.tunnelZones.member(params.id as TunnelZoneId, params.hostId as HostId), links)),
    deleteZoneMember: async ({ params }) => {
      await nsdb.tunnelZones.removeMember(params.id as TunnelZoneId, params.hostId as HostId);
      return EMPTY;
    },
  };
}
