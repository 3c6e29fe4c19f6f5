import { ByteWriter, unreachable } from "#core/base";
import { type ArpLayer, decodeArp, writeArp } from "./arp.ts";
import {
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_MIN,
  type EthernetLayer,
  decodeEthernet,
  isTpid,
  writeEthernet,
} from "./ethernet.ts";
import { type IcmpLayer, decodeIcmp, finishIcmp, writeIcmp } from "./icmp.ts";
import { type Icmpv6Layer, PROTO_ICMPV6, decodeIcmpv6, finishIcmpv6, writeIcmpv6 } from "./icmpv6.ts";
import { type Ipv4Layer, PROTO_ICMP, PROTO_TCP, PROTO_UDP, decodeIpv4, finishIpv4, writeIpv4 } from "./ipv4.ts";
import {
  IPV6_NO_NEXT,
  type Ipv6Layer,
  MAX_IPV6_EXTENSIONS,
  decodeIpv6,
  finishIpv6,
  isIpv6Extension,
  writeIpv6,
} from "./ipv6.ts";
import { type TcpLayer, decodeTcp, finishTcp, writeTcp } from "./tcp.ts";
import { type IpLayer, fragmentOffsetOf } from "./transport.ts";
import { type UdpLayer, decodeUdp, finishUdp, writeUdp } from "./udp.ts";
import type { Decoded, UndecodedLayer, UndecodedReason } from "./undecoded.ts";
import { type VxlanLayer, decodeVxlan, writeVxlan } from "./vxlan.ts";

/** What the innermost known header carries: data, a later fragment, an inner frame. */
export interface PayloadLayer {
  readonly kind: "payload";
  readonly bytes: Uint8Array;
}

export type Layer =
  | EthernetLayer
  | ArpLayer
  | Ipv4Layer
  | Ipv6Layer
  | IcmpLayer
  | Icmpv6Layer
  | TcpLayer
  | UdpLayer
  | VxlanLayer
  | PayloadLayer
  | UndecodedLayer;

/** A frame as its layers, outermost first. `encodeFrame` computes all lengths and checksums. */
export interface Packet {
  /** Ends with `payload`, `undecoded`, or a layer that carries nothing (ARP, ICMP errors). */
  readonly layers: readonly Layer[];
  /** Bytes behind the ARP or IP packet: the padding of short Ethernet frames. */
  readonly trailer: Uint8Array;
}

export type DecodedFrame = Packet;

export interface DecodeOptions {
  /** UDP destination port whose datagrams are read as VXLAN; without it, none is. */
  readonly vxlanPort?: number;
}

/**
 * Reads an Ethernet frame (without preamble and frame check sequence). Never throws, whatever the bytes: what cannot be
 * read ends up in an `undecoded` layer with offset and reason. Byte fields are views of `bytes`, not copies.
 */
export function decodeFrame(bytes: Uint8Array, options: DecodeOptions = {}): DecodedFrame {
  return new FrameDecoder(bytes, options).run();
}

class FrameDecoder {
  private readonly layers: Layer[] = [];
  private readonly bytes: Uint8Array;
  private readonly options: DecodeOptions;
  private trailerStart: number;

  constructor(bytes: Uint8Array, options: DecodeOptions) {
    this.bytes = bytes;
    this.options = options;
    this.trailerStart = bytes.length;
  }

  run(): DecodedFrame {
    const ethernet = this.take(decodeEthernet(this.bytes, 0, this.bytes.length), 0, this.bytes.length);
    if (ethernet !== null) this.network(ethernet);
    return { layers: this.layers, trailer: this.bytes.subarray(this.trailerStart) };
  }

  private network({ layer, start, end }: Decoded<EthernetLayer>): void {
    const type = layer.etherType;
    if (type === ETHERTYPE_IPV4) this.ip(decodeIpv4(this.bytes, start, end), start);
    else if (type === ETHERTYPE_IPV6) this.ip(decodeIpv6(this.bytes, start, end), start);
    else if (type === ETHERTYPE_ARP) {
      const arp = this.take(decodeArp(this.bytes, start, end), start, end);
      if (arp !== null) this.trailerStart = arp.end;
    } else if (isTpid(type)) this.undecoded(start, end, "too-many-headers");
    else this.undecoded(start, end, type < ETHERTYPE_MIN ? "llc" : "unknown-ethertype");
  }

  private ip(decoded: Decoded<IpLayer> | UndecodedReason, offset: number): void {
    const ip = this.take<IpLayer>(decoded, offset, this.bytes.length);
    if (ip === null) return;
    const { layer, start, end } = ip;
    if (end > this.bytes.length) {
      this.undecoded(start, this.bytes.length, "truncated");
      return;
    }
    this.trailerStart = end;
    if (fragmentOffsetOf(layer) !== 0) this.payload(start, end);
    else this.transport(layer, start, end);
  }

  private transport(ip: IpLayer, start: number, end: number): void {
    const b = this.bytes;
    if (ip.protocol === PROTO_TCP) this.payloadOf(this.take(decodeTcp(b, start, end, ip), start, end));
    else if (ip.protocol === PROTO_UDP) this.udp(ip, start, end);
    else if (ip.kind === "ipv4") {
      if (ip.protocol === PROTO_ICMP) this.payloadOf(this.take(decodeIcmp(b, start, end, ip), start, end));
      else this.undecoded(start, end, "unknown-protocol");
    } else if (ip.protocol === PROTO_ICMPV6) {
      this.payloadOf(this.take(decodeIcmpv6(b, start, end, ip), start, end));
    } else if (ip.protocol === IPV6_NO_NEXT) this.payload(start, end);
    else if (!isIpv6Extension(ip.protocol)) this.undecoded(start, end, "unknown-protocol");
    else this.undecoded(start, end, ip.extensions.length < MAX_IPV6_EXTENSIONS ? "truncated" : "too-many-headers");
  }

  private udp(ip: IpLayer, start: number, end: number): void {
    const udp = this.take(decodeUdp(this.bytes, start, end, ip), start, end);
    if (udp === null) return;
    if (udp.layer.dstPort !== this.options.vxlanPort) this.payloadOf(udp);
    else this.payloadOf(this.take(decodeVxlan(this.bytes, udp.start, udp.end), udp.start, udp.end));
  }

  private payloadOf(decoded: Decoded<Layer> | null): void {
    if (decoded === null || decoded.layer.kind === "icmp-error" || decoded.layer.kind === "icmpv6-error") return;
    this.payload(decoded.start, decoded.end);
  }

  private payload(start: number, end: number): void {
    this.layers.push({ kind: "payload", bytes: this.bytes.subarray(start, end) });
  }

  private undecoded(start: number, end: number, reason: UndecodedReason): void {
    this.layers.push({ kind: "undecoded", bytes: this.bytes.subarray(start, end), offset: start, reason });
  }

  private take<L extends Layer>(decoded: Decoded<L> | UndecodedReason, at: number, end: number): Decoded<L> | null {
    if (typeof decoded === "string") {
      this.undecoded(at, end, decoded);
      return null;
    }
    this.layers.push(decoded.layer);
    return decoded;
  }
}

/**
 * Writes the frame; lengths and checksums are computed, also where the decoded ones were wrong. The exceptions are
 * fragments, whose transport checksum covers bytes that are not here (kept as received), and ICMP quotes (not ours to
 * repair). A frame that ends before its IP length gets the length it has, so its transport header decodes next time, with a
 * checksum that is then wrong: such a frame is stable from the second encoding on. Never throws for a decoded frame. A packet beyond 65535 bytes gets its length modulo 2^16.
 */
export function encodeFrame(packet: Packet): Uint8Array {
  const w = new ByteWriter(1600);
  const starts: number[] = [];
  for (const layer of packet.layers) {
    starts.push(w.offset);
    write(w, layer);
  }
  const udpEnd = w.offset;
  for (const layer of packet.layers) if (layer.kind === "udp") w.append(layer.surplus);
  const end = w.offset;
  w.append(packet.trailer);
  for (let i = packet.layers.length - 1; i >= 0; i--) {
    const layer = packet.layers[i] as Layer;
    finish(w.bytes, starts[i] as number, layer.kind === "udp" ? udpEnd : end, layer, packet.layers[i - 1]);
  }
  return w.finish();
}

function write(w: ByteWriter, l: Layer): void {
  switch (l.kind) {
    case "ethernet":
      return writeEthernet(w, l);
    case "arp":
      return writeArp(w, l);
    case "ipv4":
      return writeIpv4(w, l);
    case "ipv6":
      return writeIpv6(w, l);
    case "icmp-echo":
    case "icmp-error":
    case "icmp-other":
      return writeIcmp(w, l);
    case "icmpv6-echo":
    case "icmpv6-error":
    case "icmpv6-other":
      return writeIcmpv6(w, l);
    case "tcp":
      return writeTcp(w, l);
    case "udp":
      return writeUdp(w, l);
    case "vxlan":
      return writeVxlan(w, l);
    case "payload":
    case "undecoded":
      w.append(l.bytes);
      return;
    default:
      return unreachable(l);
  }
}

function finish(b: Uint8Array, start: number, end: number, l: Layer, below: Layer | undefined): void {
  if (l.kind === "ipv4") finishIpv4(b, start, end);
  else if (l.kind === "ipv6") finishIpv6(b, start, end);
  else if (below?.kind === "ipv4" || below?.kind === "ipv6") {
    if (l.kind === "tcp") finishTcp(b, start, end, l, below);
    else if (l.kind === "udp") finishUdp(b, start, end, l, below);
    else if (below.kind === "ipv4") {
      if (l.kind === "icmp-echo" || l.kind === "icmp-error" || l.kind === "icmp-other") {
        finishIcmp(b, start, end, l, below);
      }
    } else if (l.kind === "icmpv6-echo" || l.kind === "icmpv6-error" || l.kind === "icmpv6-other") {
      finishIcmpv6(b, start, end, l, below);
    }
  }
}
