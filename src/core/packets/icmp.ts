import { type ByteWriter, readU16, readU32, writeU16 } from "#core/base";
import type { Ipv4 } from "./addresses.ts";
import { internetChecksum } from "./checksum.ts";
import { type Ipv4Layer, PROTO_ICMP, PROTO_TCP, PROTO_UDP, decodeIpv4, isIpv4Fragment } from "./ipv4.ts";
import type { Decoded, UndecodedReason } from "./undecoded.ts";

/*
 * ICMP, RFC 792; next-hop MTU RFC 1191 §4
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+---------------+-------------------------------+
 * |     Type      |     Code      |          Checksum             |
 * |  identifier, sequence  /  unused, MTU  /  gateway  /  pointer |
 * |  data                  /  quoted IP header and data           |
 */
export const ICMP_ECHO_REPLY = 0;
export const ICMP_UNREACHABLE = 3;
export const ICMP_SOURCE_QUENCH = 4;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO_REQUEST = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETER_PROBLEM = 12;
export const ICMP_HEADER_BYTES = 8;

/** What ICMP and ICMPv6 begin with. */
export interface IcmpCommon {
  readonly type: number;
  readonly code: number;
  /** null on a first fragment, whose checksum covers bytes that are not here. */
  readonly checksumOk: boolean | null;
  /** The checksum field of a first fragment, put back as it came; null otherwise. */
  readonly rawChecksum: number | null;
}

export interface IcmpEchoLayer extends IcmpCommon {
  readonly kind: "icmp-echo";
  readonly id: number;
  readonly seq: number;
}

/** Unreachable, source quench, redirect, time exceeded, parameter problem. */
export interface IcmpErrorLayer extends IcmpCommon {
  readonly kind: "icmp-error";
  /** The second 32-bit word; see icmpMtu and icmpGateway. */
  readonly rest: number;
  /** The quoted packet as on the wire: what the encoder writes back, unrepaired. */
  readonly quote: Uint8Array;
  /** What could be read of `quote`; the encoder ignores it. */
  readonly quoted: QuotedPacket | null;
}

export interface IcmpOtherLayer extends IcmpCommon {
  readonly kind: "icmp-other";
  readonly rest: number;
}

export type IcmpLayer = IcmpEchoLayer | IcmpErrorLayer | IcmpOtherLayer;

/** The packet an error speaks of, as far as its quote goes. */
export interface QuotedPacket {
  readonly ip: Ipv4Layer;
  /** Total length the original packet announced, in bytes. */
  readonly totalLength: number;
  /** TCP or UDP. */
  readonly ports: { readonly src: number; readonly dst: number } | null;
  /** ICMP; id and seq are those of an echo, otherwise the second word's halves. */
  readonly icmp: { readonly type: number; readonly code: number; readonly id: number; readonly seq: number } | null;
}

export function isIcmpError(type: number): boolean {
  return (
    type === ICMP_UNREACHABLE ||
    type === ICMP_SOURCE_QUENCH ||
    type === ICMP_REDIRECT ||
    type === ICMP_TIME_EXCEEDED ||
    type === ICMP_PARAMETER_PROBLEM
  );
}

/** Next-hop MTU in bytes of "fragmentation needed"; null for other messages and for routers that give none. */
export function icmpMtu(l: IcmpErrorLayer): number | null {
  const mtu = l.rest & 0xffff;
  return l.type === ICMP_UNREACHABLE && l.code === 4 && mtu !== 0 ? mtu : null;
}

export function icmpGateway(l: IcmpErrorLayer): Ipv4 | null {
  return l.type === ICMP_REDIRECT ? (l.rest as Ipv4) : null;
}

/** @returns null when not even the quoted IP header is whole. */
export function decodeQuote(b: Uint8Array, offset: number, end: number): QuotedPacket | null {
  const header = decodeIpv4(b, offset, end);
  if (typeof header === "string") return null;
  const ip = header.layer;
  const at = header.start;
  const available = Math.min(end, header.end) - at;
  const whole = ip.fragmentOffset === 0;
  const hasPorts = whole && available >= 4 && (ip.protocol === PROTO_TCP || ip.protocol === PROTO_UDP);
  const hasIcmp = whole && available >= 8 && ip.protocol === PROTO_ICMP;
  return {
    ip,
    totalLength: header.end - offset,
    ports: hasPorts ? { src: readU16(b, at), dst: readU16(b, at + 2) } : null,
    icmp: hasIcmp
      ? { type: b[at] as number, code: b[at + 1] as number, id: readU16(b, at + 4), seq: readU16(b, at + 6) }
      : null,
  };
}

export function decodeIcmp(
  b: Uint8Array,
  offset: number,
  end: number,
  ip: Ipv4Layer,
): Decoded<IcmpLayer> | UndecodedReason {
  if (end - offset < ICMP_HEADER_BYTES) return "truncated";
  const type = b[offset] as number;
  const code = b[offset + 1] as number;
  const fragment = isIpv4Fragment(ip);
  const checksumOk = fragment ? null : internetChecksum(b, offset, end) === 0;
  const rawChecksum = fragment ? readU16(b, offset + 2) : null;
  const start = offset + ICMP_HEADER_BYTES;
  if (type === ICMP_ECHO_REQUEST || type === ICMP_ECHO_REPLY) {
    const id = readU16(b, offset + 4);
    const seq = readU16(b, offset + 6);
    return { layer: { kind: "icmp-echo", type, code, id, seq, checksumOk, rawChecksum }, start, end };
  }
  const rest = readU32(b, offset + 4);
  if (!isIcmpError(type)) {
    return { layer: { kind: "icmp-other", type, code, rest, checksumOk, rawChecksum }, start, end };
  }
  const quote = b.subarray(start, end);
  const quoted = decodeQuote(b, start, end);
  return {
    layer: { kind: "icmp-error", type, code, rest, quote, quoted, checksumOk, rawChecksum },
    start: end,
    end,
  };
}

export function writeIcmp(w: ByteWriter, l: IcmpLayer): void {
  w.u8(l.type).u8(l.code).u16(0);
  if (l.kind === "icmp-echo") w.u16(l.id).u16(l.seq);
  else w.u32(l.rest);
  if (l.kind === "icmp-error") w.append(l.quote);
}

export function finishIcmp(b: Uint8Array, start: number, end: number, l: IcmpLayer, ip: Ipv4Layer): void {
  const raw = isIpv4Fragment(ip) ? l.rawChecksum : null;
  writeU16(b, start + 2, raw ?? internetChecksum(b, start, end));
}
