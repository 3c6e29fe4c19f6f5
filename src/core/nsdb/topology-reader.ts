/** The whole topology as records. */
import type { ChainId, HostId, IpAddrGroupId, PortGroupId, PortId, RuleId } from "#core/base";
import type { TopologyRecords } from "#core/topology";
import { decode, type Reader } from "./codec.ts";
import {
  BRIDGE,
  CHAIN,
  HOST,
  IP_ADDR_GROUP,
  type Kind,
  PORT,
  PORT_GROUP,
  readMember,
  readRuleList,
  ROUTE,
  ROUTER,
  RULE,
  TRACE,
  TUNNEL_ZONE,
} from "./kinds.ts";
import { pathOf } from "./objects.ts";
import { chainRulesPath, groupAddressesPath, portActivePath, portGroupPortsPath, zoneMembersPath } from "./paths.ts";
import type { NsdbStore } from "./store.ts";
import { guard, type Tx } from "./tx.ts";

/** Where records are read from: the store, or a transaction (with what it has written). */
export interface Source {
  texts(paths: readonly string[]): Promise<(string | null)[]>;
  children(path: string): Promise<string[]>;
}

export const fromStore = (store: NsdbStore): Source => ({
  texts: async (paths) => (paths.length === 0 ? [] : (await store.getMany(paths)).map((n) => n?.data ?? null)),
  children: (path) => store.children(path),
});

/** Does not make the transaction depend on all that is read. */
export const fromTx = (tx: Tx): Source => ({
  texts: (paths) => tx.peekMany(paths),
  children: (path) => tx.children(path),
});

async function readAll<T>(from: Source, read: Reader<T>, paths: readonly string[]): Promise<T[]> {
  const texts = await from.texts(paths);
  return texts.flatMap((data, i) => (data === null ? [] : [decode(read, data, paths[i] as string)]));
}

async function records<T extends { readonly id: string }>(from: Source, kind: Kind<T>): Promise<T[]> {
  const ids = await from.children(kind.directory);
  return readAll(
    from,
    kind.read,
    ids.map((id) => pathOf(kind, id)),
  );
}

async function perId<I extends string, T extends string>(
  from: Source,
  ids: readonly I[],
  directory: (id: I) => string,
): Promise<Map<I, T[]>> {
  const names = await Promise.all(ids.map((id) => from.children(directory(id))));
  return new Map(ids.map((id, i) => [id, (names[i] ?? []) as T[]]));
}

/**
 * Reads everything in bulk. It is one moment's view only when nothing is changed meanwhile: who needs to be right
 * watches first, and reads again what is said to have changed. What is gone between listing and reading is left out.
 * @throws MidotraceError STORE_UNAVAILABLE; INTERNAL for malformed data, naming the path.
 */
export async function readTopology(store: NsdbStore): Promise<TopologyRecords> {
  return guard(() => readFrom(fromStore(store)));
}

/** As `readTopology`, from any source. @throws NsdbUnavailable; MidotraceError INTERNAL. */
export async function readFrom(from: Source): Promise<TopologyRecords> {
  const [bridges, routers, ports, chains, rules, routes, hosts, zones, portGroups, ipAddrGroups, traces] =
    await Promise.all([
      records(from, BRIDGE),
      records(from, ROUTER),
      records(from, PORT),
      records(from, CHAIN),
      records(from, RULE),
      records(from, ROUTE),
      records(from, HOST),
      records(from, TUNNEL_ZONE),
      records(from, PORT_GROUP),
      records(from, IP_ADDR_GROUP),
      records(from, TRACE),
    ]);
  const bound = ports.filter((p) => p.hostId !== null).map((p) => p.id);
  const [ruleOrder, members, groupPorts, addresses, active] = await Promise.all([
    ruleOrders(
      from,
      chains.map((chain) => chain.id),
    ),
    perId<(typeof zones)[number]["id"], HostId>(
      from,
      zones.map((z) => z.id),
      zoneMembersPath,
    ),
    perId<PortGroupId, PortId>(
      from,
      portGroups.map((g) => g.id),
      portGroupPortsPath,
    ),
    perId<IpAddrGroupId, string>(
      from,
      ipAddrGroups.map((g) => g.id),
      groupAddressesPath,
    ),
    perId<PortId, HostId>(from, bound, portActivePath),
  ]);
  const memberPaths = [...members].flatMap(([zone, ids]) => ids.map((id) => `${zoneMembersPath(zone)}/${id}`));
  const activePorts = new Map<PortId, HostId>();
  for (const port of ports) {
    // While a binding moves, the host that is bound now counts.
    if (port.hostId !== null && active.get(port.id)?.includes(port.hostId)) activePorts.set(port.id, port.hostId);
  }
  return {
    bridges,
    routers,
    ports,
    chains,
    rules,
    ruleOrder,
    routes,
    hosts,
    tunnelZones: zones,
    tunnelZoneMembers: await readAll(from, readMember, memberPaths),
    portGroups,
    portGroupMembers: groupPorts,
    ipAddrGroups,
    ipAddrGroupAddrs: addresses,
    traces,
    activePorts,
  };
}

async function ruleOrders(from: Source, chains: readonly ChainId[]): Promise<Map<ChainId, readonly RuleId[]>> {
  const texts = await from.texts(chains.map(chainRulesPath));
  return new Map(
    chains.map((id, i) => {
      const data = texts[i] ?? null;
      return [id, data === null ? [] : decode(readRuleList, data, chainRulesPath(id)).ruleList];
    }),
  );
}
