import type { OptionTable, OptionValues } from "#apps/cli/options";
import { TRACE_STORE_LIMITS, type TraceStoreLimits } from "#core/tracing";

const DAY_MS = 86_400_000;
const MOST = BigInt(Number.MAX_SAFE_INTEGER);

/** Where flow traces are kept, and how many of each tenant. */
export const TRACE_STORE_OPTIONS = {
  "trace-store": {
    kind: "text",
    placeholder: "URL",
    default: null,
    description:
      "where flow traces are kept: memory:, file:DIR, or postgres://USER:PASSWORD@HOST:PORT/DATABASE, which several API servers share; without it in the directory of --data, or else in memory",
  },
  "keep-flows": {
    kind: "integer",
    placeholder: "NUMBER",
    default: BigInt(TRACE_STORE_LIMITS.maxFlows),
    min: 1n,
    max: MOST,
    description: "flow traces that are kept for each tenant; the oldest goes first, pinned ones stay",
  },
  "keep-bytes": {
    kind: "integer",
    placeholder: "BYTES",
    default: BigInt(TRACE_STORE_LIMITS.maxBytes),
    min: 1n,
    max: MOST,
    description: "bytes of compressed trace segments that are kept for each tenant; indexes come on top, as much again",
  },
  "keep-days": {
    kind: "integer",
    placeholder: "DAYS",
    default: BigInt(TRACE_STORE_LIMITS.maxAgeMs / DAY_MS),
    min: 1n,
    max: 36_500n,
    description: "how long a flow trace is kept that is not pinned",
  },
  "keep-pins": {
    kind: "integer",
    placeholder: "NUMBER",
    default: BigInt(TRACE_STORE_LIMITS.maxPins),
    min: 0n,
    max: MOST,
    description: "flow traces that may be pinned for each tenant",
  },
} as const satisfies OptionTable;

type Values = OptionValues<typeof TRACE_STORE_OPTIONS>;

/** The bounds of each tenant that were asked for. */
export function keptOf(options: Values): Pick<TraceStoreLimits, "maxFlows" | "maxBytes" | "maxAgeMs" | "maxPins"> {
  return {
    maxFlows: Number(options["keep-flows"]),
    maxBytes: Number(options["keep-bytes"]),
    maxAgeMs: Number(options["keep-days"]) * DAY_MS,
    maxPins: Number(options["keep-pins"]),
  };
}

/** What was said, or else what --data means. */
export function traceStoreUrl(options: Pick<Values, "trace-store"> & { readonly data: string | null }): string {
  return options["trace-store"] ?? (options.data === null ? "memory:" : `file:${options.data}`);
}
