import { type ByteWriter, readU16, readU32, writeU16 } from "#core/base";
import { type IpLayer, isFragment, transportChecksum } from "./transport.ts";
import type { Decoded, UndecodedReason } from "./undecoded.ts";

/*
 * TCP, RFC 9293 §3.1
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-------------------------------+-------------------------------+
 * |          Source Port          |       Destination Port        |
 * |                        Sequence Number                        |
 * |                    Acknowledgment Number                      |
 * +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
 * |  Data |  Rsr  |C|E|U|A|P|R|S|F|             Window            |
 * | Offset|  vd   |W|C|R|C|S|S|Y|I|                               |
 * +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
 * |            Checksum           |         Urgent Pointer        |
 * |                    Options, padded to 32 bits                 |
 */
export const TCP_FIN = 1;
export const TCP_SYN = 2;
export const TCP_RST = 4;
export const TCP_PSH = 8;
export const TCP_ACK = 16;
export const TCP_URG = 32;
export const TCP_HEADER_BYTES = 20;

export interface TcpLayer {
  readonly kind: "tcp";
  readonly srcPort: number;
  readonly dstPort: number;
  readonly seq: number;
  readonly ack: number;
  /** Twelve bits: four reserved ones and the flags of TCP_*. */
  readonly flags: number;
  readonly window: number;
  readonly urgent: number;
  /** As on the wire, 0 to 40 bytes; the encoder pads to a multiple of 4 with zeros. */
  readonly options: Uint8Array;
  /** null on a first fragment, whose checksum covers bytes that are not here. */
  readonly checksumOk: boolean | null;
  /** The checksum field of a first fragment, put back as it came; null otherwise. */
  readonly rawChecksum: number | null;
}

export function decodeTcp(
  b: Uint8Array,
  offset: number,
  end: number,
  ip: IpLayer,
): Decoded<TcpLayer> | UndecodedReason {
  if (end - offset < TCP_HEADER_BYTES) return "truncated";
  const word = readU16(b, offset + 12);
  const headerBytes = (word >>> 12) * 4;
  if (headerBytes < TCP_HEADER_BYTES) return "bad-length";
  if (offset + headerBytes > end) return "truncated";
  const fragment = isFragment(ip);
  const layer: TcpLayer = {
    kind: "tcp",
    srcPort: readU16(b, offset),
    dstPort: readU16(b, offset + 2),
    seq: readU32(b, offset + 4),
    ack: readU32(b, offset + 8),
    flags: word & 0xfff,
    window: readU16(b, offset + 14),
    urgent: readU16(b, offset + 18),
    options: b.subarray(offset + TCP_HEADER_BYTES, offset + headerBytes),
    checksumOk: fragment ? null : transportChecksum(b, offset, end, ip) === 0,
    rawChecksum: fragment ? readU16(b, offset + 16) : null,
  };
  return { layer, start: offset + headerBytes, end };
}

/** Writes the header with checksum 0; `finishTcp` fills it in. Options beyond 40 bytes are cut. */
export function writeTcp(w: ByteWriter, l: TcpLayer): void {
  const options = l.options.length > 40 ? l.options.subarray(0, 40) : l.options;
  const padding = (4 - (options.length & 3)) & 3;
  w.u16(l.srcPort).u16(l.dstPort).u32(l.seq).u32(l.ack);
  w.u16((((TCP_HEADER_BYTES + options.length + padding) / 4) << 12) | (l.flags & 0xfff));
  w.u16(l.window).u16(0).u16(l.urgent).append(options);
  for (let i = 0; i < padding; i++) w.u8(0);
}

export function finishTcp(b: Uint8Array, start: number, end: number, l: TcpLayer, ip: IpLayer): void {
  const raw = isFragment(ip) ? l.rawChecksum : null;
  writeU16(b, start + 16, raw ?? transportChecksum(b, start, end, ip));
}
