import { crc32 } from "node:zlib";
import type { FlowTraceId, TraceRequestId } from "#core/base";
import type { SpoolEntry } from "#core/tracing";

/** Version of the files; the first line of each. */
export const SPOOL_VERSION = 1;

/*
 * A line is eight hex digits of the CRC-32 of the rest, a blank, a header as JSON, and, for a report, a tab and its text as
 * JSON; then a line feed. JSON has neither tabs nor line feeds, so both can be found without reading it.
 *
 *     ["v",1]
 *     ["s",serial,id,flowTraceId,requestIds]  TEXT     a segment
 *     ["l",serial,id,requestIds,replaces,stands]  TEXT     a loss, as it is known now
 *     ["d",serials]     nobody needs them any more
 */
export type SpoolLine =
  | { readonly kind: "version"; readonly version: number }
  | { readonly kind: "report"; readonly entry: SpoolEntry }
  | { readonly kind: "done"; readonly serials: readonly number[] };

const sealed = (rest: string): string => `${crc32(rest).toString(16).padStart(8, "0")} ${rest}\n`;

export const versionLine = (): string => sealed(JSON.stringify(["v", SPOOL_VERSION]));
export const doneLine = (serials: readonly number[]): string => sealed(JSON.stringify(["d", serials]));

export function reportLine(e: SpoolEntry, text: string): string {
  const header =
    e.kind === "segment"
      ? ["s", e.serial, e.id, e.flowTraceId, e.requestIds]
      : ["l", e.serial, e.id, e.requestIds, e.replaces, e.stands];
  return sealed(`${JSON.stringify(header)}\t${text}`);
}

const TAB = 0x09;
const CRC_BYTES = 9;
const HEX = /^[0-9a-f]{8} $/;

/** The part behind the checksum, if that is right. `line` is without its line feed. */
function unsealed(line: Buffer): Buffer | null {
  if (line.length < CRC_BYTES || !HEX.test(line.toString("latin1", 0, CRC_BYTES))) return null;
  const rest = line.subarray(CRC_BYTES);
  return crc32(rest) === Number.parseInt(line.toString("latin1", 0, 8), 16) ? rest : null;
}

/** The text of a report; null when the line is damaged. */
export function textOf(line: Buffer): string | null {
  const rest = unsealed(line);
  const tab = rest?.indexOf(TAB) ?? -1;
  return rest === null || tab < 0 ? null : rest.toString("utf8", tab + 1);
}

/** Null when the line is damaged, or of a kind that nobody knows. Never throws. */
export function parseLine(line: Buffer): SpoolLine | null {
  const rest = unsealed(line);
  if (rest === null) return null;
  const tab = rest.indexOf(TAB);
  let header: unknown;
  try {
    header = JSON.parse(rest.toString("utf8", 0, tab < 0 ? rest.length : tab));
  } catch {
    return null;
  }
  if (!Array.isArray(header)) return null;
  const [kind, a, b, c, d, e] = header as readonly unknown[];
  if (kind === "v" && isSerial(a)) return { kind: "version", version: a };
  if (kind === "d" && isList(a, isSerial)) return { kind: "done", serials: a };
  if (tab < 0 || !isSerial(a) || !isText(b)) return null;
  if (kind === "s" && (c === null || isText(c)) && isList(d, isText))
    return { kind: "report", entry: entry("segment", a, b, c, d, [], []) };
  if (kind === "l" && isList(c, isText) && isList(d, isSerial) && isList(e, isText))
    return { kind: "report", entry: entry("loss", a, b, null, c, d, e) };
  return null;
}

function entry(
  kind: SpoolEntry["kind"],
  serial: number,
  id: string,
  flowTraceId: string | null,
  requestIds: readonly string[],
  replaces: readonly number[],
  stands: readonly string[],
): SpoolEntry {
  return {
    kind,
    serial,
    id,
    flowTraceId: flowTraceId as FlowTraceId | null,
    requestIds: requestIds as readonly TraceRequestId[],
    replaces,
    stands,
  };
}

const isText = (v: unknown): v is string => typeof v === "string";
const isSerial = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) > 0;
const isList = <T>(v: unknown, item: (x: unknown) => x is T): v is T[] => Array.isArray(v) && v.every(item);
