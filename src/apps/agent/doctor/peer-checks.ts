import { HostState } from "#core/nsdb";
import { TUNNEL_OVERHEAD_BYTES } from "./tunnel-checks.ts";
import type { Check, Examination, Pinged, Probes } from "./examination.ts";
import { fail, type Finding, namesLine, ok, unknown, warn } from "./finding.ts";

interface Peer {
  readonly hostId: string;
  readonly name: string;
  readonly address: string;
}

/** Peers that are asked at one time. */
const AT_ONCE = 16;

/** The hosts that share a tunnel zone with this one. */
export function peersOf({ hostId, members, hosts }: Pick<Examination, "hostId" | "members" | "hosts">): Peer[] {
  const zones = new Set(members.filter((m) => m.hostId === hostId).map((m) => m.tunnelZoneId));
  const peers = new Map<string, Peer>();
  for (const m of members) {
    if (m.hostId === hostId || !zones.has(m.tunnelZoneId) || peers.has(m.hostId)) continue;
    const name = hosts.find((h) => h.id === m.hostId)?.name ?? m.hostId;
    peers.set(m.hostId, { hostId: m.hostId, name, address: m.ipAddress });
  }
  return [...peers.values()];
}

/** Whether each peer answers, and how large a packet reaches it. */
export const peerReachability: Check = {
  name: "peers",
  timeoutMs: 60_000,
  async run(at, probes) {
    const name = "peers";
    const { store, tunnelInterface: facts, tunnelIp } = at;
    if (store === null || at.hostId === null)
      return [
        unknown(
          name,
          "which hosts are peers is not known",
          "put the lines about the store and the host's id in order first",
        ),
      ];
    const peers = peersOf(at);
    if (facts === null || tunnelIp === null)
      return [
        unknown(
          name,
          `whether the ${peers.length} peers can be reached is not known: no interface has the tunnel address`,
          "put the line about the tunnel address in order first",
        ),
      ];
    if (peers.length === 0) return [ok(name, "no other host is in this host's tunnel zones")];
    const findings: Finding[] = [];
    const good: string[] = [];
    for (let i = 0; i < peers.length; i += AT_ONCE) {
      const some = peers.slice(i, i + AT_ONCE);
      const answers = await Promise.all(some.map((peer) => askPeer(at, probes, peer, tunnelIp, facts.mtu)));
      for (const [n, finding] of answers.entries()) {
        if (finding === null) good.push(some[n]?.name ?? "");
        else findings.push(finding);
      }
    }
    if (good.length > 0)
      findings.unshift(
        ok(name, `packets of ${facts.mtu} bytes reach ${namesLine(good)} (${good.length} of ${peers.length} peers)`),
      );
    return findings;
  },
};

/** Null: all is well. */
async function askPeer(
  at: Examination,
  probes: Probes,
  peer: Peer,
  from: string,
  mtu: number,
): Promise<Finding | null> {
  const check = "peers";
  const who = `peer ${peer.name} (${peer.address})`;
  const small = await probes.ping(from, peer.address, null);
  if (isTrouble(small))
    return unknown(
      check,
      `whether ${who} can be reached is not known: ${small.trouble}`,
      "apt-get install iputils-ping, and run this as root",
    );
  if (small === "silent") {
    const alive = at.store === null ? false : await new HostState(at.store).isAlive(peer.hostId as never);
    const see = `ip route get ${peer.address}; ip neigh show ${peer.address}; let ICMP and UDP port 4789 pass between the hosts`;
    return alive
      ? fail(check, `${who} does not answer, and its agent is alive`, see)
      : warn(
          check,
          `${who} does not answer, and its agent is not alive either`,
          `start that host if it should run; else ${see}`,
        );
  }
  const full = await probes.ping(from, peer.address, mtu);
  if (full === "answered") return null;
  if (isTrouble(full))
    return unknown(check, `how large a packet reaches ${who} is not known: ${full.trouble}`, "run this as root");
  const largest = await largestPacket((bytes) => probes.ping(from, peer.address, bytes), mtu);
  const advice = `raise the MTU to ${mtu} on all that lies between the hosts (tracepath -n ${peer.address}), or lower that of VMs to ${largest - TUNNEL_OVERHEAD_BYTES}`;
  return fail(check, `packets of up to ${largest} bytes reach ${who}, and ${mtu} are sent`, advice);
}

const isTrouble = (answer: Pinged): answer is { readonly trouble: string } => typeof answer === "object";

/** Of a packet that every host has to take (RFC 791): smaller ones are not tried. */
const SURE_BYTES = 68;

/**
 * The largest packet that is answered, by halving. `tooLarge` was tried before.
 * @returns bytes of the IP packet; `SURE_BYTES` when not even a slightly larger one is answered.
 */
export async function largestPacket(ping: (bytes: number) => Promise<Pinged>, tooLarge: number): Promise<number> {
  let low = SURE_BYTES;
  let high = tooLarge;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((await ping(middle)) === "answered") low = middle;
    else high = middle;
  }
  return low;
}

export const PEER_CHECKS: readonly Check[] = [peerReachability];
