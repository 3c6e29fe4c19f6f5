import {
  type GroupOperation,
  ipAddrFromBody,
  ipAddrGroupFromBody,
  ipAddrGroupToDto,
  ipAddrToDto,
  portGroupFromBody,
  portGroupPortFromBody,
  portGroupPortToDto,
  portGroupToDto,
} from "#core/api-contract";
import { type IpAddrGroupId, MidotraceError, type PortGroupId, type PortId } from "#core/base";
import { parseIpv4, parseIpv6 } from "#core/packets";
import { created, type Deps, EMPTY, type Handlers, ignoringMissing, json } from "../call.ts";

/** Port groups and IP address groups. */
export function groupHandlers({ nsdb, random }: Deps): Handlers<GroupOperation> {
  const groups = nsdb.ipAddrGroups;
  return {
    listPortGroups: async ({ query, links }) => {
      const list = await nsdb.portGroups.list({ tenantId: query.tenant_id, portId: query.port_id });
      return json(list.map((g) => portGroupToDto(g, links)));
    },
    createPortGroup: async ({ body, links }) => {
      const group = await nsdb.portGroups.create(portGroupFromBody(body, body.id ?? random.uuid()));
      return created(links.to("port_groups", group.id));
    },
    getPortGroup: async ({ params, links }) => json(portGroupToDto(await nsdb.portGroups.get(params.id), links)),
    updatePortGroup: async ({ params, body }) => {
      const { id } = await nsdb.portGroups.get(params.id);
      await nsdb.portGroups.update(id, portGroupFromBody(body, id));
      return EMPTY;
    },
    deletePortGroup: async ({ params }) => {
      await ignoringMissing(nsdb.portGroups.delete(params.id as PortGroupId));
      return EMPTY;
    },
    listPortGroupPorts: async ({ params, links }) => {
      const ports = await nsdb.portGroups.ports(params.id as PortGroupId);
      return json(ports.map((port) => portGroupPortToDto(params.id, port, links)));
    },
    createPortGroupPort: async ({ params, body, links }) => {
      const group = await nsdb.portGroups.get(params.id);
      const port = portGroupPortFromBody(body) as PortId;
      await nsdb.portGroups.addPort(group.id, port);
      return created(links.to("port_groups", group.id, "ports", port));
    },
    getPortGroupPort: async ({ params, links }) => {
      const group = await nsdb.portGroups.get(params.id);
      if (!(await nsdb.portGroups.isMember(group.id, params.portId as PortId)))
        throw new MidotraceError("NOT_FOUND", `port ${params.portId} is no member of port group ${group.id}`);
      return json(portGroupPortToDto(group.id, params.portId, links));
    },
    deletePortGroupPort: async ({ params }) => {
      await nsdb.portGroups.removePort(params.id as PortGroupId, params.portId as PortId);
      return EMPTY;
    },

    listIpAddrGroups: async ({ links }) => json((await groups.list()).map((g) => ipAddrGroupToDto(g, links))),
    createIpAddrGroup: async ({ body, links }) => {
      const group = await groups.create(ipAddrGroupFromBody(body, body.id ?? random.uuid()));
      return created(links.to("ip_addr_groups", group.id));
    },
    getIpAddrGroup: async ({ params, links }) => json(ipAddrGroupToDto(await groups.get(params.id), links)),
    deleteIpAddrGroup: async ({ params }) => {
      await ignoringMissing(groups.delete(params.id as IpAddrGroupId));
      return EMPTY;
    },
    listIpAddrs: async ({ params, links }) => {
      const list = await groups.addresses(params.id as IpAddrGroupId);
      return json(list.map((addr) => ipAddrToDto(params.id, addr, links)));
    },
    createIpAddr: async ({ params, body, links }) => {
      const group = await groups.get(params.id);
      const addr = await groups.addAddress(group.id, ipAddrFromBody(body));
      return created(ipAddrToDto(group.id, addr, links).uri);
    },
    getIpAddr: async ({ params, links }) => {
      const group = await groups.get(params.id);
      const found = isVersion(params.addr, params.version) && (await groups.hasAddress(group.id, params.addr));
      if (!found) throw new MidotraceError("NOT_FOUND", `no address ${params.addr} in ip address group ${group.id}`);
      return json(ipAddrToDto(group.id, params.addr, links));
    },
    deleteIpAddr: async ({ params }) => {
      const group = await groups.get(params.id);
      if (isVersion(params.addr, params.version)) await groups.removeAddress(group.id, params.addr);
      return EMPTY;
    },
  };
}

function isVersion(addr: string, version: string): boolean {
  return version === "4" ? parseIpv4(addr) !== null : version === "6" && parseIpv6(addr) !== null;
}
