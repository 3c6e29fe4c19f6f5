import { writeU16, writeU32, writeU48 } from "#core/base";
import { ETHERTYPE, F, FRAGMENT, type FlowMask, type FlowMatch, hasL4, IP_PROTO, UNTAGGED } from "#core/flows";
import { prefixMask } from "#core/packets";
import type { Output } from "./output.ts";
import { masked, OXM, VLAN_PRESENT } from "./oxm.ts";

const OFPMT_OXM = 1;
/** `FRAGMENT` in the bits of IP_FRAG: 1 "a fragment", 2 "not the first". */
const FRAGMENT_BITS = [0, 1, 3] as const;

/** What of a match is written for a field. */
const V = {
  InPort: 0,
  TunnelId: 1,
  TunnelSrc: 2,
  TunnelDst: 3,
  EthDst: 4,
  EthSrc: 5,
  VlanVid: 6,
  EtherType: 7,
  ArpOp: 8,
  Ipv4Src: 9,
  Ipv4Dst: 10,
  ArpSha: 11,
  Fragment: 12,
  NwProto: 13,
  Ipv6Src: 14,
  Ipv6Dst: 15,
  Dscp: 16,
  Ecn: 17,
  Ttl: 18,
  TpSrc16: 19,
  TpDst16: 20,
  TpSrc8: 21,
  TpDst8: 22,
} as const;

/** A field of a match on the wire. */
export interface MatchField {
  readonly header: number;
  /** One of V. */
  readonly value: number;
  readonly valueBytes: number;
  /** Of an address that is compared by its leading bits, their mask: it follows the value. Else -1, and no mask follows. */
  readonly mask: number;
}

/**
 * The compared fields, in the order of the prerequisites, which the switch checks as it reads: ethertype before addresses,
 * protocol before ports. A field that the packets of the match cannot have (ports behind a later fragment, a TTL of ARP)
 * is left out. Of the match only `shapeOf` counts.
 */
export function matchFields(m: FlowMatch, mask: FlowMask): MatchField[] {
  const f = mask.fields;
  const fields: MatchField[] = [];
  const add = (header: number, value: number, valueBytes: number, bits = -1): void => {
    fields.push({ header, value, valueBytes, mask: bits });
  };
  /** No bits at all compare nothing. */
  const address = (header: number, value: number, bits: number): void => {
    if (bits === 32) add(header, value, 4);
    else if (bits > 0) add(masked(header), value, 4, prefixMask(bits));
  };
  if ((f & F.InPort) !== 0) add(OXM.IN_PORT, V.InPort, 4);
  if ((f & F.TunnelKey) !== 0) add(OXM.TUNNEL_ID, V.TunnelId, 8);
  if ((f & F.TunnelSrc) !== 0) add(OXM.TUN_SRC, V.TunnelSrc, 4);
  if ((f & F.TunnelDst) !== 0) add(OXM.TUN_DST, V.TunnelDst, 4);
  if ((f & F.EthDst) !== 0) add(OXM.ETH_DST, V.EthDst, 6);
  if ((f & F.EthSrc) !== 0) add(OXM.ETH_SRC, V.EthSrc, 6);
  if ((f & F.Vlan) !== 0) add(OXM.VLAN_VID, V.VlanVid, 2);
  if ((f & F.EtherType) === 0) return fields;
  add(OXM.ETH_TYPE, V.EtherType, 2);
  if (m.etherType === ETHERTYPE.ARP) {
    if ((f & F.NwProto) !== 0) add(OXM.ARP_OP, V.ArpOp, 2);
    if ((f & F.NwSrc) !== 0) add(OXM.ARP_SPA, V.Ipv4Src, 4);
    if ((f & F.NwDst) !== 0) add(OXM.ARP_TPA, V.Ipv4Dst, 4);
    if ((f & F.ArpSha) !== 0) add(OXM.ARP_SHA, V.ArpSha, 6);
    return fields;
  }
  const v6 = m.etherType === ETHERTYPE.IPV6;
  if (m.etherType !== ETHERTYPE.IPV4 && !v6) return fields;
  if ((f & F.Fragment) !== 0) add(OXM.IP_FRAG, V.Fragment, 1);
  if ((f & F.NwProto) !== 0) add(OXM.IP_PROTO, V.NwProto, 1);
  if ((f & F.NwSrc) !== 0) {
    if (v6) add(OXM.IPV6_SRC, V.Ipv6Src, 16);
    else address(OXM.IPV4_SRC, V.Ipv4Src, mask.nwSrcBits);
  }
  if ((f & F.NwDst) !== 0) {
    if (v6) add(OXM.IPV6_DST, V.Ipv6Dst, 16);
    else address(OXM.IPV4_DST, V.Ipv4Dst, mask.nwDstBits);
  }
  if ((f & F.NwTos) !== 0) {
    add(OXM.IP_DSCP, V.Dscp, 1);
    add(OXM.IP_ECN, V.Ecn, 1);
  }
  if ((f & F.NwTtl) !== 0) add(OXM.IP_TTL, V.Ttl, 1);
  if ((f & F.NwProto) === 0 || !hasL4(m)) return fields;
  const [src, dst, wide] = l4Headers(m.nwProto);
  if ((f & F.TpSrc) !== 0) add(src, wide ? V.TpSrc16 : V.TpSrc8, wide ? 2 : 1);
  if ((f & F.TpDst) !== 0) add(dst, wide ? V.TpDst16 : V.TpDst8, wide ? 2 : 1);
  return fields;
}

/** All that decides which fields packets of a match have, as one number. */
export const shapeOf = (m: FlowMatch): number =>
  (m.etherType * 256 + (m.nwProto & 0xff)) * 2 + (m.fragment === FRAGMENT.LATER ? 1 : 0);

/** Headers of the source and the destination port (ICMP: type and code), and whether these have 16 bits. */
function l4Headers(protocol: number): readonly [number, number, boolean] {
  if (protocol === IP_PROTO.TCP) return [OXM.TCP_SRC, OXM.TCP_DST, true];
  if (protocol === IP_PROTO.UDP) return [OXM.UDP_SRC, OXM.UDP_DST, true];
  if (protocol === IP_PROTO.ICMP) return [OXM.ICMPV4_TYPE, OXM.ICMPV4_CODE, false];
  return [OXM.ICMPV6_TYPE, OXM.ICMPV6_CODE, false];
}

/** Writes the value of a field of `m` to `b[at]`. Bits of a value outside its mask are an error to the switch (BAD_WILDCARDS). */
export function putValue(b: Uint8Array, at: number, value: number, mask: number, m: FlowMatch): void {
  switch (value) {
    case V.InPort:
      writeU32(b, at, m.inPort);
      return;
    case V.EthDst:
      writeU48(b, at, m.ethDst);
      return;
    case V.EthSrc:
      writeU48(b, at, m.ethSrc);
      return;
    case V.VlanVid:
      writeU16(b, at, m.vlan === UNTAGGED ? 0 : VLAN_PRESENT | m.vlan);
      return;
    case V.EtherType:
      writeU16(b, at, m.etherType);
      return;
    case V.Ipv4Src:
      writeU32(b, at, m.nwSrc & mask);
      return;
    case V.Ipv4Dst:
      writeU32(b, at, m.nwDst & mask);
      return;
    case V.Fragment:
      b[at] = FRAGMENT_BITS[m.fragment] ?? FRAGMENT.NONE;
      return;
    case V.NwProto:
      b[at] = m.nwProto;
      return;
    case V.Ttl:
      b[at] = m.nwTtl;
      return;
    case V.TpSrc16:
      writeU16(b, at, m.tpSrc);
      return;
    case V.TpDst16:
      writeU16(b, at, m.tpDst);
      return;
    default:
      putRareValue(b, at, value, m);
  }
}

function putRareValue(b: Uint8Array, at: number, value: number, m: FlowMatch): void {
  switch (value) {
    case V.TunnelId:
      writeU32(b, at, 0);
      writeU32(b, at + 4, m.tunnelKey);
      return;
    case V.TunnelSrc:
      writeU32(b, at, m.tunnelSrc);
      return;
    case V.TunnelDst:
      writeU32(b, at, m.tunnelDst);
      return;
    case V.ArpOp:
      writeU16(b, at, m.nwProto);
      return;
    case V.ArpSha:
      writeU48(b, at, m.arpSha);
      return;
    case V.Ipv6Src:
      put128(b, at, m.ip6Src);
      return;
    case V.Ipv6Dst:
      put128(b, at, m.ip6Dst);
      return;
    case V.Dscp:
      b[at] = m.nwTos >>> 2;
      return;
    case V.Ecn:
      b[at] = m.nwTos & 3;
      return;
    case V.TpSrc8:
      b[at] = m.tpSrc;
      return;
    case V.TpDst8:
      b[at] = m.tpDst;
  }
}

/**
 * Writes the fields as an OXM match, padded to 8 bytes (TS-012 A.2.3).
 *
 * @returns where in `out.bytes` the value of each field lies.
 */
export function writeMatch(out: Output, m: FlowMatch, fields: readonly MatchField[]): number[] {
  const start = out.at;
  const places: number[] = [];
  out.u16(OFPMT_OXM);
  out.u16(0);
  for (const { header, value, valueBytes, mask } of fields) {
    out.u32(header);
    places.push(out.at);
    out.zeros(valueBytes);
    putValue(out.bytes, out.at - valueBytes, value, mask, m);
    if (mask !== -1) out.u32(mask);
  }
  const length = out.at - start;
  writeU16(out.bytes, start + 2, length);
  out.zeros(padded(length) - length);
  return places;
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

function put128(b: Uint8Array, at: number, v: bigint): void {
  let rest = v;
  for (let i = 12; i >= 0; i -= 4) {
    writeU32(b, at + i, Number(rest & 0xffff_ffffn));
    rest >>= 32n;
  }
}
