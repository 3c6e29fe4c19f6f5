import { writeU16, writeU32, writeU48 } from "#core/base";
import { ETHERTYPE, F, FRAGMENT, type FlowMask, type FlowMatch, hasL4, IP_PROTO, UNTAGGED } from "#core/flows";
import { prefixMask } from "#core/packets";
import type { Output } from "./output.ts";
import { masked, OXM, VLAN_PRESENT } from "./oxm.ts";

const OFPMT_OXM = 1;
/** All fields at once, IPv6 addresses and a register among them, stay below. */
const MOST_BYTES = 256;
/** `FRAGMENT` in the bits of IP_FRAG: 1 "a fragment", 2 "not the first". */
const FRAGMENT_BITS = [0, 1, 3] as const;

/**
 * Writes the compared fields as an OXM match, padded to 8 bytes (TS-012 A.2.3). The order is that of the prerequisites,
 * which the switch checks as it reads: ethertype before addresses, protocol before ports. A field that the packets of
 * the match cannot have (ports behind a later fragment, a TTL of ARP) is left out.
 */
export function writeMatch(out: Output, m: FlowMatch, mask: FlowMask): void {
  out.room(MOST_BYTES);
  const b = out.bytes;
  const start = out.at;
  let at = start + 4;
  const f = mask.fields;
  if ((f & F.InPort) !== 0) at = put32(b, at, OXM.IN_PORT, m.inPort);
  if ((f & F.TunnelKey) !== 0) at = putTunnelId(b, at, m.tunnelKey);
  if ((f & F.TunnelSrc) !== 0) at = put32(b, at, OXM.TUN_SRC, m.tunnelSrc);
  if ((f & F.TunnelDst) !== 0) at = put32(b, at, OXM.TUN_DST, m.tunnelDst);
  if ((f & F.EthDst) !== 0) at = put48(b, at, OXM.ETH_DST, m.ethDst);
  if ((f & F.EthSrc) !== 0) at = put48(b, at, OXM.ETH_SRC, m.ethSrc);
  if ((f & F.Vlan) !== 0) at = put16(b, at, OXM.VLAN_VID, m.vlan === UNTAGGED ? 0 : VLAN_PRESENT | m.vlan);
  if ((f & F.EtherType) !== 0) {
    at = put16(b, at, OXM.ETH_TYPE, m.etherType);
    if (m.etherType === ETHERTYPE.ARP) at = putArp(b, at, m, mask);
    else if (m.etherType === ETHERTYPE.IPV4 || m.etherType === ETHERTYPE.IPV6) at = putIp(b, at, m, mask);
  }
  const length = at - start;
  writeU16(b, start, OFPMT_OXM);
  writeU16(b, start + 2, length);
  const end = start + padded(length);
  while (at < end) b[at++] = 0;
  out.at = end;
}

/** A match of every packet. */
export function writeEmptyMatch(out: Output): void {
  out.u16(OFPMT_OXM);
  out.u16(4);
  out.u32(0);
}

/** A match of the packets whose lowest bit of register 0 is `bit`. */
export function writeReg0Match(out: Output, bit: 0 | 1): void {
  out.u16(OFPMT_OXM);
  out.u16(16);
  out.u32(masked(OXM.REG0));
  out.u32(bit);
  out.u32(1);
}

export const padded = (lengthBytes: number): number => (lengthBytes + 7) & ~7;

function putArp(b: Uint8Array, start: number, m: FlowMatch, mask: FlowMask): number {
  const f = mask.fields;
  let at = start;
  if ((f & F.NwProto) !== 0) at = put16(b, at, OXM.ARP_OP, m.nwProto);
  if ((f & F.NwSrc) !== 0) at = putAddress(b, at, OXM.ARP_SPA, m.nwSrc, 32);
  if ((f & F.NwDst) !== 0) at = putAddress(b, at, OXM.ARP_TPA, m.nwDst, 32);
  if ((f & F.ArpSha) !== 0) at = put48(b, at, OXM.ARP_SHA, m.arpSha);
  return at;
}

function putIp(b: Uint8Array, start: number, m: FlowMatch, mask: FlowMask): number {
  const f = mask.fields;
  const v6 = m.etherType === ETHERTYPE.IPV6;
  let at = start;
  if ((f & F.Fragment) !== 0) at = put8(b, at, OXM.IP_FRAG, FRAGMENT_BITS[m.fragment] ?? FRAGMENT.NONE);
  if ((f & F.NwProto) !== 0) at = put8(b, at, OXM.IP_PROTO, m.nwProto);
  if ((f & F.NwSrc) !== 0)
    at = v6 ? put128(b, at, OXM.IPV6_SRC, m.ip6Src) : putAddress(b, at, OXM.IPV4_SRC, m.nwSrc, mask.nwSrcBits);
  if ((f & F.NwDst) !== 0)
    at = v6 ? put128(b, at, OXM.IPV6_DST, m.ip6Dst) : putAddress(b, at, OXM.IPV4_DST, m.nwDst, mask.nwDstBits);
  if ((f & F.NwTos) !== 0) {
    at = put8(b, at, OXM.IP_DSCP, m.nwTos >>> 2);
    at = put8(b, at, OXM.IP_ECN, m.nwTos & 3);
  }
  if ((f & F.NwTtl) !== 0) at = put8(b, at, OXM.IP_TTL, m.nwTtl);
  if ((f & F.NwProto) !== 0 && (f & (F.TpSrc | F.TpDst)) !== 0 && hasL4(m)) at = putL4(b, at, m, f);
  return at;
}

function putL4(b: Uint8Array, start: number, m: FlowMatch, f: number): number {
  let at = start;
  const p = m.nwProto;
  if (p === IP_PROTO.TCP || p === IP_PROTO.UDP) {
    const tcp = p === IP_PROTO.TCP;
    if ((f & F.TpSrc) !== 0) at = put16(b, at, tcp ? OXM.TCP_SRC : OXM.UDP_SRC, m.tpSrc);
    if ((f & F.TpDst) !== 0) at = put16(b, at, tcp ? OXM.TCP_DST : OXM.UDP_DST, m.tpDst);
    return at;
  }
  const v4 = p === IP_PROTO.ICMP;
  if ((f & F.TpSrc) !== 0) at = put8(b, at, v4 ? OXM.ICMPV4_TYPE : OXM.ICMPV6_TYPE, m.tpSrc);
  if ((f & F.TpDst) !== 0) at = put8(b, at, v4 ? OXM.ICMPV4_CODE : OXM.ICMPV6_CODE, m.tpDst);
  return at;
}

function put8(b: Uint8Array, at: number, header: number, v: number): number {
  writeU32(b, at, header);
  b[at + 4] = v;
  return at + 5;
}

function put16(b: Uint8Array, at: number, header: number, v: number): number {
  writeU32(b, at, header);
  writeU16(b, at + 4, v);
  return at + 6;
}

function put32(b: Uint8Array, at: number, header: number, v: number): number {
  writeU32(b, at, header);
  writeU32(b, at + 4, v);
  return at + 8;
}

function put48(b: Uint8Array, at: number, header: number, v: number): number {
  writeU32(b, at, header);
  writeU48(b, at + 4, v);
  return at + 10;
}

function put128(b: Uint8Array, at: number, header: number, v: bigint): number {
  writeU32(b, at, header);
  let rest = v;
  for (let i = 12; i >= 0; i -= 4) {
    writeU32(b, at + 4 + i, Number(rest & 0xffff_ffffn));
    rest >>= 32n;
  }
  return at + 20;
}

function putTunnelId(b: Uint8Array, at: number, key: number): number {
  writeU32(b, at, OXM.TUNNEL_ID);
  writeU32(b, at + 4, 0);
  writeU32(b, at + 8, key);
  return at + 12;
}

/** Value bits outside the mask are an error to the switch (BAD_WILDCARDS); no bits at all compare nothing. */
function putAddress(b: Uint8Array, at: number, header: number, v: number, bits: number): number {
  if (bits === 0) return at;
  if (bits === 32) return put32(b, at, header, v);
  const mask = prefixMask(bits);
  writeU32(b, at, masked(header));
  writeU32(b, at + 4, v & mask);
  writeU32(b, at + 8, mask);
  return at + 12;
}
