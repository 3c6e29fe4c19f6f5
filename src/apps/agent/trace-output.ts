import type { Scheduler } from "#core/base";
import type { TraceSegment, TraceSink } from "#core/tracing";

/** Segments that may wait for the sink. */
export const TRACE_QUEUE_CAPACITY = 10_000;

/**
 * Hands segments to the sink outside the packet path, in order. The queue is bounded: what does not fit is counted, and
 * the count is reported downstream.
 */
export class TraceOutput {
  private readonly sink: TraceSink;
  private readonly scheduler: Scheduler;
  private readonly hostId: string;
  private readonly capacity: number;
  private queue: TraceSegment[] = [];
  private scheduled = false;
  private unreported = 0;
  lost = 0;

  constructor(sink: TraceSink, scheduler: Scheduler, hostId: string, capacity = TRACE_QUEUE_CAPACITY) {
    this.sink = sink;
    this.scheduler = scheduler;
    this.hostId = hostId;
    this.capacity = capacity;
  }

  push(segment: TraceSegment): void {
    if (this.queue.length >= this.capacity) {
      this.lost++;
      this.unreported++;
    } else this.queue.push(segment);
    if (this.scheduled) return;
    this.scheduled = true;
    this.scheduler.after(0, () => this.flush());
  }

  flush(): void {
    this.scheduled = false;
    const batch = this.queue;
    this.queue = [];
    for (const segment of batch) this.sink.segment(segment);
    if (this.unreported === 0) return;
    this.sink.lost(this.hostId, this.unreported, "the agent's queue of trace segments was full");
    this.unreported = 0;
  }
}
