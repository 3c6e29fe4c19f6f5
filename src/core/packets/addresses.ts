import { type Branded, readU16 } from "#core/base";

/** A MAC address as a 48-bit number (exact in a double): compares and hashes faster than text on the packet path. */
export type Mac = Branded<number, "Mac">;
/** An IPv4 address as an unsigned 32-bit number. */
export type Ipv4 = Branded<number, "Ipv4">;
/** An IPv6 address as an unsigned 128-bit bigint. */
export type Ipv6 = Branded<bigint, "Ipv6">;

export const MAC_BROADCAST = 0xffff_ffff_ffff as Mac;
export const IPV4_BROADCAST = 0xffff_ffff as Ipv4;

const MAC_TEXT =
  /^([0-9a-fA-F]{1,2})[:-]([0-9a-fA-F]{1,2})[:-]([0-9a-fA-F]{1,2})[:-]([0-9a-fA-F]{1,2})[:-]([0-9a-fA-F]{1,2})[:-]([0-9a-fA-F]{1,2})$/;
const IPV4_TEXT = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/;

/** Six groups of one or two hex digits with colons or dashes; null for anything else. */
export function parseMac(text: string): Mac | null {
  const m = MAC_TEXT.exec(text);
  if (m === null) return null;
  let v = 0;
  for (let i = 1; i <= 6; i++) v = v * 256 + Number.parseInt(m[i] as string, 16);
  return v as Mac;
}

export function formatMac(mac: number): string {
  const h = mac.toString(16).padStart(12, "0");
  return `${h.slice(0, 2)}:${h.slice(2, 4)}:${h.slice(4, 6)}:${h.slice(6, 8)}:${h.slice(8, 10)}:${h.slice(10, 12)}`;
}

/** Group bit of the first byte (IEEE 802-2014 §8.2.2); broadcast is a group address too. */
export function isMulticastMac(mac: number): boolean {
  return (Math.floor(mac / 0x100_0000_0000) & 1) === 1;
}

/** Dotted quad without leading signs or blanks; null for anything else. */
export function parseIpv4(text: string): Ipv4 | null {
  const m = IPV4_TEXT.exec(text);
  if (m === null) return null;
  let v = 0;
  for (let i = 1; i <= 4; i++) {
    const part = Number(m[i]);
    if (part > 255) return null;
    v = v * 256 + part;
  }
  return v as Ipv4;
}

export function formatIpv4(ip: number): string {
  return `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
}

/** Network mask of a prefix length 0..32 as an unsigned 32-bit number. */
export function prefixMask(lengthBits: number): number {
  return lengthBits === 0 ? 0 : (0xffff_ffff << (32 - lengthBits)) >>> 0;
}

export interface Ipv4Prefix {
  readonly address: Ipv4;
  /** 0..32 */
  readonly length: number;
}

/** `a.b.c.d` (that one address) or `a.b.c.d/n`; null for anything else. Host bits are kept as written. */
export function parseIpv4Prefix(text: string): Ipv4Prefix | null {
  const slash = text.indexOf("/");
  const address = parseIpv4(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return null;
  if (slash < 0) return { address, length: 32 };
  const digits = text.slice(slash + 1);
  if (!/^\d{1,2}$/.test(digits) || Number(digits) > 32) return null;
  return { address, length: Number(digits) };
}

export function formatIpv4Prefix(p: Ipv4Prefix): string {
  return `${formatIpv4(p.address)}/${p.length}`;
}

export function prefixContains(p: Ipv4Prefix, ip: number): boolean {
  return ((p.address ^ ip) & prefixMask(p.length)) === 0;
}

/** 224.0.0.0/4 (RFC 5771). */
export function isMulticastIpv4(ip: number): boolean {
  return ip >>> 28 === 14;
}

export function readIpv6(b: Uint8Array, o: number): Ipv6 {
  let v = 0n;
  for (let i = 0; i < 16; i += 2) v = (v << 16n) | BigInt(readU16(b, o + i));
  return v as Ipv6;
}

/** RFC 4291 §2.2 text, with `::` and an embedded dotted quad; null for anything else. No zone index. */
export function parseIpv6(text: string): Ipv6 | null {
  let t = text;
  const dot = t.lastIndexOf(":");
  if (t.includes(".")) {
    const v4 = parseIpv4(t.slice(dot + 1));
    if (dot < 0 || v4 === null) return null;
    t = `${t.slice(0, dot + 1)}${(v4 >>> 16).toString(16)}:${(v4 & 0xffff).toString(16)}`;
  }
  const halves = t.split("::");
  if (halves.length > 2) return null;
  const groups = (s: string | undefined): string[] => (s === undefined || s === "" ? [] : s.split(":"));
  const head = groups(halves[0]);
  const tail = groups(halves[1]);
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  let v = 0n;
  for (const g of [...head, ...new Array<string>(halves.length === 2 ? missing : 0).fill("0"), ...tail]) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(g)) return null;
    v = (v << 16n) | BigInt(Number.parseInt(g, 16));
  }
  return v as Ipv6;
}

/** The canonical text of RFC 5952: lower case, longest run of two or more zero groups shortened. */
export function formatIpv6(ip: bigint): string {
  const groups: number[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((ip >> shift) & 0xffffn));
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let j = i;
    while (j < 8 && groups[j] === 0) j++;
    if (j - i > bestLength) {
      best = i;
      bestLength = j - i;
    }
    if (j > i) i = j;
  }
  const text = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((g) => g.toString(16))
      .join(":");
  if (best < 0) return text(0, 8);
  return `${text(0, best)}::${text(best + bestLength, 8)}`;
}
