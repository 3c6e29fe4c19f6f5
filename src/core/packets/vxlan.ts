import { type ByteWriter, readU32 } from "#core/base";
import type { Decoded, UndecodedReason } from "./undecoded.ts";

/*
 * VXLAN, RFC 7348 §5; the inner frame follows and stays bytes (decode it with decodeFrame)
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +---------------+-----------------------------------------------+
 * |R|R|R|R|I|R|R|R|                  Reserved                     |
 * |                VXLAN Network Identifier (VNI) |   Reserved    |
 * +-----------------------------------------------+---------------+
 */
export const VXLAN_PORT = 4789;
export const VXLAN_HEADER_BYTES = 8;
export const VXLAN_FLAG_VNI = 0x08;

export interface VxlanLayer {
  readonly kind: "vxlan";
  readonly flags: number;
  /** 24 bits. */
  readonly vni: number;
  /** 24 and 8 bits that a receiver ignores; kept for the round trip. */
  readonly reserved1: number;
  readonly reserved2: number;
}

/** @returns "bad-header" when the I flag is missing: a receiver would discard the packet (RFC 7348 §5). */
export function decodeVxlan(b: Uint8Array, offset: number, end: number): Decoded<VxlanLayer> | UndecodedReason {
  if (end - offset < VXLAN_HEADER_BYTES) return "truncated";
  const first = readU32(b, offset);
  const second = readU32(b, offset + 4);
  const flags = first >>> 24;
  if ((flags & VXLAN_FLAG_VNI) === 0) return "bad-header";
  const layer: VxlanLayer = {
    kind: "vxlan",
    flags,
    vni: second >>> 8,
    reserved1: first & 0xff_ffff,
    reserved2: second & 255,
  };
  return { layer, start: offset + VXLAN_HEADER_BYTES, end };
}

export function writeVxlan(w: ByteWriter, l: VxlanLayer): void {
  w.u8(l.flags).u24(l.reserved1).u24(l.vni).u8(l.reserved2);
}
