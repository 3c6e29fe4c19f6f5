/**
 * The internet checksum (RFC 1071), its pseudo headers (RFC 9293 §3.1, RFC 768, RFC 8200 §8.1) and its incremental
 * update (RFC 1624 §3, equation 3). Sums are plain numbers, folded only at the end: a frame cannot overflow 2^53.
 * The IPv4 pseudo header uses the header's destination, also under a source route, as Linux does when it sends.
 */

/** Adds `bytes[from, to)` as big-endian 16-bit words; an odd last byte is padded with zero on the right. */
export function sumBytes(bytes: Uint8Array, from: number, to: number, initial = 0): number {
  let s = initial;
  let i = from;
  for (; i + 1 < to; i += 2) s += ((bytes[i] as number) << 8) | (bytes[i + 1] as number);
  if (i < to) s += (bytes[i] as number) << 8;
  return s;
}

/** Folds a sum to 16 bits with end-around carry and complements it: the value for the header. */
export function finishChecksum(sum: number): number {
  let s = sum;
  while (s > 0xffff) s = (s & 0xffff) + Math.floor(s / 0x1_0000);
  return ~s & 0xffff;
}

/** RFC 1071 checksum of `bytes[from, to)`; 0 when the range already contains its right checksum. */
export function internetChecksum(bytes: Uint8Array, from = 0, to: number = bytes.length): number {
  return finishChecksum(sumBytes(bytes, from, to));
}

/** Sum (not folded) of the IPv4 pseudo header; `lengthBytes` is the length of the transport segment. */
export function pseudoSumV4(src: number, dst: number, protocol: number, lengthBytes: number): number {
  return (src >>> 16) + (src & 0xffff) + (dst >>> 16) + (dst & 0xffff) + protocol + lengthBytes;
}

/** Sum (not folded) of the IPv6 pseudo header; `protocol` is the upper-layer one, past all extension headers. */
export function pseudoSumV6(src: bigint, dst: bigint, protocol: number, lengthBytes: number): number {
  let s = protocol + (lengthBytes >>> 16) + (lengthBytes & 0xffff);
  for (let shift = 0n; shift < 128n; shift += 16n) {
    s += Number((src >> shift) & 0xffffn) + Number((dst >> shift) & 0xffffn);
  }
  return s;
}

/** The checksum after one 16-bit word changed from `before` to `after`: HC' = ~(~HC + ~m + m'). */
export function updateChecksum16(checksum: number, before: number, after: number): number {
  return finishChecksum((~checksum & 0xffff) + (~before & 0xffff) + (after & 0xffff));
}

/** The same for a 32-bit field (an IPv4 address) that begins on an even offset. */
export function updateChecksum32(checksum: number, before: number, after: number): number {
  return updateChecksum16(updateChecksum16(checksum, before >>> 16, after >>> 16), before & 0xffff, after & 0xffff);
}
