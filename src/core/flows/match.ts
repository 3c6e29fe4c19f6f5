import { formatIpv4, formatIpv6, formatMac } from "#core/packets";
import { F, fieldNames, USERSPACE_ONLY, type FieldSet } from "./fields.ts";

export const ETHERTYPE = { IPV4: 0x0800, ARP: 0x0806, VLAN: 0x8100, QINQ: 0x88a8, IPV6: 0x86dd } as const;
export const IP_PROTO = { ICMP: 1, IGMP: 2, TCP: 6, UDP: 17, ICMPV6: 58 } as const;
export const ARP_OP = { REQUEST: 1, REPLY: 2 } as const;

/** Values of `FlowMatch.fragment`. */
export const FRAGMENT = { NONE: 0, FIRST: 1, LATER: 2 } as const;

/** `FlowMatch.vlan` of an untagged frame. */
export const UNTAGGED = -1;
/** `FlowMatch.icmpId` of a packet without an ICMP identifier. */
export const NO_ICMP_ID = -1;

/**
 * The header fields of one packet. A class with every field always present, so that all packets share one shape.
 * Fields that the packet does not have are 0 (`vlan` and `icmpId`: -1).
 */
export class FlowMatch {
  /** Datapath port number (ofport), not a virtual port. */
  inPort = 0;
  /** 24-bit tunnel key (VNI), 0 for packets that did not come through a tunnel. */
  tunnelKey = 0;
  tunnelSrc = 0;
  tunnelDst = 0;
  ethSrc = 0;
  ethDst = 0;
  /** Behind one VLAN tag; 0x8100/0x88a8 when a second tag follows (as a switch with vlan-limit 1 sees it). */
  etherType = 0;
  /** Outermost VLAN id 0..4095, or UNTAGGED. */
  vlan = UNTAGGED;
  nwProto = 0;
  /** IPv4 (ARP: sender protocol address) as u32. */
  nwSrc = 0;
  nwDst = 0;
  ip6Src = 0n;
  ip6Dst = 0n;
  nwTos = 0;
  nwTtl = 0;
  fragment: number = FRAGMENT.NONE;
  tpSrc = 0;
  tpDst = 0;
  /** ICMP identifier of echo messages, u16, or NO_ICMP_ID. */
  icmpId = NO_ICMP_ID;
  /** ARP sender hardware address. */
  arpSha = 0;

  copyFrom(o: FlowMatch): this {
    this.inPort = o.inPort;
    this.tunnelKey = o.tunnelKey;
    this.tunnelSrc = o.tunnelSrc;
    this.tunnelDst = o.tunnelDst;
    this.ethSrc = o.ethSrc;
    this.ethDst = o.ethDst;
    this.etherType = o.etherType;
    this.vlan = o.vlan;
    this.nwProto = o.nwProto;
    this.nwSrc = o.nwSrc;
    this.nwDst = o.nwDst;
    this.ip6Src = o.ip6Src;
    this.ip6Dst = o.ip6Dst;
    this.nwTos = o.nwTos;
    this.nwTtl = o.nwTtl;
    this.fragment = o.fragment;
    this.tpSrc = o.tpSrc;
    this.tpDst = o.tpDst;
    this.icmpId = o.icmpId;
    this.arpSha = o.arpSha;
    return this;
  }

  clone(): FlowMatch {
    return new FlowMatch().copyFrom(this);
  }
}

/**
 * Which part of a match an installed flow compares. IPv4 addresses may be compared by their leading bits only
 * (`nwSrcBits`, `nwDstBits`: 0..32); for IPv6 and ARP a compared address is compared whole.
 */
export interface FlowMask {
  readonly fields: FieldSet;
  readonly nwSrcBits: number;
  readonly nwDstBits: number;
}

/** The whole 5-tuple of a packet (ICMP: the identifier in place of ports): the widest flow that is one conversation's direction. */
export function fiveTupleFields(m: FlowMatch): FieldSet {
  const base = F.EtherType | F.NwProto | F.NwSrc | F.NwDst;
  if (m.etherType === ETHERTYPE.ARP) return base;
  if (m.etherType !== ETHERTYPE.IPV4 && m.etherType !== ETHERTYPE.IPV6) return F.EtherType | F.EthSrc | F.EthDst;
  if (m.fragment === FRAGMENT.LATER) return base | F.Fragment;
  if (m.icmpId !== NO_ICMP_ID) return base | F.Fragment | F.TpSrc | F.TpDst | F.IcmpId;
  return base | F.Fragment | F.TpSrc | F.TpDst;
}

/**
 * The mask of an installable flow for the fields that were looked at: adds what each field presupposes (L4 ports need the
 * protocol, the protocol the ethertype), the input port and, for IP, the fragment type. Userspace-only fields stay in
 * `fields`, so that the caller sees that no flow may be installed.
 */
export function completeMask(m: FlowMatch, seen: FieldSet, nwSrcBits: number, nwDstBits: number): FlowMask {
  let f = seen | F.InPort;
  if ((f & (F.TpSrc | F.TpDst | F.IcmpId | F.IcmpData)) !== 0) f |= F.NwProto;
  if ((f & (F.NwProto | F.NwSrc | F.NwDst | F.NwTos | F.NwTtl | F.Fragment | F.ArpSha)) !== 0) f |= F.EtherType;
  if (m.etherType === ETHERTYPE.IPV4 || m.etherType === ETHERTYPE.IPV6) {
    if ((f & F.EtherType) !== 0) f |= F.Fragment;
  } else f &= ~(F.Fragment | F.NwTtl | F.NwTos | F.TpSrc | F.TpDst);
  if (!hasL4(m)) f &= ~(F.TpSrc | F.TpDst);
  if (m.etherType !== ETHERTYPE.ARP) f &= ~F.ArpSha;
  if (m.tunnelKey !== 0) f |= F.TunnelKey | F.TunnelSrc | F.TunnelDst;
  const v4 = m.etherType === ETHERTYPE.IPV4;
  const bits = (field: number, n: number): number => ((f & field) === 0 ? 0 : v4 ? n : 32);
  const srcBits = bits(F.NwSrc, nwSrcBits);
  const dstBits = bits(F.NwDst, nwDstBits);
  if (srcBits === 0) f &= ~F.NwSrc;
  if (dstBits === 0) f &= ~F.NwDst;
  return maskOf(f, srcBits, dstBits);
}

/** Masks that are kept. */
const MAX_MASKS = 4_096;
const MASKS = new Map<number, FlowMask>();

/** There are few masks and many flows: each mask is made once. */
function maskOf(fields: FieldSet, nwSrcBits: number, nwDstBits: number): FlowMask {
  const key = (fields * 256 + nwSrcBits) * 256 + nwDstBits;
  let mask = MASKS.get(key);
  if (mask === undefined) {
    if (MASKS.size >= MAX_MASKS) MASKS.clear();
    mask = Object.freeze({ fields, nwSrcBits, nwDstBits });
    MASKS.set(key, mask);
  }
  return mask;
}

/** True when the packet carries ports (TCP, UDP) or an ICMP type and code. */
export function hasL4(m: FlowMatch): boolean {
  if (m.fragment === FRAGMENT.LATER) return false;
  if (m.etherType !== ETHERTYPE.IPV4 && m.etherType !== ETHERTYPE.IPV6) return false;
  const p = m.nwProto;
  if (p === IP_PROTO.TCP || p === IP_PROTO.UDP) return true;
  return p === (m.etherType === ETHERTYPE.IPV4 ? IP_PROTO.ICMP : IP_PROTO.ICMPV6);
}

export function isInstallable(mask: FlowMask): boolean {
  return (mask.fields & USERSPACE_ONLY) === 0;
}

/** True when the packet `p` is covered by the flow (`m`, `mask`). */
export function matchesMasked(m: FlowMatch, mask: FlowMask, p: FlowMatch): boolean {
  const f = mask.fields;
  if ((f & F.InPort) !== 0 && m.inPort !== p.inPort) return false;
  if ((f & F.TunnelKey) !== 0 && m.tunnelKey !== p.tunnelKey) return false;
  if ((f & F.TunnelSrc) !== 0 && m.tunnelSrc !== p.tunnelSrc) return false;
  if ((f & F.TunnelDst) !== 0 && m.tunnelDst !== p.tunnelDst) return false;
  if ((f & F.EthSrc) !== 0 && m.ethSrc !== p.ethSrc) return false;
  if ((f & F.EthDst) !== 0 && m.ethDst !== p.ethDst) return false;
  if ((f & F.EtherType) !== 0 && m.etherType !== p.etherType) return false;
  if ((f & F.Vlan) !== 0 && m.vlan !== p.vlan) return false;
  if ((f & F.NwProto) !== 0 && m.nwProto !== p.nwProto) return false;
  if ((f & F.NwSrc) !== 0 && (!samePrefix(m.nwSrc, p.nwSrc, mask.nwSrcBits) || m.ip6Src !== p.ip6Src)) return false;
  if ((f & F.NwDst) !== 0 && (!samePrefix(m.nwDst, p.nwDst, mask.nwDstBits) || m.ip6Dst !== p.ip6Dst)) return false;
  if ((f & F.NwTos) !== 0 && m.nwTos !== p.nwTos) return false;
  if ((f & F.NwTtl) !== 0 && m.nwTtl !== p.nwTtl) return false;
  if ((f & F.Fragment) !== 0 && m.fragment !== p.fragment) return false;
  if ((f & F.TpSrc) !== 0 && m.tpSrc !== p.tpSrc) return false;
  if ((f & F.TpDst) !== 0 && m.tpDst !== p.tpDst) return false;
  if ((f & F.IcmpId) !== 0 && m.icmpId !== p.icmpId) return false;
  if ((f & F.ArpSha) !== 0 && m.arpSha !== p.arpSha) return false;
  return true;
}

function samePrefix(a: number, b: number, bits: number): boolean {
  return bits === 0 || (a ^ b) >>> (32 - bits) === 0;
}

/** One line for logs and steps, in the words of Open vSwitch: `in_port=3,dl_type=0x0800,nw_dst=10.0.2.20/24`; only compared fields. */
export function formatMasked(m: FlowMatch, mask: FlowMask): string {
  const parts: string[] = [];
  for (const name of fieldNames(mask.fields)) parts.push(`${FIELD_TEXT[name][0]}=${FIELD_TEXT[name][1](m, mask)}`);
  return parts.join(",");
}

const v6 = (m: FlowMatch): boolean => m.etherType === ETHERTYPE.IPV6;
const cidr = (ip: number, bits: number): string => (bits === 32 ? formatIpv4(ip) : `${formatIpv4(ip)}/${bits}`);
const FRAGMENT_TEXT = ["no", "first", "later"];

const FIELD_TEXT: Record<keyof typeof F, [string, (m: FlowMatch, mask: FlowMask) => string]> = {
  InPort: ["in_port", (m) => String(m.inPort)],
  TunnelKey: ["tun_id", (m) => `0x${m.tunnelKey.toString(16)}`],
  TunnelSrc: ["tun_src", (m) => formatIpv4(m.tunnelSrc)],
  TunnelDst: ["tun_dst", (m) => formatIpv4(m.tunnelDst)],
  EthSrc: ["dl_src", (m) => formatMac(m.ethSrc)],
  EthDst: ["dl_dst", (m) => formatMac(m.ethDst)],
  EtherType: ["dl_type", (m) => `0x${m.etherType.toString(16).padStart(4, "0")}`],
  Vlan: ["vlan", (m) => (m.vlan === UNTAGGED ? "none" : String(m.vlan))],
  NwProto: ["nw_proto", (m) => String(m.nwProto)],
  NwSrc: ["nw_src", (m, k) => (v6(m) ? formatIpv6(m.ip6Src) : cidr(m.nwSrc, k.nwSrcBits))],
  NwDst: ["nw_dst", (m, k) => (v6(m) ? formatIpv6(m.ip6Dst) : cidr(m.nwDst, k.nwDstBits))],
  NwTos: ["nw_tos", (m) => String(m.nwTos)],
  NwTtl: ["nw_ttl", (m) => String(m.nwTtl)],
  Fragment: ["frag", (m) => FRAGMENT_TEXT[m.fragment] ?? "?"],
  TpSrc: ["tp_src", (m) => String(m.tpSrc)],
  TpDst: ["tp_dst", (m) => String(m.tpDst)],
  IcmpId: ["icmp_id", (m) => String(m.icmpId)],
  IcmpData: ["icmp_data", () => "exact"],
  ArpSha: ["arp_sha", (m) => formatMac(m.arpSha)],
};
