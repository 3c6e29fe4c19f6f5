import { type ByteWriter, readU16, readU32, writeU16 } from "#core/base";
import type { Ipv4 } from "./addresses.ts";
import { internetChecksum } from "./checksum.ts";
import type { Decoded, UndecodedReason } from "./undecoded.ts";

/*
 * IPv4, RFC 791 §3.1
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-------+-------+---------------+-------------------------------+
 * |Version|  IHL  |Type of Service|          Total Length         |
 * +-------+-------+---------------+-----+-------------------------+
 * |         Identification        |R|D|M|      Fragment Offset    |
 * +---------------+---------------+-----+-------------------------+
 * |  Time to Live |    Protocol   |         Header Checksum       |
 * +---------------+---------------+-------------------------------+
 * |                       Source Address                          |
 * |                    Destination Address                        |
 * |                    Options, padded to 32 bits                 |
 */
export const PROTO_ICMP = 1;
export const PROTO_TCP = 6;
export const PROTO_UDP = 17;
export const IPV4_HEADER_BYTES = 20;

export interface Ipv4Layer {
  readonly kind: "ipv4";
  /** DSCP and ECN, 8 bits. */
  readonly tos: number;
  readonly id: number;
  readonly reservedFlag: boolean;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  /** In bytes: a multiple of 8, up to 65528. */
  readonly fragmentOffset: number;
  readonly ttl: number;
  readonly protocol: number;
  readonly src: Ipv4;
  readonly dst: Ipv4;
  /** As on the wire, 0 to 40 bytes; the encoder pads to a multiple of 4 with zeros (end of option list). */
  readonly options: Uint8Array;
  readonly checksumOk: boolean;
}

export function isIpv4Fragment(l: Ipv4Layer): boolean {
  return l.moreFragments || l.fragmentOffset !== 0;
}

/**
 * The header alone. `end` of the result is offset + total length and may lie behind the end of the buffer: the caller
 * decides what that means (a truncated frame, or an ICMP quote, which is always cut).
 * @returns "truncated", "bad-version" or "bad-length" (IHL below 5, total length below the header).
 */
export function decodeIpv4(b: Uint8Array, offset: number, end: number): Decoded<Ipv4Layer> | UndecodedReason {
  if (end - offset < IPV4_HEADER_BYTES) return "truncated";
  const first = b[offset] as number;
  if (first >>> 4 !== 4) return "bad-version";
  const headerBytes = (first & 15) * 4;
  const totalLength = readU16(b, offset + 2);
  if (headerBytes < IPV4_HEADER_BYTES || totalLength < headerBytes) return "bad-length";
  if (offset + headerBytes > end) return "truncated";
  const fragment = readU16(b, offset + 6);
  const layer: Ipv4Layer = {
    kind: "ipv4",
    tos: b[offset + 1] as number,
    id: readU16(b, offset + 4),
    reservedFlag: (fragment & 0x8000) !== 0,
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset: (fragment & 0x1fff) * 8,
    ttl: b[offset + 8] as number,
    protocol: b[offset + 9] as number,
    src: readU32(b, offset + 12) as Ipv4,
    dst: readU32(b, offset + 16) as Ipv4,
    options: b.subarray(offset + IPV4_HEADER_BYTES, offset + headerBytes),
    checksumOk: internetChecksum(b, offset, offset + headerBytes) === 0,
  };
  return { layer, start: offset + headerBytes, end: offset + totalLength };
}

/** Writes the header with length and checksum still 0; `finishIpv4` fills them in. Options beyond 40 bytes are cut. */
export function writeIpv4(w: ByteWriter, l: Ipv4Layer): void {
  const options = l.options.length > 40 ? l.options.subarray(0, 40) : l.options;
  const padding = (4 - (options.length & 3)) & 3;
  w.u8(0x40 | ((IPV4_HEADER_BYTES + options.length + padding) / 4)).u8(l.tos);
  w.u16(0).u16(l.id);
  const flags = (l.reservedFlag ? 0x8000 : 0) | (l.dontFragment ? 0x4000 : 0) | (l.moreFragments ? 0x2000 : 0);
  w.u16(flags | ((l.fragmentOffset >>> 3) & 0x1fff));
  w.u8(l.ttl).u8(l.protocol).u16(0).u32(l.src).u32(l.dst).append(options);
  for (let i = 0; i < padding; i++) w.u8(0);
}

/** Total length (modulo 2^16) and header checksum of the header at `start`, whose packet ends at `end`. */
export function finishIpv4(b: Uint8Array, start: number, end: number): void {
  writeU16(b, start + 2, (end - start) & 0xffff);
  writeU16(b, start + 10, internetChecksum(b, start, start + ((b[start] as number) & 15) * 4));
}
