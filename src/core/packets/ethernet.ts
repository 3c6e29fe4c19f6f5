import { type ByteWriter, readU16, readU48 } from "#core/base";
import type { Mac } from "./addresses.ts";
import type { Decoded, UndecodedReason } from "./undecoded.ts";

/*
 * Ethernet II, IEEE 802.3-2022 §3.1, with the tags of IEEE 802.1Q-2022 §9.6
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-------------------------------+-------------------------------+
 * |                        Destination                            |
 * +                               +-------------------------------+
 * |                               |            Source             |
 * +-------------------------------+                               +
 * |                                                               |
 * +-------------------------------+-----+-+-----------------------+
 * |  TPID (0x8100 0x88a8 0x9100)  | PCP |D|          VID          |  any number of times
 * +-------------------------------+-----+-+-----------------------+
 * |           EtherType           |
 * +-------------------------------+
 */
export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;
export const TPID_8021Q = 0x8100;
export const TPID_8021AD = 0x88a8;
export const TPID_9100 = 0x9100;
export const ETHERNET_HEADER_BYTES = 14;
/** Values of the type field below this are a length (IEEE 802.3 §3.2.6). */
export const ETHERTYPE_MIN = 0x0600;
/** Tags followed before the decoder gives up; real stacks have one or two. */
export const MAX_VLAN_TAGS = 8;

export interface VlanTag {
  readonly tpid: number;
  /** Priority code point, 0..7. */
  readonly pcp: number;
  /** Drop eligible indicator. */
  readonly dei: boolean;
  /** 0..4095; 0 is a priority tag. */
  readonly vid: number;
}

export interface EthernetLayer {
  readonly kind: "ethernet";
  readonly dst: Mac;
  readonly src: Mac;
  /** Outermost first. */
  readonly tags: readonly VlanTag[];
  /** After the last tag; below 0x600 it is the length of an 802.3 frame. */
  readonly etherType: number;
}

export function isTpid(etherType: number): boolean {
  return etherType === TPID_8021Q || etherType === TPID_8021AD || etherType === TPID_9100;
}

/** @returns "truncated" when the header does not fit; a stack deeper than MAX_VLAN_TAGS leaves a TPID as etherType. */
export function decodeEthernet(b: Uint8Array, offset: number, end: number): Decoded<EthernetLayer> | UndecodedReason {
  if (end - offset < ETHERNET_HEADER_BYTES) return "truncated";
  let at = offset + 12;
  let etherType = readU16(b, at);
  const tags: VlanTag[] = [];
  while (isTpid(etherType) && tags.length < MAX_VLAN_TAGS) {
    if (at + 6 > end) return "truncated";
    const tci = readU16(b, at + 2);
    tags.push({ tpid: etherType, pcp: tci >>> 13, dei: (tci & 0x1000) !== 0, vid: tci & 0xfff });
    at += 4;
    etherType = readU16(b, at);
  }
  const dst = readU48(b, offset) as Mac;
  const src = readU48(b, offset + 6) as Mac;
  return { layer: { kind: "ethernet", dst, src, tags, etherType }, start: at + 2, end };
}

/** The 16 bits after the TPID. */
export function vlanTci(tag: VlanTag): number {
  return (tag.pcp << 13) | (tag.dei ? 0x1000 : 0) | tag.vid;
}

export function writeEthernet(w: ByteWriter, l: EthernetLayer): void {
  w.u48(l.dst).u48(l.src);
  for (const tag of l.tags) w.u16(tag.tpid).u16(vlanTci(tag));
  w.u16(l.etherType);
}
