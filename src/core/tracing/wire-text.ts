import { MidotraceError, readU32, writeU32 } from "#core/base";
import { formatIpv6, parseIpv6, readIpv6 } from "#core/packets";

/**
 * Texts of the model (UUID, MAC, addresses) straight to and from bytes: no regular expressions and no numbers in
 * between, because the trace-state codec runs for every traced packet. `put…` throws MidotraceError INTERNAL on a text
 * that is not what its name says: those texts are ours, never from the wire.
 */

const BAD = 0x100;
const NIBBLE = new Uint16Array(128).fill(BAD);
for (let i = 0; i < 16; i++) {
  NIBBLE[i.toString(16).charCodeAt(0)] = i;
  NIBBLE[i.toString(16).toUpperCase().charCodeAt(0)] = i;
}
const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));

/** Two hex digits at `at`; BAD set when either is none. */
function pair(text: string, at: number): number {
  const hi = NIBBLE[text.charCodeAt(at)] ?? BAD;
  const lo = NIBBLE[text.charCodeAt(at + 1)] ?? BAD;
  return hi >= BAD || lo >= BAD ? BAD : (hi << 4) | lo;
}

function refuse(what: string, text: string): never {
  throw new MidotraceError("INTERNAL", `trace state: ${JSON.stringify(text)} is not ${what}`);
}

/** @throws MidotraceError INTERNAL unless `text` is a UUID with dashes. */
export function putUuid(b: Uint8Array, o: number, text: string): void {
  if (text.length !== 36) refuse("a UUID", text);
  let bad = 0;
  let at = 0;
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) bad |= text.charCodeAt(at++) ^ 0x2d;
    const v = pair(text, at);
    bad |= v & BAD;
    b[o + i] = v;
    at += 2;
  }
  if (bad !== 0) refuse("a UUID", text);
}

export function getUuid(b: Uint8Array, o: number): string {
  return `${run(b, o, 4)}-${run(b, o + 4, 2)}-${run(b, o + 6, 2)}-${run(b, o + 8, 2)}-${run(b, o + 10, 6)}`;
}

function run(b: Uint8Array, o: number, lengthBytes: number): string {
  let s = "";
  for (let i = 0; i < lengthBytes; i++) s += HEX[b[o + i] as number] as string;
  return s;
}

/** @throws MidotraceError INTERNAL unless `text` is 16 hex digits. */
export function putToken(b: Uint8Array, o: number, text: string): void {
  let bad = text.length ^ 16;
  for (let i = 0; i < 8; i++) {
    const v = pair(text, i * 2);
    bad |= v & BAD;
    b[o + i] = v;
  }
  if (bad !== 0) refuse("a token of 16 hex digits", text);
}

export function getToken(b: Uint8Array, o: number): string {
  return run(b, o, 8);
}

/** @throws MidotraceError INTERNAL unless `text` is six pairs of hex digits with colons. */
export function putMac(b: Uint8Array, o: number, text: string): void {
  let bad = text.length ^ 17;
  for (let i = 0; i < 6; i++) {
    const v = pair(text, i * 3);
    bad |= v & BAD;
    if (i < 5) bad |= text.charCodeAt(i * 3 + 2) ^ 0x3a;
    b[o + i] = v;
  }
  if (bad !== 0) refuse("a MAC address", text);
}

export function getMac(b: Uint8Array, o: number): string {
  let s = HEX[b[o] as number] as string;
  for (let i = 1; i < 6; i++) s += `:${HEX[b[o + i] as number]}`;
  return s;
}

/** @throws MidotraceError INTERNAL unless `text` is a dotted quad. */
export function putIpv4(b: Uint8Array, o: number, text: string): void {
  let value = 0;
  let digits = 0;
  let index = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = i === text.length ? 0x2e : text.charCodeAt(i);
    if (c === 0x2e) {
      if (digits === 0 || value > 255 || index > 3) refuse("an IPv4 address", text);
      b[o + index++] = value;
      value = 0;
      digits = 0;
    } else {
      if (c < 0x30 || c > 0x39 || ++digits > 3) refuse("an IPv4 address", text);
      value = value * 10 + c - 0x30;
    }
  }
  if (index !== 4) refuse("an IPv4 address", text);
}

export function getIpv4(b: Uint8Array, o: number): string {
  return `${b[o]}.${b[o + 1]}.${b[o + 2]}.${b[o + 3]}`;
}

/** @throws MidotraceError INTERNAL unless `text` is an IPv6 address. Only IPv6 packets pay for the bigint. */
export function putIpv6(b: Uint8Array, o: number, text: string): void {
  const v = parseIpv6(text);
  if (v === null) refuse("an IPv6 address", text);
  for (let i = 0; i < 4; i++) writeU32(b, o + i * 4, Number((v >> BigInt(96 - 32 * i)) & 0xffff_ffffn));
}

export function getIpv6(b: Uint8Array, o: number): string {
  return formatIpv6(readIpv6(b, o));
}

const CRC = new Int32Array(256);
for (let i = 0; i < 256; i++) {
  let c = i;
  for (let k = 0; k < 8; k++) c = (c & 1) === 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  CRC[i] = c;
}

/** CRC-32 (IEEE 802.3, as in zlib) of `[from, to)`, unsigned. */
export function crc32(b: Uint8Array, from: number, to: number): number {
  let c = -1;
  for (let i = from; i < to; i++) c = (CRC[(c ^ (b[i] as number)) & 255] as number) ^ (c >>> 8);
  return (c ^ -1) >>> 0;
}

/** True when the bytes `[at, at + 4)` hold the CRC-32 of `[from, at)`. */
export function crcMatches(b: Uint8Array, from: number, at: number): boolean {
  return crc32(b, from, at) === readU32(b, at);
}
