import { unreachable } from "#core/base";
import { formatIpv4, formatIpv6, formatMac } from "./addresses.ts";
import { type ArpLayer, ARP_REPLY, ARP_REQUEST } from "./arp.ts";
import { type DecodeOptions, type Layer, decodeFrame } from "./frame.ts";
import { type IcmpErrorLayer, type IcmpLayer, type QuotedPacket, icmpGateway, icmpMtu } from "./icmp.ts";
import { ICMPV6_ECHO_REQUEST, ICMPV6_PACKET_TOO_BIG, type Icmpv6Layer } from "./icmpv6.ts";
import { PROTO_ICMP, PROTO_TCP, PROTO_UDP } from "./ipv4.ts";
import { type IpLayer, isFragment, fragmentOffsetOf } from "./transport.ts";
import type { TcpLayer } from "./tcp.ts";

const UNREACHABLE: readonly string[] = [
  "net unreachable",
  "host unreachable",
  "protocol unreachable",
  "port unreachable",
  "fragmentation needed",
  "source route failed",
];
const PROTOCOL_NAMES = new Map([
  [PROTO_ICMP, "ICMP"],
  [PROTO_TCP, "TCP"],
  [PROTO_UDP, "UDP"],
  [58, "ICMPv6"],
]);
const TCP_FLAG_LETTERS = "FSRP.UEW";

/**
 * One line for a log or a terminal, in tcpdump's manner; the length at its end is the frame's, in bytes.
 * Never throws. `IPv4 10.0.1.10 > 10.0.2.20 ICMP echo request id 7 seq 1, length 98`
 */
export function describeFrame(bytes: Uint8Array, options: DecodeOptions = {}): string {
  const { layers } = decodeFrame(bytes, options);
  const words: string[] = [];
  layers.forEach((layer, i) => {
    const text = describeLayer(layer, layers[i + 1], layers[i - 1]);
    if (text !== "") words.push(text);
  });
  return `${words.join(" ")}, length ${bytes.length}`;
}

function describeLayer(l: Layer, above: Layer | undefined, below: Layer | undefined): string {
  switch (l.kind) {
    case "ethernet": {
      const tags = l.tags.map((t) => `vlan ${t.vid}${t.pcp === 0 ? "" : ` p ${t.pcp}`}`).join(" ");
      const plain = above === undefined || above.kind === "undecoded";
      const head = plain ? `${formatMac(l.src)} > ${formatMac(l.dst)} ethertype 0x${hex16(l.etherType)}` : "";
      return [tags, head].filter((s) => s !== "").join(" ");
    }
    case "arp":
      return describeArp(l);
    case "ipv4":
    case "ipv6":
      return describeIp(l, above);
    case "icmp-echo":
    case "icmp-error":
    case "icmp-other":
      return describeIcmp(l) + bad(l.checksumOk);
    case "icmpv6-echo":
    case "icmpv6-error":
    case "icmpv6-other":
      return describeIcmpv6(l) + bad(l.checksumOk);
    case "tcp":
      return `TCP [${tcpFlags(l)}] seq ${l.seq} ack ${l.ack} win ${l.window}${bad(l.checksumOk)}`;
    case "udp":
      return `UDP${bad(l.checksumOk)}`;
    case "vxlan":
      return `VXLAN vni ${l.vni}`;
    case "payload":
      if (below?.kind !== "vxlan") return "";
      return `[${describeFrame(l.bytes)}]`;
    case "undecoded":
      return `(${l.bytes.length} bytes undecoded at ${l.offset}: ${l.reason})`;
    default:
      return unreachable(l);
  }
}

function describeArp(l: ArpLayer): string {
  if (l.operation === ARP_REQUEST) return `ARP who-has ${formatIpv4(l.targetIp)} tell ${formatIpv4(l.senderIp)}`;
  if (l.operation === ARP_REPLY) return `ARP reply ${formatIpv4(l.senderIp)} is-at ${formatMac(l.senderMac)}`;
  return `ARP operation ${l.operation}`;
}

function describeIp(l: IpLayer, above: Layer | undefined): string {
  const v4 = l.kind === "ipv4";
  const [src, dst] = v4 ? [formatIpv4(l.src), formatIpv4(l.dst)] : [formatIpv6(l.src), formatIpv6(l.dst)];
  const ports = above?.kind === "tcp" || above?.kind === "udp" ? above : null;
  const from = ports === null ? src : `${src}.${ports.srcPort}`;
  const to = ports === null ? dst : `${dst}.${ports.dstPort}`;
  const id = v4 ? l.id : (l.fragment?.id ?? 0);
  const more = v4 ? l.moreFragments : l.fragment?.more === true;
  const fragment = isFragment(l) ? ` fragment id ${id} offset ${fragmentOffsetOf(l)}${more ? "+" : ""}` : "";
  const opaque = above?.kind === "payload" || above?.kind === "undecoded";
  const proto = opaque ? ` ${PROTOCOL_NAMES.get(l.protocol) ?? `protocol ${l.protocol}`}` : "";
  return `${v4 ? "IPv4" : "IPv6"} ${from} > ${to}${fragment}${proto}${v4 && !l.checksumOk ? " (bad header checksum)" : ""}`;
}

function describeIcmp(l: IcmpLayer): string {
  if (l.kind === "icmp-echo") return `ICMP echo ${l.type === 8 ? "request" : "reply"} id ${l.id} seq ${l.seq}`;
  if (l.kind === "icmp-other") return `ICMP type ${l.type} code ${l.code}`;
  const quoted = l.quoted === null ? "" : ` for (${describeQuote(l.quoted)})`;
  return `ICMP ${icmpErrorText(l)}${quoted}`;
}

function icmpErrorText(l: IcmpErrorLayer): string {
  const gateway = icmpGateway(l);
  if (gateway !== null) return `redirect to ${formatIpv4(gateway)}`;
  const mtu = icmpMtu(l);
  if (mtu !== null) return `fragmentation needed mtu ${mtu}`;
  if (l.type === 3) return UNREACHABLE[l.code] ?? `unreachable code ${l.code}`;
  if (l.type === 11) return l.code === 0 ? "time exceeded in transit" : "time exceeded in reassembly";
  return l.type === 12 ? "parameter problem" : "source quench";
}

function describeQuote(q: QuotedPacket): string {
  const { ip, ports, icmp } = q;
  const proto = PROTOCOL_NAMES.get(ip.protocol) ?? `protocol ${ip.protocol}`;
  const [sp, dp] = ports === null ? ["", ""] : [`.${ports.src}`, `.${ports.dst}`];
  const detail = icmp === null ? "" : ` type ${icmp.type} id ${icmp.id} seq ${icmp.seq}`;
  return `IPv4 ${formatIpv4(ip.src)}${sp} > ${formatIpv4(ip.dst)}${dp} ${proto}${detail}`;
}

function describeIcmpv6(l: Icmpv6Layer): string {
  if (l.kind === "icmpv6-echo") {
    return `ICMPv6 echo ${l.type === ICMPV6_ECHO_REQUEST ? "request" : "reply"} id ${l.id} seq ${l.seq}`;
  }
  const mtu = l.kind === "icmpv6-error" && l.type === ICMPV6_PACKET_TOO_BIG ? ` mtu ${l.rest}` : "";
  return `ICMPv6 type ${l.type} code ${l.code}${mtu}`;
}

function tcpFlags(l: TcpLayer): string {
  let s = "";
  for (let i = 0; i < TCP_FLAG_LETTERS.length; i++) if (((l.flags >> i) & 1) === 1) s += TCP_FLAG_LETTERS.charAt(i);
  return s === "" ? "none" : s;
}

function bad(checksumOk: boolean | null): string {
  return checksumOk === false ? " (bad checksum)" : "";
}

function hex16(v: number): string {
  return v.toString(16).padStart(4, "0");
}
