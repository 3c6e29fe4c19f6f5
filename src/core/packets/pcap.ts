import { type Capture, type CapturedFrame, type CaptureProblem, LINKTYPE_ETHERNET } from "./captured.ts";
import { BIG_ENDIAN, type EndianReader, LITTLE_ENDIAN } from "./endian.ts";

/*
 * pcap, draft-ietf-opsawg-pcap §4 and §5
 *
 * file:    magic(4) major(2) minor(2) reserved(8) snaplen(4) fcs+linktype(4)
 * packet:  seconds(4) micro- or nanoseconds(4) captured length(4) original length(4) data
 */
const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const FILE_HEADER_BYTES = 24;
const RECORD_HEADER_BYTES = 16;

/** Both byte orders, micro- and nanosecond files. Frames before a problem are kept. Never throws. */
export function decodePcap(file: Uint8Array): Capture {
  const frames: CapturedFrame[] = [];
  const stop = (reason: CaptureProblem["reason"], offset: number): Capture => ({ frames, problem: { reason, offset } });
  if (file.length < 4) return stop("not-a-capture", 0);
  const order = byteOrder(file);
  if (order === null) return stop("not-a-capture", 0);
  if (file.length < FILE_HEADER_BYTES) return stop("truncated", 0);
  if (order.u16(file, 4) !== 2) return stop("unsupported-version", 4);
  if ((order.u32(file, 20) & 0xffff) !== LINKTYPE_ETHERNET) return stop("unsupported-linktype", 20);
  const unitNs = order.u32(file, 0) === MAGIC_NANOSECONDS ? 1 : 1000;
  let at = FILE_HEADER_BYTES;
  while (at < file.length) {
    if (at + RECORD_HEADER_BYTES > file.length) return stop("truncated", at);
    const captured = order.u32(file, at + 8);
    const start = at + RECORD_HEADER_BYTES;
    if (start + captured > file.length) return stop("truncated", at);
    frames.push({
      timestampNs: BigInt(order.u32(file, at)) * 1_000_000_000n + BigInt(order.u32(file, at + 4) * unitNs),
      bytes: file.subarray(start, start + captured),
      originalLength: order.u32(file, at + 12),
    });
    at = start + captured;
  }
  return { frames, problem: null };
}

function byteOrder(file: Uint8Array): EndianReader | null {
  for (const order of [BIG_ENDIAN, LITTLE_ENDIAN]) {
    const magic = order.u32(file, 0);
    if (magic === MAGIC_MICROSECONDS || magic === MAGIC_NANOSECONDS) return order;
  }
  return null;
}
