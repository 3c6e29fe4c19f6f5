import { longestServed } from "#core/datapath";
import type { LengthGuard } from "#protocols/openflow";
import type { Entry } from "./entries.ts";
import { TABLE } from "./program.ts";

/** What a measuring action can compare with. */
const MOST_BYTES = 0xffff;

/** True when a copy of a frame of this length, tags and all, is longer than the tunnel takes. */
export function isTooLong(entry: Entry, lengthBytes: number, limitBytes: number): boolean {
  return entry.tagGrowth !== null && lengthBytes > longestServed(entry.tagGrowth, limitBytes);
}

/** What keeps too long packets of an entry from the tunnel; null when there are none. */
export function lengthGuard(entry: Entry, limitBytes: number): LengthGuard | null {
  if (entry.tagGrowth === null) return null;
  const longestBytes = longestServed(entry.tagGrowth, limitBytes);
  if (longestBytes > MOST_BYTES) return null;
  return { longestBytes, tooLongTable: TABLE.TOO_LONG, outputTable: TABLE.OUTPUT };
}
