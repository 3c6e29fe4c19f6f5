/**
 * What agents say of the moment: alive, interfaces, active ports, learned tables. Ephemeral nodes, each written by one commit
 * outside of the topology's transactions, and gone with the session of the agent.
 */
import type { BridgeId, HostId, PortId, RouterId } from "#core/base";
import { parseStaticMac, readStaticMac } from "./bridge-tables.ts";
import { decode, encode, int, list, nullable, object, text } from "./codec.ts";
import { dropNode, ownNode } from "./ephemeral.ts";
import { EMPTY } from "./objects.ts";
import {
  bridgeVlansPath,
  hostAlivePath,
  hostInterfacePath,
  hostInterfacesPath,
  macTablePath,
  portActivePath,
  routerArpPath,
  staticMacsPath,
} from "./paths.ts";
import type { NsdbStore } from "./store.ts";
import { guard } from "./tx.ts";

export interface HostInterface {
  readonly name: string;
  readonly mac: string | null;
  readonly mtu: number;
  /** Bit 0: up, bit 1: link. */
  readonly status: number;
  /** MidoNet's words: Physical, Virtual, Tunnel, Unknown. */
  readonly type: string;
  /** DATAPATH, PHYSICAL, VM, GRE, CAPWAP, LOCALHOST, TUNTAP, UNKNOWN. */
  readonly endpoint: string;
  /** NetDev, Internal, Gre, VXLan, Gre64, Lisp; null outside of the datapath. */
  readonly portType: string | null;
  readonly addresses: readonly string[];
}

export interface MacEntry {
  /** "aa:bb:cc:dd:ee:ff" */
  readonly mac: string;
  readonly portId: PortId;
  /** 0: untagged. */
  readonly vlan: number;
}

export interface ListedMac extends MacEntry {
  /** Written by an administrator: no learning changes it. */
  readonly fixed?: true;
}

export interface ArpEntry {
  /** Dotted quad. */
  readonly ip: string;
  /** Null while asked for. */
  readonly mac: string | null;
  /** Wall clock, milliseconds. */
  readonly lastArpMs: number;
  readonly staleMs: number;
  readonly expiryMs: number;
}

export const readInterface = object<HostInterface>({
  name: text(),
  mac: nullable(text()),
  mtu: int,
  status: int,
  type: text(),
  endpoint: text(),
  portType: nullable(text()),
  addresses: list(text()),
});

export const readArp = object<ArpEntry>({
  ip: text(),
  mac: nullable(text()),
  lastArpMs: int,
  staleMs: int,
  expiryMs: int,
});

export class HostState {
  private readonly store: NsdbStore;

  constructor(store: NsdbStore) {
    this.store = store;
  }

  /** @throws MidotraceError NOT_FOUND for the host; STORE_UNAVAILABLE. */
  async setAlive(host: HostId): Promise<void> {
    await this.own(hostAlivePath(host), EMPTY, `host ${host}`);
  }

  /** @throws MidotraceError STORE_UNAVAILABLE */
  async clearAlive(host: HostId): Promise<void> {
    await this.drop(hostAlivePath(host));
  }

  /** @throws MidotraceError STORE_UNAVAILABLE */
  async isAlive(host: HostId): Promise<boolean> {
    return guard(async () => (await this.store.get(hostAlivePath(host))) !== null);
  }

  /** @throws MidotraceError NOT_FOUND for the port; STORE_UNAVAILABLE. */
  async setPortActive(port: PortId, host: HostId): Promise<void> {
    await this.own(`${portActivePath(port)}/${host}`, EMPTY, `port ${port}`);
  }

  /** @throws MidotraceError STORE_UNAVAILABLE */
  async clearPortActive(port: PortId, host: HostId): Promise<void> {
    await this.drop(`${portActivePath(port)}/${host}`);
  }

  /** The hosts that have the port's interface up: one, or for a moment two while a binding moves. @throws MidotraceError STORE_UNAVAILABLE */
  async activeHosts(port: PortId): Promise<HostId[]> {
    return guard(async () => (await this.store.children(portActivePath(port))) as HostId[]);
  }

  /** @throws MidotraceError NOT_FOUND for the host; STORE_UNAVAILABLE. */
  async putInterface(host: HostId, data: HostInterface): Promise<void> {
    const path = hostInterfacePath(host, data.name);
    await this.own(path, encode(readInterface, data, path), `host ${host}`);
  }

  /** @throws MidotraceError STORE_UNAVAILABLE */
  async removeInterface(host: HostId, name: string): Promise<void> {
    await this.drop(hostInterfacePath(host, name));
  }

  /** @throws MidotraceError STORE_UNAVAILABLE */
  async interfaces(host: HostId): Promise<HostInterface[]> {
    return this.below(hostInterfacesPath(host), (data, path) => decode(readInterface, data, path));
  }

  /**
   * Says that the MAC is behind the port, from now on: it wins over every entry made before, also one of the same content.
   * @throws MidotraceError NOT_FOUND for the bridge; STORE_UNAVAILABLE.
   */
  async putMac(bridge: BridgeId, entry: MacEntry): Promise<void> {
    const table = macTablePath(bridge, entry.vlan);
    const path = `${table}/${entry.mac},${entry.portId}`;
    const parents = entry.vlan === 0 ? [] : [`${bridgeVlansPath(bridge)}/${entry.vlan}`, table];
    await this.own(path, EMPTY, `bridge ${bridge}`, parents);
  }

  /** @throws MidotraceError STORE_UNAVAILABLE */
  async removeMac(bridge: BridgeId, entry: MacEntry): Promise<void> {
    await this.drop(`${macTablePath(bridge, entry.vlan)}/${entry.mac},${entry.portId}`);
  }

  /** One entry per MAC: the one that an administrator wrote, else the newest. @throws MidotraceError STORE_UNAVAILABLE */
  async macs(bridge: BridgeId, vlan: number): Promise<ListedMac[]> {
    const table = macTablePath(bridge, vlan);
    const newest = new Map<string, { readonly entry: ListedMac; readonly zxid: number }>();
    const fixed = await this.staticMacs(bridge, vlan);
    await guard(async () => {
      const names = await this.store.children(table);
      const nodes = await this.store.getMany(names.map((n) => `${table}/${n}`));
      for (const [i, name] of names.entries()) {
        const node = nodes[i];
        const [mac, portId] = name.split(",");
        if (!node || mac === undefined || portId === undefined) continue;
        const zxid = node.createdZxid;
        if ((newest.get(mac)?.zxid ?? -1) < zxid)
          newest.set(mac, { entry: { mac, portId: portId as PortId, vlan }, zxid });
      }
    });
    for (const entry of fixed) newest.set(entry.mac, { entry, zxid: Infinity });
    return [...newest.values()].map((e) => e.entry);
  }

  /** VLANs that have a table, sorted; without 0. @throws MidotraceError STORE_UNAVAILABLE */
  async macVlans(bridge: BridgeId): Promise<number[]> {
    const [learned, fixed] = await guard(() =>
      Promise.all([this.store.children(bridgeVlansPath(bridge)), this.store.children(staticMacsPath(bridge))]),
    );
    const vlans = new Set([...learned.map(Number), ...fixed.flatMap((name) => parseStaticMac(name)?.vlan ?? [])]);
    vlans.delete(0);
    return [...vlans].sort((a, b) => a - b);
  }

  private async staticMacs(bridge: BridgeId, vlan: number): Promise<ListedMac[]> {
    const directory = staticMacsPath(bridge);
    const names = await guard(() => this.store.children(directory));
    const entries = names.flatMap((name) => {
      const entry = parseStaticMac(name);
      return entry?.vlan === vlan ? [{ ...entry, path: `${directory}/${name}` }] : [];
    });
    if (entries.length === 0) return [];
    const nodes = await guard(() => this.store.getMany(entries.map((e) => e.path)));
    return entries.flatMap(({ mac, path }, i) => {
      const node = nodes[i];
      if (!node) return [];
      try {
        return [{ mac, vlan, portId: decode(readStaticMac, node.data, path).portId, fixed: true }];
      } catch {
        return [];
      }
    });
  }

  /** @throws MidotraceError NOT_FOUND for the router; STORE_UNAVAILABLE. */
  async putArp(router: RouterId, entry: ArpEntry): Promise<void> {
    const path = `${routerArpPath(router)}/${entry.ip}`;
    await this.own(path, encode(readArp, entry, path), `router ${router}`);
  }

  /** @throws MidotraceError STORE_UNAVAILABLE */
  async removeArp(router: RouterId, ip: string): Promise<void> {
    await this.drop(`${routerArpPath(router)}/${ip}`);
  }

  /** @throws MidotraceError STORE_UNAVAILABLE */
  async arp(router: RouterId): Promise<ArpEntry[]> {
    return this.below(routerArpPath(router), (data, path) => decode(readArp, data, path));
  }

  /** One that makes no sense must not keep anybody from the others: it is left out. */
  private async below<T>(directory: string, read: (data: string, path: string) => T): Promise<T[]> {
    return guard(async () => {
      const paths = (await this.store.children(directory)).map((name) => `${directory}/${name}`);
      const nodes = await this.store.getMany(paths);
      return nodes.flatMap((node) => {
        try {
          return node ? [read(node.data, node.path)] : [];
        } catch {
          return [];
        }
      });
    });
  }

  private own(path: string, data: string, owner: string, parents: readonly string[] = []): Promise<void> {
    return ownNode(this.store, path, data, owner, parents);
  }

  private drop(path: string): Promise<void> {
    return dropNode(this.store, path);
  }
}
