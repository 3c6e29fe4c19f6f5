import type { Benchmark } from "./measure.ts";

/** How a lane (one process) gets its benchmark; the code under test is loaded only there. */
export interface Entry {
  readonly group: string;
  readonly name: string;
  /** One line: the regression it would catch. */
  readonly catches: string;
  make(): Promise<Benchmark>;
}

const PACKETS = "packets through port → bridge → router → bridge → port, 60 rules";
const TABLE = "flow-table lookups, 20,000 flows";
const DECODE = "packet decode";
const STATE = "trace state";

export const CATALOGUE: readonly Entry[] = [
  {
    group: PACKETS,
    name: "no tracing",
    catches: "extra work on the path of ordinary packets",
    make: async () => (await import("./packets.ts")).untraced(0),
  },
  {
    group: PACKETS,
    name: "1 trace, no match",
    catches: "an armed trace that costs more than its condition",
    make: async () => (await import("./packets.ts")).untraced(1),
  },
  {
    group: PACKETS,
    name: "1,000 traces, no match",
    catches: "trace rules that are walked instead of looked up",
    make: async () => (await import("./packets.ts")).untraced(1000),
  },
  {
    group: PACKETS,
    name: "every packet traced",
    catches: "steps and explanations that became expensive",
    make: async () => (await import("./packets.ts")).traced(),
  },
  {
    group: TABLE,
    name: "hit, 4 masks",
    catches: "a lookup that hashes more than the compared words",
    make: async () => (await import("./flow-table.ts")).hits(),
  },
  {
    group: TABLE,
    name: "miss, 4 masks",
    catches: "a miss that costs more than one probe per mask",
    make: async () => (await import("./flow-table.ts")).misses(),
  },
  {
    group: DECODE,
    name: "parseFlowMatch",
    catches: "allocations or conversions in the hot path's reader",
    make: async () => (await import("./codecs.ts")).parse(),
  },
  {
    group: DECODE,
    name: "decodeFrame",
    catches: "a layer that copies bytes instead of viewing them",
    make: async () => (await import("./codecs.ts")).decode(),
  },
  {
    group: STATE,
    name: "encodeTraceState",
    catches: "a message built field by field, or a slow checksum",
    make: async () => (await import("./codecs.ts")).encodeState(),
  },
  {
    group: STATE,
    name: "decodeTraceState",
    catches: "texts parsed where bytes would do",
    make: async () => (await import("./codecs.ts")).decodeState(),
  },
];
