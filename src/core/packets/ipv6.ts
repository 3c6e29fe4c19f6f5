import { type ByteWriter, readU16, readU32, writeU16 } from "#core/base";
import { type Ipv6, readIpv6 } from "./addresses.ts";
import type { Decoded, UndecodedReason } from "./undecoded.ts";

/*
 * IPv6, RFC 8200 §3; extension headers §4, authentication header RFC 4302 §2
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-------+---------------+---------------------------------------+
 * |Version| Traffic Class |              Flow Label               |
 * +-------+---------------+-------+---------------+---------------+
 * |         Payload Length        |  Next Header  |   Hop Limit   |
 * +-------------------------------+---------------+---------------+
 * |                   Source Address (16 bytes)                   |
 * |                 Destination Address (16 bytes)                |
 */
export const IPV6_HEADER_BYTES = 40;
export const IPV6_HOP_BY_HOP = 0;
export const IPV6_ROUTING = 43;
export const IPV6_FRAGMENT = 44;
export const IPV6_AUTH = 51;
export const IPV6_NO_NEXT = 59;
export const IPV6_DEST_OPTIONS = 60;
/** Extension headers followed before the decoder gives up. */
export const MAX_IPV6_EXTENSIONS = 16;

export interface Ipv6Extension {
  /** The protocol number of this header (0, 43, 44, 51 or 60). */
  readonly protocol: number;
  /** The whole header as on the wire; its first byte is the next header's protocol number. */
  readonly bytes: Uint8Array;
}

export interface Ipv6Layer {
  readonly kind: "ipv6";
  readonly trafficClass: number;
  /** 20 bits. */
  readonly flowLabel: number;
  readonly hopLimit: number;
  readonly src: Ipv6;
  readonly dst: Ipv6;
  readonly extensions: readonly Ipv6Extension[];
  /** The protocol after the last extension header in `extensions`. */
  readonly protocol: number;
  /** From the fragment header, if there is one; `offset` in bytes. */
  readonly fragment: { readonly offset: number; readonly more: boolean; readonly id: number } | null;
}

/** An atomic fragment (offset 0, no more: RFC 6946) is a whole packet. */
export function isIpv6Fragment(l: Ipv6Layer): boolean {
  return l.fragment !== null && (l.fragment.more || l.fragment.offset !== 0);
}

export function isIpv6Extension(protocol: number): boolean {
  return (
    protocol === IPV6_HOP_BY_HOP ||
    protocol === IPV6_ROUTING ||
    protocol === IPV6_FRAGMENT ||
    protocol === IPV6_AUTH ||
    protocol === IPV6_DEST_OPTIONS
  );
}

/** Length in bytes of the extension header at `at`, whose first two bytes must be there. */
export function ipv6ExtensionBytes(b: Uint8Array, at: number, protocol: number): number {
  if (protocol === IPV6_FRAGMENT) return 8;
  const units = b[at + 1] as number;
  return protocol === IPV6_AUTH ? (units + 2) * 4 : (units + 1) * 8;
}

/**
 * Header and extension headers, the latter only as far as they are whole: an extension that does not fit stays in the
 * payload and is then the `protocol`. `end` may lie behind the end of the buffer, as with decodeIpv4. What follows the
 * fragment header of a later fragment is payload, whatever its number says.
 * @returns "truncated", "bad-version", or "bad-length" (a jumbogram, RFC 2675, which no Ethernet carries).
 */
export function decodeIpv6(b: Uint8Array, offset: number, end: number): Decoded<Ipv6Layer> | UndecodedReason {
  if (end - offset < IPV6_HEADER_BYTES) return "truncated";
  const word = readU32(b, offset);
  if (word >>> 28 !== 6) return "bad-version";
  const payloadLength = readU16(b, offset + 4);
  let protocol = b[offset + 6] as number;
  if (payloadLength === 0 && protocol === IPV6_HOP_BY_HOP) return "bad-length";
  const packetEnd = offset + IPV6_HEADER_BYTES + payloadLength;
  const limit = Math.min(packetEnd, end);
  const extensions: Ipv6Extension[] = [];
  let fragment: Ipv6Layer["fragment"] = null;
  let at = offset + IPV6_HEADER_BYTES;
  while (isIpv6Extension(protocol) && extensions.length < MAX_IPV6_EXTENSIONS && at + 8 <= limit) {
    const size = ipv6ExtensionBytes(b, at, protocol);
    if (at + size > limit) break;
    extensions.push({ protocol, bytes: b.subarray(at, at + size) });
    if (protocol === IPV6_FRAGMENT && fragment === null) {
      const word = readU16(b, at + 2);
      fragment = { offset: word & 0xfff8, more: (word & 1) !== 0, id: readU32(b, at + 4) };
    }
    protocol = b[at] as number;
    at += size;
    if (fragment !== null && fragment.offset !== 0) break;
  }
  const layer: Ipv6Layer = {
    kind: "ipv6",
    trafficClass: (word >>> 20) & 255,
    flowLabel: word & 0xf_ffff,
    hopLimit: b[offset + 7] as number,
    src: readIpv6(b, offset + 8),
    dst: readIpv6(b, offset + 24),
    extensions,
    protocol,
    fragment,
  };
  return { layer, start: at, end: packetEnd };
}

/** Writes the headers with payload length 0; `finishIpv6` fills it in. */
export function writeIpv6(w: ByteWriter, l: Ipv6Layer): void {
  w.u32(((6 << 28) | (l.trafficClass << 20) | l.flowLabel) >>> 0).u16(0);
  w.u8(l.extensions[0]?.protocol ?? l.protocol).u8(l.hopLimit);
  writeAddress(w, l.src);
  writeAddress(w, l.dst);
  for (const extension of l.extensions) w.append(extension.bytes);
}

export function finishIpv6(b: Uint8Array, start: number, end: number): void {
  writeU16(b, start + 4, (end - start - IPV6_HEADER_BYTES) & 0xffff);
}

function writeAddress(w: ByteWriter, ip: bigint): void {
  w.u64((ip >> 64n) & 0xffff_ffff_ffff_ffffn).u64(ip & 0xffff_ffff_ffff_ffffn);
}
