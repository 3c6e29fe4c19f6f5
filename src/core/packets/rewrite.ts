import { readU16, readU32, writeU16, writeU32, writeU48 } from "#core/base";
import type { Ipv4, Mac } from "./addresses.ts";
import { updateChecksum16, updateChecksum32 } from "./checksum.ts";
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, TPID_8021Q, isTpid } from "./ethernet.ts";
import { PROTO_TCP, PROTO_UDP } from "./ipv4.ts";
import { type FrameLocation, locate } from "./locate.ts";

/*
 * Header rewrites on raw frames, for the datapath. The set* functions work in place, keep IP and transport checksums
 * right by RFC 1624 (a wrong one stays exactly as wrong), also on first fragments, and return false, with the frame
 * untouched, when the field is not there. `at` saves a second look; it is valid until a tag is pushed or popped.
 */

export function setEthSrc(frame: Uint8Array, mac: Mac): boolean {
  if (frame.length < ETHERNET_HEADER_BYTES) return false;
  writeU48(frame, 6, mac);
  return true;
}

export function setEthDst(frame: Uint8Array, mac: Mac): boolean {
  if (frame.length < ETHERNET_HEADER_BYTES) return false;
  writeU48(frame, 0, mac);
  return true;
}

export function setIpv4Src(frame: Uint8Array, ip: Ipv4, at: FrameLocation = locate(frame)): boolean {
  return setAddress(frame, ip, at, 12);
}

export function setIpv4Dst(frame: Uint8Array, ip: Ipv4, at: FrameLocation = locate(frame)): boolean {
  return setAddress(frame, ip, at, 16);
}

/** @param ttl 0..255; deciding that a packet has expired is the caller's. */
export function setIpv4Ttl(frame: Uint8Array, ttl: number, at: FrameLocation = locate(frame)): boolean {
  if (!hasIpv4(at)) return false;
  const o = at.l3Offset + 8;
  setHeaderWord(frame, at, o, ((ttl & 255) << 8) | (frame[o + 1] as number));
  return true;
}

/** @param tos DSCP and ECN, 8 bits. */
export function setIpv4Tos(frame: Uint8Array, tos: number, at: FrameLocation = locate(frame)): boolean {
  if (!hasIpv4(at)) return false;
  const o = at.l3Offset;
  setHeaderWord(frame, at, o, ((frame[o] as number) << 8) | (tos & 255));
  return true;
}

/** TCP and UDP source port, over IPv4 or IPv6. */
export function setL4Src(frame: Uint8Array, port: number, at: FrameLocation = locate(frame)): boolean {
  return setPort(frame, port, at, 0);
}

/** TCP and UDP destination port, over IPv4 or IPv6. */
export function setL4Dst(frame: Uint8Array, port: number, at: FrameLocation = locate(frame)): boolean {
  return setPort(frame, port, at, 2);
}

/** A copy with a new outermost tag; a frame too short to be Ethernet comes back as it is. `tci` is PCP, DEI and VID. */
export function pushVlan(frame: Uint8Array, tci: number, tpid: number = TPID_8021Q): Uint8Array {
  if (frame.length < ETHERNET_HEADER_BYTES) return frame;
  const out = new Uint8Array(frame.length + 4);
  out.set(frame.subarray(0, 12));
  writeU16(out, 12, tpid);
  writeU16(out, 14, tci);
  out.set(frame.subarray(12), 16);
  return out;
}

/** A copy without the outermost tag; an untagged frame comes back as it is. */
export function popVlan(frame: Uint8Array): Uint8Array {
  if (frame.length < ETHERNET_HEADER_BYTES + 4 || !isTpid(readU16(frame, 12))) return frame;
  const out = new Uint8Array(frame.length - 4);
  out.set(frame.subarray(0, 12));
  out.set(frame.subarray(16), 12);
  return out;
}

function hasIpv4(at: FrameLocation): boolean {
  return at.etherType === ETHERTYPE_IPV4 && at.proto >= 0;
}

function setHeaderWord(b: Uint8Array, at: FrameLocation, offset: number, after: number): void {
  const sum = at.l3Offset + 10;
  writeU16(b, sum, updateChecksum16(readU16(b, sum), readU16(b, offset), after));
  writeU16(b, offset, after);
}

function setAddress(b: Uint8Array, ip: number, at: FrameLocation, field: number): boolean {
  if (!hasIpv4(at)) return false;
  const offset = at.l3Offset + field;
  const before = readU32(b, offset);
  const sum = at.l3Offset + 10;
  writeU16(b, sum, updateChecksum32(readU16(b, sum), before, ip));
  const l4Sum = transportChecksumOffset(b, at);
  if (l4Sum >= 0) writeL4Checksum(b, at, l4Sum, updateChecksum32(readU16(b, l4Sum), before, ip));
  writeU32(b, offset, ip);
  return true;
}

function setPort(b: Uint8Array, port: number, at: FrameLocation, field: number): boolean {
  if (at.l4Offset < 0 || (at.proto !== PROTO_TCP && at.proto !== PROTO_UDP)) return false;
  const offset = at.l4Offset + field;
  if (offset + 2 > at.l4End) return false;
  const sum = transportChecksumOffset(b, at);
  if (sum >= 0) writeL4Checksum(b, at, sum, updateChecksum16(readU16(b, sum), readU16(b, offset), port));
  writeU16(b, offset, port);
  return true;
}

/** -1 when nothing has to be updated: no TCP or UDP here, the field cut off, or a UDP checksum of 0 (RFC 768). */
function transportChecksumOffset(b: Uint8Array, at: FrameLocation): number {
  if (at.l4Offset < 0) return -1;
  const offset = at.l4Offset + (at.proto === PROTO_TCP ? 16 : at.proto === PROTO_UDP ? 6 : b.length);
  if (offset + 2 > at.l4End) return -1;
  return at.proto === PROTO_UDP && readU16(b, offset) === 0 ? -1 : offset;
}

function writeL4Checksum(b: Uint8Array, at: FrameLocation, offset: number, sum: number): void {
  writeU16(b, offset, at.proto === PROTO_UDP && sum === 0 ? 0xffff : sum);
}
