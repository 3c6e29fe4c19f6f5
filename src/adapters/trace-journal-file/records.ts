import { crc32 } from "node:zlib";
import type { FlowTraceId, RuleId, TraceRequestId } from "#core/base";

/** Version of the file; the first record of each. */
export const JOURNAL_VERSION = 1;

/**
 * One fact. On disk a line: eight hex digits of the CRC-32 of the JSON text, a blank, the text, a line feed. Counts are
 * absolute, so that a line which is lost or read twice does no harm that a later one does not undo.
 */
export type JournalRecord =
  | readonly ["version", number]
  /** Flows that the enabling has traced. */
  | readonly ["count", RuleId, number]
  /** One more, which is this flow, at this time (ms since the epoch). */
  | readonly ["traced", RuleId, number, string, number]
  /** A flow that lives, when it was last seen, and whether an entry of the switch serves it (compaction writes these). */
  | readonly ["flow", RuleId, string, number, 0 | 1]
  | readonly ["held", RuleId, string]
  | readonly ["seen", RuleId, string, number]
  | readonly ["ended", RuleId, string]
  | readonly ["forgotten", RuleId]
  /** A report is to be made: its id, flow trace and requests; and reports that are kept elsewhere. */
  | readonly ["begun", string, FlowTraceId | null, readonly TraceRequestId[]]
  | readonly ["reported", readonly string[]];

export function recordLine(record: JournalRecord): string {
  const text = JSON.stringify(record);
  return `${crc32(text).toString(16).padStart(8, "0")} ${text}\n`;
}

export interface ParsedJournal {
  readonly records: readonly JournalRecord[];
  /** Complete lines that are no records: a damaged disk, not a torn write. */
  readonly damaged: number;
  /** Bytes behind the last line feed: a write that was cut off. */
  readonly tornBytes: number;
}

/** Reads what there is; never throws on bytes. */
export function parseJournal(bytes: Uint8Array): ParsedJournal {
  const end = bytes.lastIndexOf(0x0a) + 1;
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, end).toString("utf8").split("\n");
  lines.pop();
  const records: JournalRecord[] = [];
  let damaged = 0;
  for (const line of lines) {
    const record = parseLine(line);
    if (record === null) damaged++;
    else records.push(record);
  }
  return { records, damaged, tornBytes: bytes.length - end };
}

function parseLine(line: string): JournalRecord | null {
  const text = line.slice(9);
  if (!/^[0-9a-f]{8} /.test(line) || crc32(text) !== Number.parseInt(line.slice(0, 8), 16)) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  return isRecord(value) ? value : null;
}

type Check = (value: unknown) => boolean;
const text: Check = (v) => typeof v === "string";
const count: Check = (v) => Number.isSafeInteger(v) && (v as number) >= 0;
const time: Check = (v) => Number.isFinite(v);
const textOrNull: Check = (v) => v === null || typeof v === "string";
const texts: Check = (v) => Array.isArray(v) && v.every(text);
const bit: Check = (v) => v === 0 || v === 1;

/** The fields behind the first, by kind. */
const FIELDS: Readonly<Record<JournalRecord[0], readonly Check[]>> = {
  version: [count],
  count: [text, count],
  traced: [text, count, text, time],
  flow: [text, text, time, bit],
  held: [text, text],
  seen: [text, text, time],
  ended: [text, text],
  forgotten: [text],
  begun: [text, textOrNull, texts],
  reported: [texts],
};

function isRecord(value: unknown): value is JournalRecord {
  if (!Array.isArray(value)) return false;
  const [kind, ...fields] = value as readonly unknown[];
  if (typeof kind !== "string" || !Object.hasOwn(FIELDS, kind)) return false;
  const checks = FIELDS[kind as JournalRecord[0]];
  return checks.length === fields.length && checks.every((check, i) => check(fields[i]));
}
