import { readU16, readU32, readU48 } from "#core/base";
import {
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  IPV6_FRAGMENT,
  IPV6_HOP_BY_HOP,
  ipv6ExtensionBytes,
  isIpv6Extension,
  MAX_IPV6_EXTENSIONS,
  readIpv6,
} from "#core/packets";
import { ETHERTYPE, FRAGMENT, type FlowMatch, IP_PROTO, NO_ICMP_ID, UNTAGGED } from "./match.ts";

/**
 * Reads the header fields of the frame from `b[start]` to `b[end]` into `m` (input port and tunnel fields are left alone). The hot path's own reader:
 * it looks at a few bytes at known offsets and allocates nothing for IPv4, where packets/ builds a tree of layers.
 * Never fails: what is truncated, malformed or unknown stays 0. test/property/flow-parse.test.ts holds the two together.
 */
export function parseFlowMatch(b: Uint8Array, m: FlowMatch, start = 0, end = b.length): void {
  m.ethDst = 0;
  m.ethSrc = 0;
  m.etherType = 0;
  m.vlan = UNTAGGED;
  m.nwProto = 0;
  m.nwSrc = 0;
  m.nwDst = 0;
  m.ip6Src = 0n;
  m.ip6Dst = 0n;
  m.nwTos = 0;
  m.nwTtl = 0;
  m.fragment = FRAGMENT.NONE;
  m.tpSrc = 0;
  m.tpDst = 0;
  m.icmpId = NO_ICMP_ID;
  m.arpSha = 0;
  if (end < start + 14) return;
  m.ethDst = readU48(b, start);
  m.ethSrc = readU48(b, start + 6);
  let type = readU16(b, start + 12);
  let l3 = start + 14;
  if (type === ETHERTYPE.VLAN || type === ETHERTYPE.QINQ) {
    if (end < start + 18) return;
    m.vlan = readU16(b, start + 14) & 0x0fff;
    type = readU16(b, start + 16);
    l3 = start + 18;
  }
  m.etherType = type;
  if (type === ETHERTYPE.IPV4) parseIpv4(b, l3, end, m);
  else if (type === ETHERTYPE.ARP) parseArp(b, l3, end, m);
  else if (type === ETHERTYPE.IPV6) parseIpv6(b, l3, end, m);
}

function parseIpv4(b: Uint8Array, o: number, frameEnd: number, m: FlowMatch): void {
  if (frameEnd < o + 20) return;
  const versionIhl = b[o] as number;
  const headerBytes = (versionIhl & 15) * 4;
  const totalBytes = readU16(b, o + 2);
  if (versionIhl >>> 4 !== 4 || headerBytes < 20 || totalBytes < headerBytes || frameEnd < o + headerBytes) return;
  m.nwTos = b[o + 1] as number;
  m.nwTtl = b[o + 8] as number;
  m.nwProto = b[o + 9] as number;
  m.nwSrc = readU32(b, o + 12);
  m.nwDst = readU32(b, o + 16);
  const fragment = readU16(b, o + 6);
  if ((fragment & 0x1fff) !== 0) {
    m.fragment = FRAGMENT.LATER;
    return;
  }
  if ((fragment & 0x2000) !== 0) m.fragment = FRAGMENT.FIRST;
  // What lies behind the IP packet is padding of the frame, and no header.
  const end = Math.min(frameEnd, o + totalBytes);
  if (m.nwProto === IP_PROTO.ICMP) parseIcmp(b, o + headerBytes, end, m, ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST);
  else parsePorts(b, o + headerBytes, end, m);
}

function parsePorts(b: Uint8Array, o: number, end: number, m: FlowMatch): void {
  if (m.nwProto !== IP_PROTO.TCP && m.nwProto !== IP_PROTO.UDP) return;
  if (end < o + 4) return;
  m.tpSrc = readU16(b, o);
  m.tpDst = readU16(b, o + 2);
}

function parseIcmp(b: Uint8Array, o: number, end: number, m: FlowMatch, reply: number, request: number): void {
  if (end < o + 2) return;
  m.tpSrc = b[o] as number;
  m.tpDst = b[o + 1] as number;
  if ((m.tpSrc === reply || m.tpSrc === request) && end >= o + 6) m.icmpId = readU16(b, o + 4);
}

/** Ethernet and IPv4: six bytes of MAC, four of address. Others have their fields elsewhere. */
const ARP_SIZES = 0x0604;

function parseArp(b: Uint8Array, o: number, frameEnd: number, m: FlowMatch): void {
  if (frameEnd < o + 28 || readU16(b, o) !== 1) return;
  if (readU16(b, o + 2) !== ETHERTYPE.IPV4 || readU16(b, o + 4) !== ARP_SIZES) return;
  m.nwProto = readU16(b, o + 6);
  m.arpSha = readU48(b, o + 8);
  m.nwSrc = readU32(b, o + 14);
  m.nwDst = readU32(b, o + 24);
}

function parseIpv6(b: Uint8Array, o: number, frameEnd: number, m: FlowMatch): void {
  if (frameEnd < o + 40 || (b[o] as number) >>> 4 !== 6) return;
  const payloadBytes = readU16(b, o + 4);
  let next = b[o + 6] as number;
  // A jumbogram (RFC 2675), which no Ethernet carries.
  if (payloadBytes === 0 && next === IPV6_HOP_BY_HOP) return;
  m.nwTos = (readU16(b, o) >>> 4) & 0xff;
  m.nwTtl = b[o + 7] as number;
  m.ip6Src = readIpv6(b, o + 8);
  m.ip6Dst = readIpv6(b, o + 24);
  let at = o + 40;
  const end = Math.min(frameEnd, at + payloadBytes);
  for (let i = 0; i < MAX_IPV6_EXTENSIONS && isIpv6Extension(next) && at + 8 <= end; i++) {
    const here = next;
    const bytes = ipv6ExtensionBytes(b, at, here);
    if (at + bytes > end) break;
    next = b[at] as number;
    if (here === IPV6_FRAGMENT) {
      const offsetFlags = readU16(b, at + 2);
      if (offsetFlags >>> 3 !== 0) {
        m.nwProto = next;
        m.fragment = FRAGMENT.LATER;
        return;
      }
      if ((offsetFlags & 1) !== 0) m.fragment = FRAGMENT.FIRST;
    }
    at += bytes;
  }
  m.nwProto = next;
  if (next === IP_PROTO.ICMPV6) parseIcmp(b, at, end, m, ICMPV6_ECHO_REPLY, ICMPV6_ECHO_REQUEST);
  else parsePorts(b, at, end, m);
}
