import type { FlowTraceId, TraceRequestId } from "#core/base";
import type { TraceSegment } from "#core/tracing";

/** What is kept of one flow trace: its segments as they came; it is assembled when it is asked for. */
export interface FlowRecord {
  readonly flowTraceId: FlowTraceId;
  /** Place in the order of first segments: the cursor. */
  readonly place: number;
  /** When the first segment came, by the collector's clock. */
  readonly sinceMs: number;
  readonly segments: TraceSegment[];
  readonly segmentIds: Set<string>;
  readonly requestIds: Set<TraceRequestId>;
  /** Something is awaited and `settle` has not announced it as overdue. */
  awaiting: boolean;
}

/** A set per key, without empty ones. */
export class Index<K, V> {
  private readonly sets = new Map<K, Set<V>>();

  add(key: K, value: V): void {
    const set = this.sets.get(key);
    if (set === undefined) this.sets.set(key, new Set([value]));
    else set.add(value);
  }

  delete(key: K, value: V): void {
    const set = this.sets.get(key);
    if (set?.delete(value) === true && set.size === 0) this.sets.delete(key);
  }

  get(key: K): ReadonlySet<V> {
    return this.sets.get(key) ?? new Set<V>();
  }
}
