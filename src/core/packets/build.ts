import { type Ipv4, MAC_BROADCAST, type Mac } from "./addresses.ts";
import { ARP_REPLY, ARP_REQUEST } from "./arp.ts";
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, type EthernetLayer, TPID_8021AD, TPID_8021Q } from "./ethernet.ts";
import { type Layer, encodeFrame } from "./frame.ts";
import { ICMP_ECHO_REPLY, ICMP_ECHO_REQUEST, ICMP_REDIRECT } from "./icmp.ts";
import { type Ipv4Layer, PROTO_ICMP, PROTO_TCP, PROTO_UDP, decodeIpv4 } from "./ipv4.ts";
import { locate } from "./locate.ts";
import { TCP_SYN } from "./tcp.ts";

const NOTHING = new Uint8Array(0);

/**
 * RFC 1812 §4.3.2.3: quote as much of the packet as fits without the error exceeding 576 bytes, the size every host can
 * take: 576 - 20 (IP) - 8 (ICMP). Linux does the same; the RFC 792 minimum (header and 8 bytes) hides TCP flags.
 */
export const ICMP_QUOTE_MAX_BYTES = 548;

export interface EthernetOptions {
  readonly ethSrc: Mac;
  readonly ethDst: Mac;
  /** VLAN ids, outermost first; the innermost tag is 802.1Q, those around it 802.1ad. */
  readonly vlans?: readonly number[];
}

export interface Ipv4Options extends EthernetOptions {
  readonly ipSrc: Ipv4;
  readonly ipDst: Ipv4;
  /** Default 64 (RFC 1700). */
  readonly ttl?: number;
  readonly tos?: number;
  readonly id?: number;
  readonly dontFragment?: boolean;
  readonly ipOptions?: Uint8Array;
}

export interface ArpRequestOptions {
  readonly senderMac: Mac;
  readonly senderIp: Ipv4;
  readonly targetIp: Ipv4;
  /** Default: the broadcast address. */
  readonly ethDst?: Mac;
  readonly vlans?: readonly number[];
}

export interface ArpReplyOptions {
  readonly senderMac: Mac;
  readonly senderIp: Ipv4;
  readonly targetMac: Mac;
  readonly targetIp: Ipv4;
  readonly vlans?: readonly number[];
}

export interface IcmpEchoOptions extends Ipv4Options {
  /** Default false: a request. */
  readonly reply?: boolean;
  readonly icmpId: number;
  readonly seq: number;
  readonly payload?: Uint8Array;
}

export interface IcmpErrorOptions extends Ipv4Options {
  readonly type: number;
  readonly code: number;
  /** Next-hop MTU in bytes, for "fragmentation needed" (3/4). */
  readonly mtu?: number;
  /** For a redirect (5). */
  readonly gateway?: Ipv4;
  /** The whole Ethernet frame that the error is about; one that carries no IPv4 is quoted as nothing. */
  readonly quotedFrame: Uint8Array;
}

export interface UdpOptions extends Ipv4Options {
  readonly srcPort: number;
  readonly dstPort: number;
  readonly payload?: Uint8Array;
  /** Sends checksum 0 (RFC 768), as VXLAN does. */
  readonly noChecksum?: boolean;
}

export interface TcpOptions extends Ipv4Options {
  readonly srcPort: number;
  readonly dstPort: number;
  /** TCP_*; default TCP_SYN. */
  readonly flags?: number;
  readonly seq?: number;
  readonly ack?: number;
  /** Default 65535. */
  readonly window?: number;
  readonly tcpOptions?: Uint8Array;
  readonly payload?: Uint8Array;
}

/** RFC 826; target hardware address 0. */
export function buildArpRequest(o: ArpRequestOptions): Uint8Array {
  const { senderMac, senderIp, targetIp } = o;
  const eth = ethernet(senderMac, o.ethDst ?? MAC_BROADCAST, o.vlans, ETHERTYPE_ARP);
  return encode([eth, { kind: "arp", operation: ARP_REQUEST, senderMac, senderIp, targetMac: 0 as Mac, targetIp }]);
}

/** RFC 826; unicast to the target. */
export function buildArpReply(o: ArpReplyOptions): Uint8Array {
  const { senderMac, senderIp, targetMac, targetIp } = o;
  const eth = ethernet(senderMac, targetMac, o.vlans, ETHERTYPE_ARP);
  return encode([eth, { kind: "arp", operation: ARP_REPLY, senderMac, senderIp, targetMac, targetIp }]);
}

export function buildIcmpEcho(o: IcmpEchoOptions): Uint8Array {
  const type = o.reply === true ? ICMP_ECHO_REPLY : ICMP_ECHO_REQUEST;
  const { icmpId: id, seq } = o;
  const icmp: Layer = { kind: "icmp-echo", type, code: 0, id, seq, checksumOk: true, rawChecksum: null };
  return encode([...network(o, PROTO_ICMP), icmp, { kind: "payload", bytes: o.payload ?? NOTHING }]);
}

/** An ICMP error that quotes up to ICMP_QUOTE_MAX_BYTES of the packet. Whether one may be sent (RFC 1122 §3.2.2) is the caller's to decide. */
export function buildIcmpError(o: IcmpErrorOptions): Uint8Array {
  const { type, code } = o;
  const rest = type === ICMP_REDIRECT ? (o.gateway ?? 0) : (o.mtu ?? 0) & 0xffff;
  const quote = quoteOf(o.quotedFrame);
  const icmp: Layer = {
    kind: "icmp-error",
    type,
    code,
    rest,
    quote,
    quoted: null,
    checksumOk: true,
    rawChecksum: null,
  };
  return encode([...network(o, PROTO_ICMP), icmp]);
}

export function buildUdp(o: UdpOptions): Uint8Array {
  const udp: Layer = {
    kind: "udp",
    srcPort: o.srcPort,
    dstPort: o.dstPort,
    noChecksum: o.noChecksum ?? false,
    checksumOk: true,
    raw: null,
    surplus: NOTHING,
  };
  return encode([...network(o, PROTO_UDP), udp, { kind: "payload", bytes: o.payload ?? NOTHING }]);
}

export function buildTcp(o: TcpOptions): Uint8Array {
  const tcp: Layer = {
    kind: "tcp",
    srcPort: o.srcPort,
    dstPort: o.dstPort,
    seq: o.seq ?? 0,
    ack: o.ack ?? 0,
    flags: o.flags ?? TCP_SYN,
    window: o.window ?? 65535,
    urgent: 0,
    options: o.tcpOptions ?? NOTHING,
    checksumOk: true,
    rawChecksum: null,
  };
  return encode([...network(o, PROTO_TCP), tcp, { kind: "payload", bytes: o.payload ?? NOTHING }]);
}

/** The IP packet of a frame, without Ethernet padding, cut to what an error may quote. */
function quoteOf(frame: Uint8Array): Uint8Array {
  const { etherType, l3Offset } = locate(frame);
  if (etherType !== ETHERTYPE_IPV4 || l3Offset < 0) return NOTHING;
  const ip = decodeIpv4(frame, l3Offset, frame.length);
  if (typeof ip === "string") return NOTHING;
  return frame.subarray(l3Offset, Math.min(ip.end, frame.length, l3Offset + ICMP_QUOTE_MAX_BYTES));
}

function network(o: Ipv4Options, protocol: number): [EthernetLayer, Ipv4Layer] {
  return [
    ethernet(o.ethSrc, o.ethDst, o.vlans, ETHERTYPE_IPV4),
    {
      kind: "ipv4",
      tos: o.tos ?? 0,
      id: o.id ?? 0,
      reservedFlag: false,
      dontFragment: o.dontFragment ?? false,
      moreFragments: false,
      fragmentOffset: 0,
      ttl: o.ttl ?? 64,
      protocol,
      src: o.ipSrc,
      dst: o.ipDst,
      options: o.ipOptions ?? NOTHING,
      checksumOk: true,
    },
  ];
}

function ethernet(src: Mac, dst: Mac, vlans: readonly number[] = [], etherType: number): EthernetLayer {
  const last = vlans.length - 1;
  const tags = vlans.map((vid, i) => ({ tpid: i === last ? TPID_8021Q : TPID_8021AD, pcp: 0, dei: false, vid }));
  return { kind: "ethernet", dst, src, tags, etherType };
}

function encode(layers: readonly Layer[]): Uint8Array {
  return encodeFrame({ layers, trailer: NOTHING });
}
