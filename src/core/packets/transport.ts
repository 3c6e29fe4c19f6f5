import { pseudoSumV4, pseudoSumV6, finishChecksum, sumBytes } from "./checksum.ts";
import { type Ipv4Layer, isIpv4Fragment } from "./ipv4.ts";
import { type Ipv6Layer, isIpv6Fragment } from "./ipv6.ts";

/** The IP header a transport header stands under: its addresses are part of the checksum. */
export type IpLayer = Ipv4Layer | Ipv6Layer;

export function isFragment(ip: IpLayer): boolean {
  return ip.kind === "ipv4" ? isIpv4Fragment(ip) : isIpv6Fragment(ip);
}

/** Bytes from the start of the datagram; 0 for a whole packet and for a first fragment. */
export function fragmentOffsetOf(ip: IpLayer): number {
  return ip.kind === "ipv4" ? ip.fragmentOffset : (ip.fragment?.offset ?? 0);
}

/** Checksum of `b[from, to)` under the pseudo header of `ip`; 0 when the range contains its right checksum. */
export function transportChecksum(b: Uint8Array, from: number, to: number, ip: IpLayer): number {
  const pseudo =
    ip.kind === "ipv4"
      ? pseudoSumV4(ip.src, ip.dst, ip.protocol, to - from)
      : pseudoSumV6(ip.src, ip.dst, ip.protocol, to - from);
  return finishChecksum(sumBytes(b, from, to, pseudo));
}
