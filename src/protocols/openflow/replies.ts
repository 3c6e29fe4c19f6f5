import { readU16, readU32 } from "#core/base";
import { padded } from "./match.ts";
import { OFPMP } from "./messages.ts";
import { OXM } from "./oxm.ts";

/*
 * Decoders of what a switch sends. Each fills a record that is used again for the next message and returns a fault (why
 * the bytes are no such message) or null. Offsets are of the whole message, header included.
 */

/** A packet that came up. The frame is `b` from `frameStart` to the end of the message. */
export class PacketInMessage {
  table = 0;
  reason = 0;
  cookieHigh = 0;
  cookieLow = 0;
  inPort = 0;
  tunnelKey = 0;
  tunnelSrc = 0;
  tunnelDst = 0;
  frameStart = 0;
  frameEnd = 0;

  /*
   *  8 buffer (4)   12 whole length (2)   14 reason   15 table   16 cookie (8)   24 match, padded   2 of padding   frame
   */
  read(b: Uint8Array, start: number, end: number): string | null {
    this.reason = b[start + 14] as number;
    this.table = b[start + 15] as number;
    this.cookieHigh = readU32(b, start + 16);
    this.cookieLow = readU32(b, start + 20);
    this.inPort = 0;
    this.tunnelKey = 0;
    this.tunnelSrc = 0;
    this.tunnelDst = 0;
    const match = start + 24;
    const matchBytes = readU16(b, match + 2);
    const frame = match + padded(matchBytes) + 2;
    if (readU16(b, match) !== 1 || matchBytes < 4 || frame > end) return "PACKET_IN whose match does not fit";
    let at = match + 4;
    const matchEnd = match + matchBytes;
    while (at < matchEnd) {
      if (at + 4 > matchEnd) return "PACKET_IN whose match ends in a field's header";
      const header = readU32(b, at);
      const value = at + 4;
      at = value + (header & 0xff);
      if (at > matchEnd) return `PACKET_IN whose match ends within field 0x${header.toString(16)}`;
      if (header === OXM.IN_PORT) this.inPort = readU32(b, value);
      // 24 bits are a key; Open vSwitch never reports more from a VXLAN port.
      else if (header === OXM.TUNNEL_ID) this.tunnelKey = readU32(b, value + 4);
      else if (header === OXM.TUN_SRC) this.tunnelSrc = readU32(b, value);
      else if (header === OXM.TUN_DST) this.tunnelDst = readU32(b, value);
    }
    if (this.inPort === 0) return "PACKET_IN without input port";
    this.frameStart = frame;
    this.frameEnd = end;
    return null;
  }
}

/** What a removed flow and a flow's statistics have in common. */
export class FlowRecord {
  table = 0;
  priority = 0;
  cookieHigh = 0;
  cookieLow = 0;
  packets = 0;
  bytes = 0;
  /** Of a FLOW_REMOVED. */
  reason = 0;

  /*
   *  8 cookie (8)   16 priority (2)   18 reason   19 table   20 lifetime (8)   28 idle, hard   32 packets (8)   40 bytes (8)
   */
  readRemoved(b: Uint8Array, start: number): void {
    this.cookieHigh = readU32(b, start + 8);
    this.cookieLow = readU32(b, start + 12);
    this.priority = readU16(b, start + 16);
    this.reason = b[start + 18] as number;
    this.table = b[start + 19] as number;
    this.packets = readCount(b, start + 32);
    this.bytes = readCount(b, start + 40);
  }

  /*
   *  0 length (2)   2 table   4 lifetime (8)   12 priority (2)   14 idle, hard, flags   24 cookie (8)   32 packets (8)
   *  40 bytes (8)   48 match, instructions
   */
  readStats(b: Uint8Array, at: number): void {
    this.table = b[at + 2] as number;
    this.priority = readU16(b, at + 12);
    this.cookieHigh = readU32(b, at + 24);
    this.cookieLow = readU32(b, at + 28);
    this.packets = readCount(b, at + 32);
    this.bytes = readCount(b, at + 40);
  }
}

const FLOW_STATS_BYTES = 56;

/** Calls `each` for the entries of one part of a FLOW multipart reply, whose body begins at `start`. */
export function readFlowStats(
  b: Uint8Array,
  start: number,
  end: number,
  record: FlowRecord,
  each: (record: FlowRecord) => void,
): string | null {
  let at = start;
  while (at < end) {
    const length = at + 2 <= end ? readU16(b, at) : 0;
    if (length < FLOW_STATS_BYTES || at + length > end) return "MULTIPART_REPLY FLOW with an entry that does not fit";
    record.readStats(b, at);
    each(record);
    at += length;
  }
  return null;
}

/** Sums over the flows of a filter. */
export interface Aggregate {
  readonly packets: number;
  readonly bytes: number;
  readonly flows: number;
}

export function readAggregate(b: Uint8Array, start: number, end: number): Aggregate | null {
  if (end - start < 24) return null;
  return { packets: readCount(b, start), bytes: readCount(b, start + 8), flows: readU32(b, start + 16) };
}

/** A port as the switch describes it (64 bytes each in 1.3). */
export interface PortDescription {
  readonly ofport: number;
  readonly name: string;
  readonly live: boolean;
}

const PORT_BYTES = 64;
const OFPPS_LIVE = 4;

export function readPorts(b: Uint8Array, start: number, end: number): PortDescription[] | null {
  if ((end - start) % PORT_BYTES !== 0) return null;
  const ports: PortDescription[] = [];
  for (let at = start; at < end; at += PORT_BYTES) {
    let name = "";
    for (let i = at + 16; i < at + 32 && b[i] !== 0; i++) name += String.fromCharCode(b[i] as number);
    ports.push({ ofport: readU32(b, at), name, live: (readU32(b, at + 36) & OFPPS_LIVE) !== 0 });
  }
  return ports;
}

export interface Features {
  /** As Open vSwitch prints it: 16 hex digits. */
  readonly datapathId: string;
  readonly buffers: number;
  readonly tables: number;
}

export function readFeatures(b: Uint8Array, start: number): Features {
  const hex = (at: number): string => readU32(b, at).toString(16).padStart(8, "0");
  return {
    datapathId: hex(start + 8) + hex(start + 12),
    buffers: readU32(b, start + 16),
    tables: b[start + 20] as number,
  };
}

/** An ERROR: the beginning of the message that it is about lies from `dataStart` to `dataEnd`. */
export class ErrorMessage {
  type = 0;
  code = 0;
  /** Of an experimenter's error (type 0xffff), whose `code` is the experimenter's. */
  experimenter = 0;
  dataStart = 0;
  dataEnd = 0;

  read(b: Uint8Array, start: number, end: number): string | null {
    this.type = readU16(b, start + 8);
    this.code = readU16(b, start + 10);
    this.experimenter = 0;
    this.dataStart = start + 12;
    this.dataEnd = end;
    if (this.type !== 0xffff) return null;
    if (end - start < 16) return "ERROR of an experimenter without its number";
    this.experimenter = readU32(b, start + 12);
    this.dataStart = start + 16;
    return null;
  }
}

/** All ones say "not known". */
function readCount(b: Uint8Array, at: number): number {
  const high = readU32(b, at);
  return high === 0xffff_ffff ? 0 : high * 0x1_0000_0000 + readU32(b, at + 4);
}

export interface MultipartHead {
  readonly type: number;
  readonly more: boolean;
}

export const MULTIPART_BODY = 16;

export function readMultipartHead(b: Uint8Array, start: number): MultipartHead {
  return { type: readU16(b, start + 8), more: (readU16(b, start + 10) & 1) !== 0 };
}

export const isKnownMultipart = (type: number): boolean =>
  type === OFPMP.FLOW || type === OFPMP.AGGREGATE || type === OFPMP.PORT_DESC;
