import { type Clock, HistogramsBy, metricSource, type MetricSource, type MetricTable } from "#core/base";
import type { NsdbNode, NsdbOp, NsdbSessionState, NsdbStore, NsdbWatch, NsdbWatcher, Prefixes } from "./store.ts";

export const STORE_METRICS = {
  midotrace_store_seconds: {
    kind: "histogram",
    help: "How long the network state database took to answer; answers only.",
    labels: { operation: "get, getMany, children, commit or watch" },
  },
  midotrace_store_failures_total: {
    kind: "counter",
    help: "Questions that the network state database did not answer, and transactions that it refused.",
  },
  midotrace_store_session_epoch: {
    kind: "gauge",
    help: "Sessions with the network state database so far: more than 1 says that one was lost.",
  },
} as const satisfies MetricTable;

/** A store with a stop watch. */
export class MeasuredStore implements NsdbStore {
  private readonly inner: NsdbStore;
  private readonly clock: Clock;
  private readonly seconds = new HistogramsBy("operation");
  private failures = 0;

  constructor(inner: NsdbStore, clock: Clock) {
    this.inner = inner;
    this.clock = clock;
  }

  get sessionEpoch(): number {
    return this.inner.sessionEpoch;
  }

  metrics(): MetricSource {
    return metricSource(STORE_METRICS, {
      midotrace_store_seconds: () => this.seconds.reading(),
      midotrace_store_failures_total: () => this.failures,
      midotrace_store_session_epoch: () => this.inner.sessionEpoch,
    });
  }

  start(): Promise<void> {
    return this.inner.start();
  }

  stop(): Promise<void> {
    return this.inner.stop();
  }

  get(path: string): Promise<NsdbNode | null> {
    return this.timed("get", () => this.inner.get(path));
  }

  getMany(paths: readonly string[]): Promise<(NsdbNode | null)[]> {
    return this.timed("getMany", () => this.inner.getMany(paths));
  }

  children(path: string): Promise<string[]> {
    return this.timed("children", () => this.inner.children(path));
  }

  commit(ops: readonly NsdbOp[]): Promise<void> {
    return this.timed("commit", () => this.inner.commit(ops));
  }

  watch(prefixes: Prefixes, listener: NsdbWatcher): Promise<NsdbWatch> {
    return this.timed("watch", () => this.inner.watch(prefixes, listener));
  }

  onSession(listener: (state: NsdbSessionState) => void): void {
    this.inner.onSession(listener);
  }

  private async timed<T>(operation: string, work: () => Promise<T>): Promise<T> {
    const beganMs = this.clock.monotonicMs();
    try {
      const answer = await work();
      this.seconds.observe(operation, (this.clock.monotonicMs() - beganMs) / 1_000);
      return answer;
    } catch (error) {
      this.failures++;
      throw error;
    }
  }
}
