import { readU16, writeU16 } from "#core/base";
import { ETHERTYPE_IPV4 } from "./ethernet.ts";
import { finishIpv4, IPV4_HEADER_BYTES } from "./ipv4.ts";
import { locate } from "./locate.ts";

const MORE_FRAGMENTS = 0x2000;
const DONT_FRAGMENT = 0x4000;
const OFFSET_BITS = 0x1fff;
/** Single bytes among the options (RFC 791 §3.1); every other option has a length. */
const END_OF_OPTIONS = 0;
const NO_OPERATION = 1;
/** Of an option's type: it stands in every fragment. */
const COPIED = 0x80;

/**
 * The Ethernet frames that carry the IPv4 packet of `frame` in fragments of at most `mtuBytes` (RFC 791 §3.2), each behind
 * the frame's own Ethernet header and tags; what follows the packet in the frame (padding) is left out. One frame when the
 * packet fits. A fragment is fragmented further. Transport bytes, and so their checksum, stay as they are.
 * @returns null when there is no whole IPv4 packet, it must not be fragmented, or the MTU holds no 8 bytes of it.
 */
export function fragmentIpv4(frame: Uint8Array, mtuBytes: number): Uint8Array[] | null {
  const { etherType, l3Offset: l3 } = locate(frame);
  if (etherType !== ETHERTYPE_IPV4 || frame.length < l3 + IPV4_HEADER_BYTES) return null;
  const first = frame[l3] as number;
  const headerBytes = (first & 15) * 4;
  const end = l3 + readU16(frame, l3 + 2);
  if (first >>> 4 !== 4 || headerBytes < IPV4_HEADER_BYTES || end < l3 + headerBytes || end > frame.length) return null;
  if (end - l3 <= mtuBytes) return [frame.slice(0, end)];
  const word = readU16(frame, l3 + 6);
  if ((word & DONT_FRAGMENT) !== 0) return null;
  const later = laterHeader(frame.subarray(l3, l3 + headerBytes));
  const fragments: Uint8Array[] = [];
  let from = l3 + headerBytes;
  while (from < end) {
    const header = fragments.length === 0 ? frame.subarray(l3, l3 + headerBytes) : later;
    const room = mtuBytes - header.length;
    const last = end - from <= room;
    const take = last ? end - from : room & ~7;
    if (take < 8 && !last) return null;
    const out = new Uint8Array(l3 + header.length + take);
    out.set(frame.subarray(0, l3));
    out.set(header, l3);
    out.set(frame.subarray(from, from + take), l3 + header.length);
    const offset = (word & OFFSET_BITS) + ((from - l3 - headerBytes) >>> 3);
    const more = last ? word & MORE_FRAGMENTS : MORE_FRAGMENTS;
    writeU16(out, l3 + 6, (word & 0x8000) | more | offset);
    writeU16(out, l3 + 10, 0);
    finishIpv4(out, l3, out.length);
    fragments.push(out);
    from += take;
  }
  return fragments;
}

/** The header of the fragments after the first: of the options, only those that are to be copied. */
function laterHeader(header: Uint8Array): Uint8Array {
  const kept: number[] = [];
  let at = IPV4_HEADER_BYTES;
  while (at < header.length && header[at] !== END_OF_OPTIONS) {
    const type = header[at] as number;
    const bytes = type === NO_OPERATION ? 1 : (header[at + 1] ?? 0);
    if (type !== NO_OPERATION && (bytes < 2 || at + bytes > header.length)) break;
    if ((type & COPIED) !== 0) kept.push(...header.subarray(at, at + bytes));
    at += bytes;
  }
  while (kept.length % 4 !== 0) kept.push(END_OF_OPTIONS);
  const later = new Uint8Array(IPV4_HEADER_BYTES + kept.length);
  later.set(header.subarray(0, IPV4_HEADER_BYTES));
  later.set(kept, IPV4_HEADER_BYTES);
  later[0] = 0x40 | (later.length / 4);
  return later;
}
