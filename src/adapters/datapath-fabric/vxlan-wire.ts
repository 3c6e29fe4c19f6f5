import { ByteWriter } from "#core/base";
import {
  decodeEthernet,
  decodeIpv4,
  decodeUdp,
  decodeVxlan,
  ETHERNET_HEADER_BYTES,
  ETHERTYPE_IPV4,
  type EthernetLayer,
  finishIpv4,
  finishUdp,
  type Ipv4,
  IPV4_HEADER_BYTES,
  type Ipv4Layer,
  isIpv4Fragment,
  type Mac,
  PROTO_UDP,
  UDP_HEADER_BYTES,
  type UdpLayer,
  VXLAN_FLAG_VNI,
  VXLAN_HEADER_BYTES,
  VXLAN_PORT,
  writeEthernet,
  writeIpv4,
  writeUdp,
  writeVxlan,
} from "#core/packets";

/** One underlay frame: Ethernet 14 | IPv4 20 | UDP 8 | VXLAN 8 | inner Ethernet frame (RFC 7348 §5). */
export interface Encapsulated {
  readonly vni: number;
  /** Tunnel addresses, u32. */
  readonly src: number;
  readonly dst: number;
  readonly inner: Uint8Array;
}

const IP = ETHERNET_HEADER_BYTES;
const UDP = IP + IPV4_HEADER_BYTES;
const OUTER_BYTES = UDP + UDP_HEADER_BYTES + VXLAN_HEADER_BYTES;
/** Of the IP packet in the underlay, ahead of the inner frame. */
export const UNDERLAY_HEADER_BYTES = OUTER_BYTES - IP;
/** Longest inner frame that an IPv4 datagram can carry. */
export const MAX_INNER_BYTES = 0xffff - UNDERLAY_HEADER_BYTES;

const NOTHING = new Uint8Array();

/** The MAC of a host's underlay interface: locally administered, from its tunnel address. */
function underlayMac(tunnelIp: number): Mac {
  return (0x0200_0000_0000 + tunnelIp) as Mac;
}

/** The outer UDP checksum is 0 (RFC 7348 §4.1). `vni`: 24 bits. */
export function encapsulate(packet: Encapsulated, srcPort: number): Uint8Array {
  const { src, dst, inner, vni } = packet;
  const eth: EthernetLayer = {
    kind: "ethernet",
    dst: underlayMac(dst),
    src: underlayMac(src),
    tags: [],
    etherType: ETHERTYPE_IPV4,
  };
  const ip: Ipv4Layer = {
    kind: "ipv4",
    tos: 0,
    id: 0,
    reservedFlag: false,
    dontFragment: true,
    moreFragments: false,
    fragmentOffset: 0,
    ttl: 64,
    protocol: PROTO_UDP,
    src: src as Ipv4,
    dst: dst as Ipv4,
    options: NOTHING,
    checksumOk: true,
  };
  const udp: UdpLayer = {
    kind: "udp",
    srcPort,
    dstPort: VXLAN_PORT,
    noChecksum: true,
    checksumOk: true,
    raw: null,
    surplus: NOTHING,
  };
  const w = new ByteWriter(OUTER_BYTES + inner.length);
  writeEthernet(w, eth);
  writeIpv4(w, ip);
  writeUdp(w, udp);
  writeVxlan(w, { kind: "vxlan", flags: VXLAN_FLAG_VNI, vni, reserved1: 0, reserved2: 0 });
  w.append(inner);
  finishIpv4(w.bytes, IP, w.offset);
  finishUdp(w.bytes, UDP, w.offset, udp, ip);
  return w.bytes;
}

/** @returns null for anything that is not one whole VXLAN packet with right checksums and an inner Ethernet header. */
export function decapsulate(b: Uint8Array): Encapsulated | null {
  const eth = decodeEthernet(b, 0, b.length);
  if (typeof eth === "string" || eth.layer.etherType !== ETHERTYPE_IPV4) return null;
  const ip = decodeIpv4(b, eth.start, b.length);
  if (typeof ip === "string" || ip.end > b.length) return null;
  if (!ip.layer.checksumOk || ip.layer.protocol !== PROTO_UDP || isIpv4Fragment(ip.layer)) return null;
  const udp = decodeUdp(b, ip.start, ip.end, ip.layer);
  if (typeof udp === "string" || udp.layer.checksumOk !== true || udp.layer.dstPort !== VXLAN_PORT) return null;
  const vxlan = decodeVxlan(b, udp.start, udp.end);
  if (typeof vxlan === "string" || udp.end - vxlan.start < ETHERNET_HEADER_BYTES) return null;
  const inner = b.slice(vxlan.start, udp.end);
  return { vni: vxlan.layer.vni, src: ip.layer.src, dst: ip.layer.dst, inner };
}
