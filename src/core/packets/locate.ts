import { readU16 } from "#core/base";
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6, MAX_VLAN_TAGS, isTpid } from "./ethernet.ts";
import { IPV4_HEADER_BYTES } from "./ipv4.ts";
import { IPV6_FRAGMENT, IPV6_HEADER_BYTES, MAX_IPV6_EXTENSIONS, ipv6ExtensionBytes, isIpv6Extension } from "./ipv6.ts";

/** Where the headers of a raw frame are; -1 for what is not there or not whole. */
export interface FrameLocation {
  /** Of the innermost type field, behind all tags. */
  l2EtherTypeOffset: number;
  /** First byte behind the Ethernet header, also of unknown ethertypes. */
  l3Offset: number;
  /** Of a transport header inside the IP packet; -1 on later fragments and when no byte of it is there. */
  l4Offset: number;
  /** First byte behind the IP packet, at most the frame's length; -1 without IP. */
  l4End: number;
  etherType: number;
  /** IP protocol (behind IPv6 extension headers); -1 without IP. */
  proto: number;
  fragment: "none" | "first" | "later";
}

/** Finds the headers without decoding them: one small object, never throws, bounded by tags and extension headers. */
export function locate(frame: Uint8Array): FrameLocation {
  const at: FrameLocation = {
    l2EtherTypeOffset: -1,
    l3Offset: -1,
    l4Offset: -1,
    l4End: -1,
    etherType: -1,
    proto: -1,
    fragment: "none",
  };
  if (frame.length < ETHERNET_HEADER_BYTES) return at;
  let offset = 12;
  let etherType = readU16(frame, offset);
  for (let i = 0; i < MAX_VLAN_TAGS && isTpid(etherType); i++) {
    if (offset + 6 > frame.length) return at;
    offset += 4;
    etherType = readU16(frame, offset);
  }
  at.l2EtherTypeOffset = offset;
  at.l3Offset = offset + 2;
  at.etherType = etherType;
  if (etherType === ETHERTYPE_IPV4) locateIpv4(frame, at);
  else if (etherType === ETHERTYPE_IPV6) locateIpv6(frame, at);
  return at;
}

function locateIpv4(b: Uint8Array, at: FrameLocation): void {
  const l3 = at.l3Offset;
  if (l3 + IPV4_HEADER_BYTES > b.length) return;
  const first = b[l3] as number;
  const headerBytes = (first & 15) * 4;
  const totalLength = readU16(b, l3 + 2);
  if (first >>> 4 !== 4 || headerBytes < IPV4_HEADER_BYTES) return;
  if (totalLength < headerBytes || l3 + headerBytes > b.length) return;
  at.proto = b[l3 + 9] as number;
  at.l4End = Math.min(b.length, l3 + totalLength);
  const fragment = readU16(b, l3 + 6);
  at.fragment = (fragment & 0x1fff) !== 0 ? "later" : (fragment & 0x2000) !== 0 ? "first" : "none";
  if (at.fragment !== "later" && l3 + headerBytes < at.l4End) at.l4Offset = l3 + headerBytes;
}

function locateIpv6(b: Uint8Array, at: FrameLocation): void {
  const l3 = at.l3Offset;
  if (l3 + IPV6_HEADER_BYTES > b.length || (b[l3] as number) >>> 4 !== 6) return;
  const end = Math.min(b.length, l3 + IPV6_HEADER_BYTES + readU16(b, l3 + 4));
  let proto = b[l3 + 6] as number;
  let offset = l3 + IPV6_HEADER_BYTES;
  for (let i = 0; i < MAX_IPV6_EXTENSIONS && isIpv6Extension(proto) && offset + 8 <= end; i++) {
    const size = ipv6ExtensionBytes(b, offset, proto);
    if (offset + size > end) break;
    if (proto === IPV6_FRAGMENT) {
      const word = readU16(b, offset + 2);
      at.fragment = (word & 0xfff8) !== 0 ? "later" : (word & 1) !== 0 ? "first" : at.fragment;
    }
    proto = b[offset] as number;
    offset += size;
    if (at.fragment === "later") break;
  }
  at.proto = proto;
  at.l4End = end;
  if (at.fragment !== "later" && !isIpv6Extension(proto) && offset < end) at.l4Offset = offset;
}
