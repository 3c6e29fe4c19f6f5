import { longestServed } from "#core/datapath";
import type { LengthGuard } from "#protocols/openflow";
import { TABLE } from "./program.ts";
import type { Rule } from "./rules.ts";

/** What a measuring action can compare with. */
const MOST_BYTES = 0xffff;

/** True when a copy of a frame of this length, tags and all, is longer than the tunnel takes. */
export function isTooLong({ tagGrowth }: Rule, lengthBytes: number, limitBytes: number): boolean {
  return tagGrowth !== null && lengthBytes > longestServed(tagGrowth, limitBytes);
}

/** What keeps too long packets of an entry from the tunnel; null when there are none. */
export function lengthGuard({ tagGrowth }: Rule, limitBytes: number): LengthGuard | null {
  if (tagGrowth === null) return null;
  const longestBytes = longestServed(tagGrowth, limitBytes);
  if (longestBytes > MOST_BYTES) return null;
  return { longestBytes, tooLongTable: TABLE.TOO_LONG, outputTable: TABLE.OUTPUT };
}
