import { type BridgeId, type Clock, type HostId, MidotraceError, type PortId, type RouterId } from "#core/base";
import {
  decode,
  HOST,
  hostBindingsPath,
  type HostState,
  type NsdbNode,
  type NsdbStore,
  type Reader,
  readMapping,
  readMember,
  zoneMembersPath,
} from "#core/nsdb";
import { formatIpv4, formatMac, type Ipv4, parseIpv4, parseMac } from "#core/packets";
import type { ArpLearn, MacLearn } from "#core/simulation";
import { ARP_AGE_MS, type LearnedStore, type ListedMac } from "./learned-tables.ts";

/** Learned entries as ephemeral nodes of the store. */
export class SharedLearned implements LearnedStore {
  private readonly state: HostState;
  private readonly clock: Clock;

  constructor(state: HostState, clock: Clock) {
    this.state = state;
    this.clock = clock;
  }

  putMac(l: MacLearn): Promise<void> {
    return ignoringGone(this.state.putMac(l.bridge, { mac: formatMac(l.mac), portId: l.port, vlan: l.vlan }));
  }

  removeMac(l: MacLearn): Promise<void> {
    return this.state.removeMac(l.bridge, { mac: formatMac(l.mac), portId: l.port, vlan: l.vlan });
  }

  async listMacs(bridge: BridgeId): Promise<readonly ListedMac[]> {
    const vlans = [0, ...(await this.state.macVlans(bridge))];
    const lists = await Promise.all(vlans.map((vlan) => this.state.macs(bridge, vlan)));
    return lists.flat().flatMap((e) => {
      const mac = parseMac(e.mac);
      return mac === null ? [] : [{ bridge, vlan: e.vlan, mac, port: e.portId, fixed: e.fixed === true }];
    });
  }

  putArp(l: ArpLearn): Promise<void> {
    const now = this.clock.nowMs();
    const entry = {
      ip: formatIpv4(l.ip),
      mac: formatMac(l.mac),
      lastArpMs: now,
      staleMs: now + ARP_AGE_MS / 2,
      expiryMs: now + ARP_AGE_MS,
    };
    return ignoringGone(this.state.putArp(l.router, entry));
  }

  async listArp(router: RouterId): Promise<readonly ArpLearn[]> {
    return (await this.state.arp(router)).flatMap((e) => {
      const ip = parseIpv4(e.ip);
      const mac = e.mac === null ? null : parseMac(e.mac);
      return ip === null || mac === null ? [] : [{ router, ip, mac }];
    });
  }
}

/** The device was deleted meanwhile: then there is nothing to share. */
async function ignoringGone(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof MidotraceError && error.code === "NOT_FOUND")) throw error;
  }
}

/** Takes the error of a node that makes no sense, and is left out: the others must not suffer from it. */
export type Unreadable = (error: unknown) => void;

/** Interface name → virtual port, as bound on the host. @throws NsdbUnavailable */
export async function readBindings(
  store: NsdbStore,
  host: HostId,
  unreadable: Unreadable,
): Promise<Map<string, PortId>> {
  const directory = hostBindingsPath(host);
  const paths = (await store.children(directory)).map((name) => `${directory}/${name}`);
  const bindings = new Map<string, PortId>();
  for (const binding of readable(readMapping, await store.getMany(paths), unreadable))
    bindings.set(binding.localDeviceName, binding.virtualPortId);
  return bindings;
}

export interface Peer {
  readonly hostId: string;
  readonly name: string;
  /** u32 */
  readonly tunnelIp: Ipv4;
}

/** The hosts that share a tunnel zone with this one, and this host's own address (null: in no zone). @throws NsdbUnavailable */
export async function readPeers(
  store: NsdbStore,
  host: HostId,
  unreadable: Unreadable,
): Promise<{ own: Ipv4 | null; peers: Peer[] }> {
  let own: Ipv4 | null = null;
  const found = new Map<string, Ipv4>();
  for (const zone of await store.children("/tunnel_zones")) {
    const directory = zoneMembersPath(zone as never);
    const nodes = await store.getMany((await store.children(directory)).map((name) => `${directory}/${name}`));
    const members = readable(readMember, nodes, unreadable);
    const mine = members.find((m) => m.hostId === host);
    if (mine === undefined) continue;
    own ??= parseIpv4(mine.ipAddress);
    for (const m of members) {
      const ip = parseIpv4(m.ipAddress);
      if (m.hostId !== host && ip !== null && !found.has(m.hostId)) found.set(m.hostId, ip);
    }
  }
  const ids = [...found.keys()];
  const names = await store.getMany(ids.map((id) => `${HOST.directory}/${id}`));
  const peers = ids.map((id, i) => {
    const [record] = readable(HOST.read, [names[i] ?? null], unreadable);
    return { hostId: id, name: record?.name ?? id, tunnelIp: found.get(id) as Ipv4 };
  });
  return { own, peers };
}

function readable<T>(read: Reader<T>, nodes: readonly (NsdbNode | null)[], unreadable: Unreadable): T[] {
  return nodes.flatMap((node) => {
    if (node === null) return [];
    try {
      return [decode(read, node.data, node.path)];
    } catch (error) {
      unreadable(error);
      return [];
    }
  });
}
