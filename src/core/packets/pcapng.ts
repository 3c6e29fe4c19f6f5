import { ByteWriter, utf8Encode } from "#core/base";
import { type Capture, type CapturedFrame, type CaptureProblem, LINKTYPE_ETHERNET } from "./captured.ts";
import { BIG_ENDIAN, type EndianReader, LITTLE_ENDIAN } from "./endian.ts";

/*
 * pcapng, draft-ietf-opsawg-pcapng §3 and §4. Every block: type(4) total length(4) body, options, total length(4)
 *
 * section header (SHB)         magic(4) major(2) minor(2) section length(8) options
 * interface description (IDB)  linktype(2) reserved(2) snaplen(4) options
 * enhanced packet (EPB)        interface(4) time high(4) time low(4) captured(4) original(4) data padded to 4, options
 * simple packet (SPB)          original(4) data padded to 4
 */
const SHB = 0x0a0d0d0a;
const IDB = 1;
const SPB = 3;
const EPB = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const OPT_COMMENT = 1;
const IF_NAME = 2;
const IF_TSRESOL = 9;
const IF_TSOFFSET = 14;

interface Interface {
  readonly snaplen: number;
  readonly unitsPerSecond: bigint;
  readonly offsetSeconds: bigint;
}

/** Sections of both byte orders; blocks other than SHB, IDB, EPB and SPB are skipped. Never throws. */
export function decodePcapng(file: Uint8Array): Capture {
  const frames: CapturedFrame[] = [];
  const stop = (reason: CaptureProblem["reason"], offset: number): Capture => ({ frames, problem: { reason, offset } });
  let order: EndianReader | null = null;
  let interfaces: Interface[] = [];
  let at = 0;
  while (at < file.length) {
    if (at + 12 > file.length) return stop("truncated", at);
    // The type of a section header reads the same in both byte orders.
    if (BIG_ENDIAN.u32(file, at) === SHB) {
      order = sectionOrder(file, at);
      if (order === null) return stop("not-a-capture", at);
      interfaces = [];
    }
    if (order === null) return stop("not-a-capture", at);
    const type = order.u32(file, at);
    const size = order.u32(file, at + 4);
    if (size < minimumBytes(type) || size % 4 !== 0) return stop("bad-length", at);
    if (at + size > file.length) return stop("truncated", at);
    const body = at + 8;
    const end = at + size - 4;
    if (order.u32(file, end) !== size) return stop("bad-length", end);
    if (type === SHB && order.u16(file, body + 4) !== 1) return stop("unsupported-version", body + 4);
    if (type === IDB) {
      if (order.u16(file, body) !== LINKTYPE_ETHERNET) return stop("unsupported-linktype", body);
      interfaces.push(readInterface(file, body, end, order));
    } else if (type === EPB || type === SPB) {
      const iface = interfaces[type === EPB ? order.u32(file, body) : 0];
      if (iface === undefined) return stop("bad-length", body);
      const frame = type === EPB ? enhanced(file, body, end, order, iface) : simple(file, body, end, order, iface);
      if (frame === null) return stop("bad-length", body);
      frames.push(frame);
    }
    at += size;
  }
  return { frames, problem: null };
}

function minimumBytes(type: number): number {
  if (type === SHB) return 28;
  if (type === IDB) return 20;
  return type === EPB ? 32 : type === SPB ? 16 : 12;
}

function sectionOrder(file: Uint8Array, at: number): EndianReader | null {
  if (BIG_ENDIAN.u32(file, at + 8) === BYTE_ORDER_MAGIC) return BIG_ENDIAN;
  return LITTLE_ENDIAN.u32(file, at + 8) === BYTE_ORDER_MAGIC ? LITTLE_ENDIAN : null;
}

function readInterface(file: Uint8Array, body: number, end: number, order: EndianReader): Interface {
  let unitsPerSecond = 1_000_000n;
  let offsetSeconds = 0n;
  let at = body + 8;
  while (at + 4 <= end) {
    const code = order.u16(file, at);
    const length = order.u16(file, at + 2);
    const value = at + 4;
    if (code === 0 || value + length > end) break;
    if (code === IF_TSRESOL && length >= 1) {
      const exponent = file[value] as number;
      unitsPerSecond = (exponent & 0x80) === 0 ? 10n ** BigInt(exponent) : 2n ** BigInt(exponent & 0x7f);
    } else if (code === IF_TSOFFSET && length >= 8) {
      const high = order === BIG_ENDIAN ? order.u32(file, value) : order.u32(file, value + 4);
      const low = order === BIG_ENDIAN ? order.u32(file, value + 4) : order.u32(file, value);
      offsetSeconds = BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low));
    }
    at = value + ((length + 3) & ~3);
  }
  return { snaplen: order.u32(file, body + 4), unitsPerSecond, offsetSeconds };
}

function enhanced(
  file: Uint8Array,
  body: number,
  end: number,
  order: EndianReader,
  iface: Interface,
): CapturedFrame | null {
  const captured = order.u32(file, body + 12);
  const start = body + 20;
  if (start + captured > end) return null;
  const units = (BigInt(order.u32(file, body + 4)) << 32n) | BigInt(order.u32(file, body + 8));
  return {
    timestampNs: (units * 1_000_000_000n) / iface.unitsPerSecond + iface.offsetSeconds * 1_000_000_000n,
    bytes: file.subarray(start, start + captured),
    originalLength: order.u32(file, body + 16),
  };
}

function simple(
  file: Uint8Array,
  body: number,
  end: number,
  order: EndianReader,
  iface: Interface,
): CapturedFrame | null {
  const originalLength = order.u32(file, body);
  const captured = iface.snaplen === 0 ? originalLength : Math.min(originalLength, iface.snaplen);
  const start = body + 4;
  if (start + captured > end) return null;
  return { timestampNs: 0n, bytes: file.subarray(start, start + captured), originalLength };
}

export interface FrameToWrite {
  /** Nanoseconds since 1970-01-01 UTC. */
  readonly timestampNs: bigint;
  readonly bytes: Uint8Array;
  /** Default: the length of `bytes`. */
  readonly originalLength?: number;
  /** Shown by Wireshark beside the frame; cut after 65535 bytes of UTF-8. */
  readonly comment?: string;
  /** Place in the list of interfaces; default the first. */
  readonly interface?: number;
}

/** One interface without a name: what a file has when nobody says more. */
const ANY_INTERFACE: readonly string[] = [""];

/**
 * One big-endian section with Ethernet interfaces of nanosecond resolution, one EPB per frame.
 * @param interfaces their names; "" is left out.
 */
export function encodePcapng(
  frames: readonly FrameToWrite[],
  interfaces: readonly string[] = ANY_INTERFACE,
): Uint8Array {
  const w = new ByteWriter(4096);
  block(w, SHB, () => w.u32(BYTE_ORDER_MAGIC).u16(1).u16(0).u32(0xffff_ffff).u32(0xffff_ffff));
  for (const name of interfaces) {
    block(w, IDB, () => {
      w.u16(LINKTYPE_ETHERNET).u16(0).u32(0);
      if (name !== "") option(w, IF_NAME, cutUtf8(utf8Encode(name), 0xffff));
      option(w, IF_TSRESOL, new Uint8Array([9]));
      w.u32(0);
    });
  }
  for (const frame of frames) {
    block(w, EPB, () => {
      w.u32(frame.interface ?? 0)
        .u64(frame.timestampNs)
        .u32(frame.bytes.length);
      padded(w.u32(frame.originalLength ?? frame.bytes.length), frame.bytes);
      if (frame.comment === undefined) return;
      option(w, OPT_COMMENT, cutUtf8(utf8Encode(frame.comment), 0xffff));
      w.u32(0);
    });
  }
  return w.finish();
}

function block(w: ByteWriter, type: number, body: () => unknown): void {
  const start = w.offset;
  w.u32(type).u32(0);
  body();
  const size = w.offset + 4 - start;
  w.u32(size);
  w.patchU16(start + 4, size >>> 16).patchU16(start + 6, size & 0xffff);
}

function option(w: ByteWriter, code: number, value: Uint8Array): void {
  padded(w.u16(code).u16(value.length), value);
}

function padded(w: ByteWriter, bytes: Uint8Array): void {
  w.append(bytes);
  for (let i = bytes.length; i % 4 !== 0; i++) w.u8(0);
}

/** Cuts at a character boundary. */
function cutUtf8(bytes: Uint8Array, max: number): Uint8Array {
  if (bytes.length <= max) return bytes;
  let end = max;
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}
