import { MidotraceError } from "#core/base";
import { parseIpv4 } from "#core/packets";
import type { TopologyDocument } from "#core/topology";

export interface HostPlan {
  readonly name: string;
  /** Dotted. */
  readonly tunnelIp: string;
}

export interface UnderlayPlan {
  readonly hosts: readonly HostPlan[];
  /** Of the one subnet that all tunnel addresses are in. */
  readonly prefixLength: number;
}

/** All hosts on one segment are in one network of this size, or a larger one. */
const LONGEST_PREFIX = 24;

/**
 * The physical network that the document's tunnel zones ask for: one segment with every host on it.
 * @throws MidotraceError VALIDATION when a host is in no tunnel zone, or two have one address.
 */
export function planUnderlay(document: Pick<TopologyDocument, "hosts" | "tunnelZones">): UnderlayPlan {
  const hosts = document.hosts.map(({ name }) => {
    const tunnelIp = document.tunnelZones.map((z) => z.hosts[name]).find((a) => a !== undefined);
    if (tunnelIp === undefined)
      throw new MidotraceError("VALIDATION", `host ${name} is in no tunnel zone, so it has no address to reach it by`);
    return { name, tunnelIp };
  });
  const addresses = hosts.map((h) => parseIpv4(h.tunnelIp) as number);
  for (const [i, address] of addresses.entries()) {
    const twin = addresses.indexOf(address);
    if (twin === i) continue;
    throw new MidotraceError("VALIDATION", `${hosts[twin]?.name} and ${hosts[i]?.name} have one tunnel address`);
  }
  return { hosts, prefixLength: commonPrefix(addresses) };
}

function commonPrefix(addresses: readonly number[]): number {
  const first = addresses[0] ?? 0;
  let differing = 0;
  for (const a of addresses) differing |= a ^ first;
  return Math.min(LONGEST_PREFIX, Math.clz32(differing));
}
