import { FlowTable, NONE } from "#core/datapath";
import { F, type FlowMask, FlowMatch, parseFlowMatch } from "#core/flows";
import type { Benchmark } from "./measure.ts";
import { frames } from "./network.ts";

const FLOWS = 20_000;
const TUPLE = F.InPort | F.EtherType | F.Fragment | F.NwProto | F.NwSrc | F.NwDst | F.TpSrc | F.TpDst;
/** As the simulation leaves them: routed by prefix, by address, with MACs, and one conversation. */
const MASKS: readonly FlowMask[] = [
  { fields: TUPLE, nwSrcBits: 32, nwDstBits: 32 },
  { fields: TUPLE | F.EthSrc | F.EthDst | F.Vlan | F.NwTtl, nwSrcBits: 32, nwDstBits: 32 },
  { fields: TUPLE & ~F.TpSrc, nwSrcBits: 24, nwDstBits: 32 },
  { fields: TUPLE | F.NwTtl, nwSrcBits: 32, nwDstBits: 24 },
];

function matches(count: number, inPort: number): FlowMatch[] {
  return frames(count).map((frame, n) => {
    const m = new FlowMatch();
    parseFlowMatch(frame, m);
    m.inPort = inPort;
    // More conversations than one address has ports for.
    m.nwSrc = (m.nwSrc + (n >>> 12)) >>> 0;
    return m;
  });
}

function table(): FlowTable {
  const t = new FlowTable();
  matches(FLOWS, 1).forEach((match, n) => {
    const mask = MASKS[n % MASKS.length] as FlowMask;
    t.add(n + 1, { mask }, match);
  });
  return t;
}

function lookups(wanted: readonly FlowMatch[], expected: boolean): Benchmark {
  const t = table();
  const found = wanted.filter((m) => t.lookup(m) !== NONE).length;
  if (found !== (expected ? wanted.length : 0)) throw new Error(`${found} of ${wanted.length} lookups hit`);
  return {
    batch: wanted.length,
    run: () => {
      let hits = 0;
      for (const m of wanted) if (t.lookup(m) !== NONE) hits++;
      return hits;
    },
  };
}

export const hits = (): Benchmark => lookups(matches(FLOWS, 1), true);
export const misses = (): Benchmark => lookups(matches(FLOWS, 2), false);
