/**
 * Headers of the match fields that are used here, without mask (TS-012 A.2.3.7; meta-flow.h of Open vSwitch):
 *
 *    31           16 15      9 8 7        0
 *   +---------------+---------+-+----------+
 *   | class         | field   |M| length   |     M = 1: as many bytes of mask follow the value, length counts both
 *   +---------------+---------+-+----------+
 *
 * Classes 0 and 1 are Nicira's (NXM), 0x8000 is OpenFlow's own.
 */
function header(cls: number, field: number, lengthBytes: number): number {
  return ((cls << 16) | (field << 9) | lengthBytes) >>> 0;
}

const oxm = (field: number, lengthBytes: number): number => header(0x8000, field, lengthBytes);
const nxm = (field: number, lengthBytes: number): number => header(1, field, lengthBytes);

export const OXM = {
  IN_PORT: oxm(0, 4),
  ETH_DST: oxm(3, 6),
  ETH_SRC: oxm(4, 6),
  ETH_TYPE: oxm(5, 2),
  VLAN_VID: oxm(6, 2),
  IP_DSCP: oxm(8, 1),
  IP_ECN: oxm(9, 1),
  IP_PROTO: oxm(10, 1),
  IPV4_SRC: oxm(11, 4),
  IPV4_DST: oxm(12, 4),
  TCP_SRC: oxm(13, 2),
  TCP_DST: oxm(14, 2),
  UDP_SRC: oxm(15, 2),
  UDP_DST: oxm(16, 2),
  ICMPV4_TYPE: oxm(19, 1),
  ICMPV4_CODE: oxm(20, 1),
  ARP_OP: oxm(21, 2),
  ARP_SPA: oxm(22, 4),
  ARP_TPA: oxm(23, 4),
  ARP_SHA: oxm(24, 6),
  ARP_THA: oxm(25, 6),
  IPV6_SRC: oxm(26, 16),
  IPV6_DST: oxm(27, 16),
  ICMPV6_TYPE: oxm(29, 1),
  ICMPV6_CODE: oxm(30, 1),
  TUNNEL_ID: oxm(38, 8),
  REG0: nxm(0, 4),
  REG1: nxm(1, 4),
  /** 0 whole packets, 1 first fragments, 3 later ones. */
  IP_FRAG: nxm(26, 1),
  IP_TTL: nxm(29, 1),
  TUN_SRC: nxm(31, 4),
  TUN_DST: nxm(32, 4),
} as const;

/** The header of the same field with a mask. */
export function masked(header: number): number {
  return ((header & ~0xff) | 0x100 | ((header & 0xff) * 2)) >>> 0;
}

/** Set in VLAN_VID for every tagged frame, so that 0 is "untagged" and not id 0. */
export const VLAN_PRESENT = 0x1000;
