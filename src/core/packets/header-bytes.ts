import { ETHERNET_HEADER_BYTES } from "./ethernet.ts";
import { locate } from "./locate.ts";

const ETHERTYPE_ARP = 0x0806;
/** RFC 826 for Ethernet and IPv4. */
const ARP_BYTES = 28;
const TCP = 6;
const UDP = 17;
const ICMP = 1;
const ICMPV6 = 58;
const IPV4_VERSION = 4;

/**
 * How many bytes of a frame are headers: Ethernet, tags, ARP, IP with options and extensions, TCP with options, UDP, the
 * first 8 bytes of ICMP. What comes behind is payload. At most the frame's length; never throws.
 */
export function headerBytes(frame: Uint8Array): number {
  const at = locate(frame);
  if (at.l3Offset < 0) return Math.min(frame.length, ETHERNET_HEADER_BYTES);
  if (at.etherType === ETHERTYPE_ARP) return Math.min(frame.length, at.l3Offset + ARP_BYTES);
  if (at.l4Offset < 0) return Math.min(frame.length, ipEnd(frame, at.l3Offset, at.proto));
  return Math.min(frame.length, at.l4End, at.l4Offset + transportBytes(frame, at.l4Offset, at.proto));
}

/** Of a packet without a transport header: its IP header; extension headers of later fragments count as payload. */
function ipEnd(frame: Uint8Array, l3: number, proto: number): number {
  if (proto < 0) return l3;
  const first = frame[l3] as number;
  return l3 + (first >>> 4 === IPV4_VERSION ? (first & 15) * 4 : 40);
}

function transportBytes(frame: Uint8Array, l4: number, proto: number): number {
  if (proto === UDP || proto === ICMP || proto === ICMPV6) return 8;
  // A data offset of less than 5 words is none.
  if (proto === TCP) return Math.max(20, ((frame[l4 + 12] ?? 0) >>> 4) * 4);
  return 0;
}
