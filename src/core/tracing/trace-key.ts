import { readU32 } from "#core/base";
import { ETHERTYPE, type FlowMatch, hasL4, NO_ICMP_ID } from "#core/flows";
import { formatIpv4, formatIpv6, formatMac } from "#core/packets";

/**
 * Names a packet between hosts: the blueprint's key (MidoNet's fields), as the packet looks on the wire. ICMP: the
 * identifier stands in both ports. ARP: addresses of the message, operation as protocol. Not IP: addresses null.
 */
export interface TraceKey {
  readonly ethSrc: string;
  readonly ethDst: string;
  readonly etherType: number;
  readonly networkSrc: string | null;
  readonly networkDst: string | null;
  readonly networkProto: number | null;
  readonly srcPort: number | null;
  readonly dstPort: number | null;
}

/** Reads the key without marking anything as seen. */
export function traceKeyOf(m: FlowMatch): TraceKey {
  const ip = m.etherType === ETHERTYPE.IPV4 || m.etherType === ETHERTYPE.ARP;
  const ip6 = m.etherType === ETHERTYPE.IPV6;
  const l4 = hasL4(m);
  const echo = m.icmpId !== NO_ICMP_ID;
  const icmp = l4 && (m.nwProto === 1 || m.nwProto === 58);
  return {
    ethSrc: formatMac(m.ethSrc),
    ethDst: formatMac(m.ethDst),
    etherType: m.etherType,
    networkSrc: ip ? formatIpv4(m.nwSrc) : ip6 ? formatIpv6(m.ip6Src) : null,
    networkDst: ip ? formatIpv4(m.nwDst) : ip6 ? formatIpv6(m.ip6Dst) : null,
    networkProto: ip || ip6 ? m.nwProto : null,
    srcPort: icmp ? (echo ? m.icmpId : 0) : l4 ? m.tpSrc : null,
    dstPort: icmp ? (echo ? m.icmpId : 0) : l4 ? m.tpDst : null,
  };
}

export function traceKeyText(k: TraceKey): string {
  return `${k.ethSrc} ${k.ethDst} ${k.etherType} ${k.networkSrc} ${k.networkDst} ${k.networkProto} ${k.srcPort} ${k.dstPort}`;
}

/**
 * 64 bits over every byte of the frame as it goes on the wire (two FNV-1a style sums with different multipliers): tells
 * apart two packets with one key. Sender and receiver compute it from the same bytes, so no packet has to carry it.
 */
export function packetToken(frame: Uint8Array): string {
  let a = 0x811c9dc5;
  let b = 0x9747b28c ^ frame.length;
  const words = frame.length & ~3;
  for (let i = 0; i < words; i += 4) {
    const w = readU32(frame, i);
    a = Math.imul(a ^ w, 0x01000193);
    a ^= a >>> 15;
    b = Math.imul(b ^ w, 0x5bd1e995);
    b ^= b >>> 13;
  }
  for (let i = words; i < frame.length; i++) {
    a = Math.imul(a ^ (frame[i] as number), 0x01000193);
    b = Math.imul(b ^ (frame[i] as number), 0x5bd1e995);
    b ^= b >>> 15;
  }
  return (a >>> 0).toString(16).padStart(8, "0") + (b >>> 0).toString(16).padStart(8, "0");
}
