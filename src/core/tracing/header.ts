import { ETHERTYPE, FRAGMENT, type FlowMatch, hasL4, IP_PROTO, NO_ICMP_ID, UNTAGGED } from "#core/flows";
import { formatIpv4, formatIpv6, formatMac } from "#core/packets";
import type { HeaderText } from "./step.ts";

/** The header fields of a packet as texts. */
export function headerText(m: FlowMatch): HeaderText {
  const h: { -readonly [K in keyof HeaderText]: HeaderText[K] } = {
    ethSrc: formatMac(m.ethSrc),
    ethDst: formatMac(m.ethDst),
    etherType: `0x${m.etherType.toString(16).padStart(4, "0")}`,
  };
  if (m.vlan !== UNTAGGED) h.vlan = m.vlan;
  const v6 = m.etherType === ETHERTYPE.IPV6;
  if (m.etherType !== ETHERTYPE.IPV4 && m.etherType !== ETHERTYPE.ARP && !v6) return h;
  h.nwSrc = v6 ? formatIpv6(m.ip6Src) : formatIpv4(m.nwSrc);
  h.nwDst = v6 ? formatIpv6(m.ip6Dst) : formatIpv4(m.nwDst);
  h.nwProto = m.nwProto;
  if (m.etherType === ETHERTYPE.ARP) return h;
  h.nwTos = m.nwTos;
  h.nwTtl = m.nwTtl;
  if (m.fragment !== FRAGMENT.NONE) h.fragment = m.fragment === FRAGMENT.FIRST ? "first" : "later";
  if (!hasL4(m)) return h;
  if (m.nwProto === IP_PROTO.ICMP || m.nwProto === IP_PROTO.ICMPV6) {
    h.icmpType = m.tpSrc;
    h.icmpCode = m.tpDst;
    if (m.icmpId !== NO_ICMP_ID) h.icmpId = m.icmpId;
  } else {
    h.tpSrc = m.tpSrc;
    h.tpDst = m.tpDst;
  }
  return h;
}

const ARP_WORD: Readonly<Record<number, string>> = { 1: "request", 2: "reply" };
const ICMP_WORD: Readonly<Record<number, string>> = {
  0: "echo reply",
  3: "unreachable",
  5: "redirect",
  8: "echo request",
  11: "time exceeded",
};

/** One line: `ICMP echo request 10.0.1.10 > 10.0.2.20 id 7`, `TCP 10.0.1.10:4000 > 10.0.2.20:80`. */
export function headerLine(h: HeaderText): string {
  const tag = h.vlan === undefined ? "" : `VLAN ${h.vlan} `;
  if (h.nwSrc === undefined) return `${tag}${h.ethSrc} > ${h.ethDst} ethertype ${h.etherType}`;
  if (h.etherType === "0x0806")
    return `${tag}ARP ${ARP_WORD[h.nwProto ?? 0] ?? `operation ${h.nwProto}`} for ${h.nwDst} from ${h.nwSrc}`;
  const part = h.fragment === undefined ? "" : ` (${h.fragment} fragment)`;
  if (h.icmpType !== undefined) {
    const word =
      h.nwProto === IP_PROTO.ICMP ? (ICMP_WORD[h.icmpType] ?? `type ${h.icmpType}`) : `v6 type ${h.icmpType}`;
    const id = h.icmpId === undefined ? ` code ${h.icmpCode}` : ` id ${h.icmpId}`;
    return `${tag}ICMP ${word} ${h.nwSrc} > ${h.nwDst}${id}${part}`;
  }
  const name = h.nwProto === IP_PROTO.TCP ? "TCP" : h.nwProto === IP_PROTO.UDP ? "UDP" : `IP protocol ${h.nwProto}`;
  if (h.tpSrc === undefined) return `${tag}${name} ${h.nwSrc} > ${h.nwDst}${part}`;
  return `${tag}${name} ${h.nwSrc}:${h.tpSrc} > ${h.nwDst}:${h.tpDst}${part}`;
}

/** What differs, as `eth src aa > bb, ttl 64 > 63`. Empty when nothing does. */
export function headerChanges(before: HeaderText, after: HeaderText): string {
  const parts: string[] = [];
  for (const field of HEADER_FIELDS) {
    const a = before[field];
    const b = after[field];
    if (a !== b) parts.push(`${field} ${a ?? "none"} > ${b ?? "none"}`);
  }
  return parts.join(", ");
}

const HEADER_FIELDS = ["ethSrc", "ethDst", "vlan", "nwSrc", "nwDst", "nwTos", "nwTtl", "tpSrc", "tpDst"] as const;
