/**
 * Header fields a flow can match, one bit each. A set of fields is a plain number, so that noting "this field was
 * looked at" is one OR on the packet path.
 */
export const F = {
  InPort: 1 << 0,
  TunnelKey: 1 << 1,
  TunnelSrc: 1 << 2,
  TunnelDst: 1 << 3,
  EthSrc: 1 << 4,
  EthDst: 1 << 5,
  EtherType: 1 << 6,
  /** Outermost VLAN tag: absent, or its id. */
  Vlan: 1 << 7,
  /** IP protocol; ARP operation. */
  NwProto: 1 << 8,
  /** IPv4 or IPv6 source; ARP sender protocol address. */
  NwSrc: 1 << 9,
  NwDst: 1 << 10,
  NwTos: 1 << 11,
  NwTtl: 1 << 12,
  /** Unfragmented, first or later fragment. */
  Fragment: 1 << 13,
  /** TCP/UDP source port; ICMP type. */
  TpSrc: 1 << 14,
  /** TCP/UDP destination port; ICMP code. */
  TpDst: 1 << 15,
  /** No switch can match these two: a flow that depends on them is never installed. */
  IcmpId: 1 << 16,
  IcmpData: 1 << 17,
  /** ARP sender hardware address. */
  ArpSha: 1 << 18,
} as const;

export type FieldSet = number;
export type FieldName = keyof typeof F;

export const USERSPACE_ONLY: FieldSet = F.IcmpId | F.IcmpData;

/** The names in a set, in the order of their bits. */
export function fieldNames(set: FieldSet): FieldName[] {
  return (Object.keys(F) as FieldName[]).filter((name) => (set & F[name]) !== 0);
}
