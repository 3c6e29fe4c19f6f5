import {
  arpFromBody,
  arpFromPath,
  arpToDto,
  type Links,
  macPortFromBody,
  macPortFromPath,
  macPortToDto,
  macPortUri,
  type MacRow,
  type TableOperation,
} from "#core/api-contract";
import { type BridgeId, MidotraceError } from "#core/base";
import { created, type Deps, EMPTY, type Handlers, json, type Result } from "../call.ts";

/** MAC and ARP tables of bridges: what agents have learned and what administrators wrote, in one list. */
export function tableHandlers({ nsdb }: Deps): Handlers<TableOperation> {
  const rowsOf = (bridge: BridgeId, vlan: number): Promise<MacRow[]> => nsdb.state.macs(bridge, vlan);
  const find = async (bridge: BridgeId, wanted: MacRow): Promise<MacRow> => {
    const rows = await rowsOf(bridge, wanted.vlan);
    const found = rows.find((r) => r.mac === wanted.mac && r.portId === wanted.portId);
    if (found === undefined)
      throw new MidotraceError("NOT_FOUND", `no MAC ${wanted.mac} behind port ${wanted.portId} on bridge ${bridge}`);
    return found;
  };
  const show = async (id: string, wanted: MacRow, media: string, links: Links): Promise<Result> => {
    const { id: bridge } = await nsdb.bridges.get(id);
    return json(macPortToDto(bridge, await find(bridge, wanted), !isFirst(media), links));
  };
  const add = async (id: string, row: MacRow, links: Links): Promise<Result> => {
    const { id: bridge } = await nsdb.bridges.get(id);
    await nsdb.bridgeTables.setMac(bridge, row);
    return created(macPortUri(bridge, row, links));
  };
  /** A learned entry, too: it is learned again from the next frame. */
  const remove = async (id: string, wanted: MacRow): Promise<Result> => {
    const { id: bridge } = await nsdb.bridges.get(id);
    await find(bridge, wanted);
    await nsdb.bridgeTables.removeMac(bridge, wanted);
    await nsdb.state.removeMac(bridge, wanted);
    return EMPTY;
  };
  const vlans = async (bridge: BridgeId): Promise<number[]> => [0, ...(await nsdb.state.macVlans(bridge))];
  const none = async (id: string): Promise<Result> => {
    await nsdb.bridges.get(id);
    return json([]);
  };
  const noneOfRouter = async (id: string): Promise<Result> => {
    await nsdb.routers.get(id);
    return json([]);
  };
  return {
    listMacs: async ({ params, media, links }) => {
      const { id } = await nsdb.bridges.get(params.id);
      const first = isFirst(media);
      const lists = await Promise.all((first ? [0] : await vlans(id)).map((vlan) => rowsOf(id, vlan)));
      return json(lists.flat().map((row) => macPortToDto(id, row, !first, links)));
    },
    createMac: ({ params, body, links }) => add(params.id, macPortFromBody(body, 0), links),
    getMac: ({ params, media, links }) => show(params.id, macPortFromPath(params.entry, 0), media, links),
    deleteMac: ({ params }) => remove(params.id, macPortFromPath(params.entry, 0)),

    listVlanMacs: async ({ params, media, links }) => {
      const { id } = await nsdb.bridges.get(params.id);
      const vlan = vlanOf(params.vlan);
      const rows = await rowsOf(id, vlan);
      if (rows.length === 0 && vlan !== 0)
        throw new MidotraceError("NOT_FOUND", `bridge ${id} has no MAC table of VLAN ${vlan}`);
      return json(rows.map((row) => macPortToDto(id, row, !isFirst(media), links)));
    },
    createVlanMac: ({ params, body, links }) => add(params.id, macPortFromBody(body, vlanOf(params.vlan)), links),
    getVlanMac: ({ params, media, links }) =>
      show(params.id, macPortFromPath(params.entry, vlanOf(params.vlan)), media, links),
    deleteVlanMac: ({ params }) => remove(params.id, macPortFromPath(params.entry, vlanOf(params.vlan))),

    listArp: async ({ params, links }) => {
      const { id } = await nsdb.bridges.get(params.id);
      return json((await nsdb.bridgeTables.arpSeeds(id)).map((row) => arpToDto(id, row, links)));
    },
    createArp: async ({ params, body, links }) => {
      const { id } = await nsdb.bridges.get(params.id);
      const row = arpFromBody(body);
      await nsdb.bridgeTables.setArpSeed(id, row);
      return created(arpToDto(id, row, links).uri);
    },
    getArp: async ({ params, links }) => {
      const { id } = await nsdb.bridges.get(params.id);
      const wanted = arpFromPath(params.entry);
      const rows = await nsdb.bridgeTables.arpSeeds(id);
      if (!rows.some((r) => r.ip === wanted.ip && r.mac === wanted.mac))
        throw new MidotraceError("NOT_FOUND", `bridge ${id} has no MAC ${wanted.mac} of ${wanted.ip}`);
      return json(arpToDto(id, wanted, links));
    },
    deleteArp: async ({ params }) => {
      const { id } = await nsdb.bridges.get(params.id);
      await nsdb.bridgeTables.removeArpSeed(id, arpFromPath(params.entry));
      return EMPTY;
    },

    listVxlanPorts: ({ params }) => none(params.id),
    listDhcpSubnets: ({ params }) => none(params.id),
    listDhcpSubnets6: ({ params }) => none(params.id),
    listBgpNetworks: ({ params }) => noneOfRouter(params.id),
    listBgpPeers: ({ params }) => noneOfRouter(params.id),
    listPeerings: async ({ params }) => {
      const port = await nsdb.ports.get(params.portId);
      if (port.deviceId !== params.id)
        throw new MidotraceError("NOT_FOUND", `no port ${params.portId} on router ${params.id}`);
      return noneOfRouter(params.id);
    },
  };
}

/** The first version of the media type shows untagged entries only, and no VLAN. */
const isFirst = (media: string): boolean => media.endsWith("MacPort-v1+json");

/** @throws MidotraceError NOT_FOUND for what is no VLAN. */
function vlanOf(text: string): number {
  const vlan = /^\d{1,4}$/.test(text) ? Number(text) : -1;
  if (vlan < 0 || vlan > 4094) throw new MidotraceError("NOT_FOUND", `there is no VLAN ${text}`);
  return vlan;
}
