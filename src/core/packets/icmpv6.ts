import { type ByteWriter, readU16, readU32, writeU16 } from "#core/base";
import type { IcmpCommon } from "./icmp.ts";
import { type Ipv6Layer, isIpv6Fragment } from "./ipv6.ts";
import { transportChecksum } from "./transport.ts";
import type { Decoded, UndecodedReason } from "./undecoded.ts";

/*
 * ICMPv6, RFC 4443 §2.1; the same outline as ICMP, with the pseudo header in its checksum
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+---------------+-------------------------------+
 * |     Type      |     Code      |          Checksum             |
 * |  body                                                         |
 */
export const PROTO_ICMPV6 = 58;
export const ICMPV6_PACKET_TOO_BIG = 2;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;

export interface Icmpv6EchoLayer extends IcmpCommon {
  readonly kind: "icmpv6-echo";
  readonly id: number;
  readonly seq: number;
}

/** Types below 128 (RFC 4443 §2.1). */
export interface Icmpv6ErrorLayer extends IcmpCommon {
  readonly kind: "icmpv6-error";
  /** The second 32-bit word: MTU of "packet too big", pointer of "parameter problem". */
  readonly rest: number;
  /** As much of the offending packet as came with it. */
  readonly quote: Uint8Array;
}

/** Everything else (neighbour discovery, multicast listeners ...): the body follows as payload. */
export interface Icmpv6OtherLayer extends IcmpCommon {
  readonly kind: "icmpv6-other";
}

export type Icmpv6Layer = Icmpv6EchoLayer | Icmpv6ErrorLayer | Icmpv6OtherLayer;

export function decodeIcmpv6(
  b: Uint8Array,
  offset: number,
  end: number,
  ip: Ipv6Layer,
): Decoded<Icmpv6Layer> | UndecodedReason {
  if (end - offset < 4) return "truncated";
  const type = b[offset] as number;
  const code = b[offset + 1] as number;
  const fragment = isIpv6Fragment(ip);
  const checksumOk = fragment ? null : transportChecksum(b, offset, end, ip) === 0;
  const rawChecksum = fragment ? readU16(b, offset + 2) : null;
  const echo = type === ICMPV6_ECHO_REQUEST || type === ICMPV6_ECHO_REPLY;
  if (type >= 128 && !echo) {
    return { layer: { kind: "icmpv6-other", type, code, checksumOk, rawChecksum }, start: offset + 4, end };
  }
  if (end - offset < 8) return "truncated";
  if (echo) {
    const id = readU16(b, offset + 4);
    const seq = readU16(b, offset + 6);
    return { layer: { kind: "icmpv6-echo", type, code, id, seq, checksumOk, rawChecksum }, start: offset + 8, end };
  }
  const rest = readU32(b, offset + 4);
  const quote = b.subarray(offset + 8, end);
  return { layer: { kind: "icmpv6-error", type, code, rest, quote, checksumOk, rawChecksum }, start: end, end };
}

export function writeIcmpv6(w: ByteWriter, l: Icmpv6Layer): void {
  w.u8(l.type).u8(l.code).u16(0);
  if (l.kind === "icmpv6-echo") w.u16(l.id).u16(l.seq);
  else if (l.kind === "icmpv6-error") w.u32(l.rest).append(l.quote);
}

export function finishIcmpv6(b: Uint8Array, start: number, end: number, l: Icmpv6Layer, ip: Ipv6Layer): void {
  const raw = isIpv6Fragment(ip) ? l.rawChecksum : null;
  writeU16(b, start + 2, raw ?? transportChecksum(b, start, end, ip));
}
