import type { BridgeId, RouterId } from "#core/base";
import { arpTag, macPortTag } from "#core/flows";
import type { HostState, ListedMac } from "#core/nsdb";
import { formatIpv4, formatMac, parseMac } from "#core/packets";
import type { ArpEntry, FlowState, MacEntry } from "#core/simulation";
import type { BridgeDevice, RouterDevice } from "#core/topology";

/**
 * What the agents have learned, read from the store as a simulation asks for it: a lookup in a table that is not there
 * yet is noted and answered with "unknown"; after the pass the table is loaded and the packet simulated again. Loads the
 * tables of the devices on the packet's way and no others.
 */
export class LoadingState implements FlowState {
  private readonly state: HostState;
  private readonly macs = new Map<string, ReadonlyMap<string, ListedMac>>();
  private readonly arps = new Map<RouterId, ReadonlyMap<string, number>>();
  private readonly wanted = new Map<string, () => Promise<void>>();

  constructor(state: HostState) {
    this.state = state;
  }

  mac(bridge: BridgeDevice, vlan: number, mac: number): MacEntry | null {
    const key = `${bridge.id} ${vlan}`;
    const table = this.macs.get(key);
    if (table === undefined) {
      this.wanted.set(key, () => this.loadMacs(bridge.id, vlan, key));
      return null;
    }
    const entry = table.get(formatMac(mac));
    if (entry === undefined) return null;
    const { portId: port, fixed = false } = entry;
    return { port, fixed, tag: macPortTag(bridge.id, vlan, mac, port) };
  }

  arp(router: RouterDevice, ip: number): ArpEntry | null {
    const table = this.arps.get(router.id);
    if (table === undefined) {
      this.wanted.set(router.id, () => this.loadArp(router.id));
      return null;
    }
    const mac = table.get(formatIpv4(ip));
    return mac === undefined ? null : { mac, tag: arpTag(router.id, ip) };
  }

  /** Loads what was asked for. @returns whether that was anything. @throws MidotraceError STORE_UNAVAILABLE */
  async load(): Promise<boolean> {
    const loads = [...this.wanted.values()];
    this.wanted.clear();
    await Promise.all(loads.map((load) => load()));
    return loads.length > 0;
  }

  /** The MAC of a neighbour of a router, null when the router does not know it. @throws MidotraceError STORE_UNAVAILABLE */
  async neighbour(router: RouterId, ip: number): Promise<number | null> {
    if (!this.arps.has(router)) await this.loadArp(router);
    return this.arps.get(router)?.get(formatIpv4(ip)) ?? null;
  }

  private async loadMacs(bridge: BridgeId, vlan: number, key: string): Promise<void> {
    const entries = await this.state.macs(bridge, vlan);
    this.macs.set(key, new Map(entries.map((e) => [e.mac, e])));
  }

  private async loadArp(router: RouterId): Promise<void> {
    const known = new Map<string, number>();
    for (const entry of await this.state.arp(router)) {
      const mac = entry.mac === null ? null : parseMac(entry.mac);
      if (mac !== null) known.set(entry.ip, mac);
    }
    this.arps.set(router, known);
  }
}
