/** One thing to measure. */
export interface Benchmark {
  /** Operations that one call of `run` does. */
  readonly batch: number;
  /** @returns a number that depends on the work, so that none of it can be optimized away. */
  run(): number;
}

export interface Plan {
  readonly warmUpMs: number;
  readonly rounds: number;
  /** Length of one round of one benchmark. */
  readonly roundMs: number;
  /** Processes per build in the comparison of builds. */
  readonly processes: number;
}

const FULL: Plan = { warmUpMs: 800, rounds: 25, roundMs: 40, processes: 8 };
const QUICK: Plan = { warmUpMs: 150, rounds: 5, roundMs: 20, processes: 3 };
/** MIDOTRACE_BENCH_QUICK=1: a smoke run, whose figures mean little. */
export const PLAN: Plan = process.env["MIDOTRACE_BENCH_QUICK"] === "1" ? QUICK : FULL;

/** Where results go, so that the work behind them cannot be dropped. */
const sink = { total: 0 };

/** Runs until the compiler has settled. @returns how many calls of `run` make one round. */
export function warmUp(b: Benchmark, plan: Plan): number {
  const start = performance.now();
  let calls = 0;
  while (performance.now() - start < plan.warmUpMs) {
    sink.total += b.run();
    calls++;
  }
  return Math.max(1, Math.round((calls * plan.roundMs) / plan.warmUpMs));
}

/** Nanoseconds per operation. */
export function timeNs(b: Benchmark, calls: number): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < calls; i++) sink.total += b.run();
  return Number(process.hrtime.bigint() - start) / (calls * b.batch);
}

/**
 * Bytes allocated per operation: growth of the heap over one call. A collection in between would hide some, so the
 * largest of several measurements counts; callers keep a call's garbage below the 1 MiB that V8's new space has at first.
 */
export function bytesPerOperation(b: Benchmark): number {
  const gc = globalThis.gc;
  if (gc === undefined) throw new Error("run with --expose-gc");
  let most = 0;
  for (let i = 0; i < 7; i++) {
    gc();
    const before = process.memoryUsage().heapUsed;
    sink.total += b.run();
    most = Math.max(most, process.memoryUsage().heapUsed - before);
  }
  return most / b.batch;
}

/** @param sorted ascending, not empty. @param q 0..1 */
export function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] as number;
  const high = sorted[Math.ceil(at)] as number;
  return low + (high - low) * (at - Math.floor(at));
}

export function median(values: readonly number[]): number {
  return quantile(ascending(values), 0.5);
}

export function ascending(values: readonly number[]): number[] {
  return values.toSorted((a, b) => a - b);
}

/** Of the population that the values are a sample of. */
export function standardDeviation(values: readonly number[]): number {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (values.length - 1));
}
