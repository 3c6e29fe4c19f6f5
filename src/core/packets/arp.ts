import { type ByteWriter, readU16, readU32, readU48 } from "#core/base";
import type { Ipv4, Mac } from "./addresses.ts";
import { ETHERTYPE_IPV4 } from "./ethernet.ts";
import type { Decoded, UndecodedReason } from "./undecoded.ts";

/*
 * ARP for IPv4 over Ethernet, RFC 826 "Packet format"
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-------------------------------+-------------------------------+
 * |       Hardware type = 1       |    Protocol type = 0x0800     |
 * +---------------+---------------+-------------------------------+
 * |    hlen = 6   |    plen = 4   |           Operation           |
 * +---------------+---------------+-------------------------------+
 * |  sender MAC (6)   |  sender IP (4)  |  target MAC (6)   |  target IP (4)
 */
export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;
export const ARP_BYTES = 28;

export interface ArpLayer {
  readonly kind: "arp";
  /** 1 request, 2 reply; others are kept. */
  readonly operation: number;
  readonly senderMac: Mac;
  readonly senderIp: Ipv4;
  readonly targetMac: Mac;
  readonly targetIp: Ipv4;
}

/** @returns "bad-header" for hardware or protocols other than Ethernet and IPv4, "truncated" below 28 bytes. */
export function decodeArp(b: Uint8Array, offset: number, end: number): Decoded<ArpLayer> | UndecodedReason {
  if (end - offset < ARP_BYTES) return "truncated";
  if (readU16(b, offset) !== 1 || readU16(b, offset + 2) !== ETHERTYPE_IPV4) return "bad-header";
  if (readU16(b, offset + 4) !== 0x0604) return "bad-header";
  const layer: ArpLayer = {
    kind: "arp",
    operation: readU16(b, offset + 6),
    senderMac: readU48(b, offset + 8) as Mac,
    senderIp: readU32(b, offset + 14) as Ipv4,
    targetMac: readU48(b, offset + 18) as Mac,
    targetIp: readU32(b, offset + 24) as Ipv4,
  };
  return { layer, start: offset + ARP_BYTES, end: offset + ARP_BYTES };
}

export function writeArp(w: ByteWriter, l: ArpLayer): void {
  w.u16(1).u16(ETHERTYPE_IPV4).u16(0x0604).u16(l.operation);
  w.u48(l.senderMac).u32(l.senderIp).u48(l.targetMac).u32(l.targetIp);
}
