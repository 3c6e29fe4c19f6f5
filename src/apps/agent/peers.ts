import { type FlowTag, peerTag } from "#core/flows";
import type { Ipv4 } from "#core/packets";
import type { Peer } from "./shared-state.ts";

/** Tunnel addresses and names of the hosts this one can reach. */
export class Peers {
  private byHost = new Map<string, Peer>();
  private byIp = new Map<number, Peer>();
  own: Ipv4 | null = null;

  tunnelIpOf(hostId: string): Ipv4 | null {
    return this.byHost.get(hostId)?.tunnelIp ?? null;
  }

  nameOf(hostId: string): string {
    return this.byHost.get(hostId)?.name ?? hostId;
  }

  at(ip: number): Peer | null {
    return this.byIp.get(ip) ?? null;
  }

  /** Returns the tags of the hosts whose address changed. */
  replace(own: Ipv4 | null, peers: readonly Peer[]): FlowTag[] {
    const tags: FlowTag[] = [];
    const now = new Map(peers.map((p) => [p.hostId, p]));
    for (const id of new Set([...now.keys(), ...this.byHost.keys()])) {
      if (now.get(id)?.tunnelIp !== this.byHost.get(id)?.tunnelIp) tags.push(peerTag(id));
    }
    this.own = own;
    this.byHost = now;
    this.byIp = new Map(peers.map((p) => [p.tunnelIp as number, p]));
    return tags;
  }
}
