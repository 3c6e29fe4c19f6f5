import type { Ipv6 } from "./addresses.ts";
import type { EthernetOptions } from "./build.ts";
import { ETHERTYPE_IPV6, TPID_8021AD, TPID_8021Q } from "./ethernet.ts";
import { encodeFrame } from "./frame.ts";
import { ICMPV6_PACKET_TOO_BIG, PROTO_ICMPV6 } from "./icmpv6.ts";
import { decodeIpv6 } from "./ipv6.ts";
import { locate } from "./locate.ts";

/** RFC 4443 §3.2: as much of the packet as fits without the error exceeding IPv6's least MTU: 1280 - 40 (IP) - 8 (ICMP). */
export const ICMPV6_QUOTE_MAX_BYTES = 1232;

export interface PacketTooBigOptions extends EthernetOptions {
  readonly ipSrc: Ipv6;
  readonly ipDst: Ipv6;
  /** Of the link that the packet did not fit, bytes. */
  readonly mtu: number;
  /** The whole Ethernet frame that the error is about. */
  readonly quotedFrame: Uint8Array;
}

/** ICMPv6 Packet Too Big (RFC 4443 §3.2). Whether one may be sent (§2.4) is the caller's to decide. */
export function buildPacketTooBig(o: PacketTooBigOptions): Uint8Array {
  const vlans = o.vlans ?? [];
  const last = vlans.length - 1;
  const tags = vlans.map((vid, i) => ({ tpid: i === last ? TPID_8021Q : TPID_8021AD, pcp: 0, dei: false, vid }));
  return encodeFrame({
    layers: [
      { kind: "ethernet", dst: o.ethDst, src: o.ethSrc, tags, etherType: ETHERTYPE_IPV6 },
      {
        kind: "ipv6",
        trafficClass: 0,
        flowLabel: 0,
        hopLimit: 64,
        src: o.ipSrc,
        dst: o.ipDst,
        extensions: [],
        protocol: PROTO_ICMPV6,
        fragment: null,
      },
      {
        kind: "icmpv6-error",
        type: ICMPV6_PACKET_TOO_BIG,
        code: 0,
        rest: o.mtu,
        quote: quoteOf(o.quotedFrame),
        checksumOk: true,
        rawChecksum: null,
      },
    ],
    trailer: new Uint8Array(0),
  });
}

/** The IP packet of a frame, without Ethernet padding, cut to what an error may quote. */
function quoteOf(frame: Uint8Array): Uint8Array {
  const { etherType, l3Offset } = locate(frame);
  const ip = etherType === ETHERTYPE_IPV6 ? decodeIpv6(frame, l3Offset, frame.length) : "bad-version";
  if (typeof ip === "string") return new Uint8Array(0);
  return frame.subarray(l3Offset, Math.min(ip.end, frame.length, l3Offset + ICMPV6_QUOTE_MAX_BYTES));
}
