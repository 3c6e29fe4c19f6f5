import { type ByteWriter, readU16, writeU16 } from "#core/base";
import { type IpLayer, isFragment, transportChecksum } from "./transport.ts";
import type { Decoded, UndecodedReason } from "./undecoded.ts";

/*
 * UDP, RFC 768
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-------------------------------+-------------------------------+
 * |          Source Port          |       Destination Port        |
 * |            Length             |            Checksum           |
 * +-------------------------------+-------------------------------+
 */
export const UDP_HEADER_BYTES = 8;

export interface UdpLayer {
  readonly kind: "udp";
  readonly srcPort: number;
  readonly dstPort: number;
  /** The field is 0, "none was computed": stays 0 over IPv4; over IPv6 it is wrong (RFC 8200 §8.1) and gets computed. */
  readonly noChecksum: boolean;
  /** null on a first fragment, whose checksum covers bytes that are not here. */
  readonly checksumOk: boolean | null;
  /** Length and checksum fields of a first fragment, put back as they came; null otherwise. */
  readonly raw: { readonly length: number; readonly checksum: number } | null;
  /** Bytes of the IP packet behind the UDP length (RFC 9868 puts options there); not covered by the checksum. */
  readonly surplus: Uint8Array;
}

/** @returns "bad-length" when the length field is below 8 or, unless a first fragment, exceeds the IP payload. */
export function decodeUdp(
  b: Uint8Array,
  offset: number,
  end: number,
  ip: IpLayer,
): Decoded<UdpLayer> | UndecodedReason {
  if (end - offset < UDP_HEADER_BYTES) return "truncated";
  const length = readU16(b, offset + 4);
  const checksum = readU16(b, offset + 6);
  const fragment = isFragment(ip);
  if (!fragment && (length < UDP_HEADER_BYTES || offset + length > end)) return "bad-length";
  const udpEnd = fragment ? end : offset + length;
  const noChecksum = checksum === 0;
  const layer: UdpLayer = {
    kind: "udp",
    srcPort: readU16(b, offset),
    dstPort: readU16(b, offset + 2),
    noChecksum,
    checksumOk: fragment ? null : noChecksum ? ip.kind === "ipv4" : transportChecksum(b, offset, udpEnd, ip) === 0,
    raw: fragment ? { length, checksum } : null,
    surplus: b.subarray(udpEnd, end),
  };
  return { layer, start: offset + UDP_HEADER_BYTES, end: udpEnd };
}

export function writeUdp(w: ByteWriter, l: UdpLayer): void {
  w.u16(l.srcPort).u16(l.dstPort).u32(0);
}

/** Length and checksum of the datagram `b[start, end)`; a computed 0 is sent as 0xffff. `end` excludes the surplus. */
export function finishUdp(b: Uint8Array, start: number, end: number, l: UdpLayer, ip: IpLayer): void {
  const raw = isFragment(ip) ? l.raw : null;
  writeU16(b, start + 4, raw?.length ?? (end - start) & 0xffff);
  if (raw !== null) writeU16(b, start + 6, raw.checksum);
  else if (!l.noChecksum || ip.kind === "ipv6") writeU16(b, start + 6, transportChecksum(b, start, end, ip) || 0xffff);
}
