import { writeU16 } from "#core/base";
import { writeEmptyMatch } from "./match.ts";
import { type MultipartType, NO_BUFFER, OFP_VERSION, OFPG_ANY, OFPMP, OFPP, OFPT, OFPTT_ALL } from "./messages.ts";
import type { Cookie } from "./flow-mod.ts";
import type { Output } from "./output.ts";

const OFPHET_VERSIONBITMAP = 1;

/** With the bitmap that offers version 1.3 and no other (TS-012 A.5.1). */
export function writeHello(out: Output, xid: number): void {
  out.begin(OFPT.HELLO, xid);
  out.u16(OFPHET_VERSIONBITMAP);
  out.u16(8);
  out.u32(1 << OFP_VERSION);
  out.end();
}

/** ECHO_REQUEST, FEATURES_REQUEST, BARRIER_REQUEST: no body. */
export function writeBare(out: Output, type: number, xid: number): void {
  out.begin(type, xid);
  out.end();
}

export function writeEchoReply(out: Output, xid: number, payload: Uint8Array): void {
  out.begin(OFPT.ECHO_REPLY, xid);
  out.append(payload);
  out.end();
}

/** Fragments pass as they are; packets come up whole. A connection that never says so gets no packets at all. */
export function writeSetConfig(out: Output, xid: number): void {
  out.begin(OFPT.SET_CONFIG, xid);
  out.u16(0);
  out.u16(0xffff);
  out.end();
}

/** What stands before the mark in a PACKET_OUT. */
export const PACKET_OUT_MARK_BYTES = 16;

/**
 * Begins a PACKET_OUT; its actions are written next, then `endPacketOut`. `inPort`: a port, or OFPP.CONTROLLER for none
 * (nothing is then "the packet's own port").
 *
 * @returns a mark for `endPacketOut`.
 */
export function beginPacketOut(out: Output, xid: number, inPort: number): number {
  out.begin(OFPT.PACKET_OUT, xid);
  out.u32(NO_BUFFER);
  out.u32(inPort);
  const mark = out.at;
  out.zeros(8);
  return mark;
}

/** @returns false, and takes the message back, when it is longer than a message can be. */
export function endPacketOut(out: Output, mark: number, frame: Uint8Array): boolean {
  writeU16(out.bytes, mark, out.at - mark - 8);
  out.append(frame);
  return out.end();
}

/**
 * Ends it with the frame from `b[start]` to `b[end]`.
 *
 * @returns where in `out.bytes` the frame lies now, to be written to until the next message; -1, and the message is taken
 * back, when it is longer than a message can be.
 */
export function endPacketOutOf(out: Output, mark: number, b: Uint8Array, start: number, end: number): number {
  writeU16(out.bytes, mark, out.at - mark - 8);
  const frame = out.at;
  out.appendPart(b, start, end);
  return out.end() ? frame : -1;
}

/** Which flows a statistics request is about. A cookie mask of zero is all of them. */
export interface StatsFilter {
  readonly table: number;
  readonly cookie: Cookie;
  readonly cookieMask: Cookie;
}

export const ZERO_COOKIE: Cookie = { high: 0, low: 0 };
export const EXACT_COOKIE: Cookie = { high: 0xffff_ffff, low: 0xffff_ffff };
export const ALL_FLOWS: StatsFilter = { table: OFPTT_ALL, cookie: ZERO_COOKIE, cookieMask: ZERO_COOKIE };

/** FLOW or AGGREGATE statistics. */
export function writeStatsRequest(
  out: Output,
  xid: number,
  type: typeof OFPMP.FLOW | typeof OFPMP.AGGREGATE,
  filter: StatsFilter,
): void {
  beginMultipart(out, xid, type);
  out.u8(filter.table);
  out.zeros(3);
  out.u32(OFPP.ANY);
  out.u32(OFPG_ANY);
  out.zeros(4);
  for (const half of [filter.cookie.high, filter.cookie.low, filter.cookieMask.high, filter.cookieMask.low])
    out.u32(half);
  writeEmptyMatch(out);
  out.end();
}

export function writePortDescRequest(out: Output, xid: number): void {
  beginMultipart(out, xid, OFPMP.PORT_DESC);
  out.end();
}

function beginMultipart(out: Output, xid: number, type: MultipartType): void {
  out.begin(OFPT.MULTIPART_REQUEST, xid);
  out.u16(type);
  out.u16(0);
  out.zeros(4);
}
