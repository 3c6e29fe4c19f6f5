import type { TraceStore } from "#core/tracing";
import { segmentsOf } from "./flows.ts";

const BATCH = 200;
const START_MS = 1_700_000_000_000;
/** Between two flows. */
export const GAP_MS = 20;
export const startOf = (n: number): number => START_MS + n * GAP_MS;

/** @returns ms that it took. */
export async function fill(store: TraceStore, flows: number): Promise<number> {
  const begin = performance.now();
  for (let n = 0; n < flows; n += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, flows - n) }, (_, i) => segmentsOf(n + i, startOf(n + i)));
    await store.add(batch.flat());
    if (n % 100_000 === 0) console.error(`  ${n} flows, ${((performance.now() - begin) / 1_000).toFixed(0)} s`);
  }
  return performance.now() - begin;
}
