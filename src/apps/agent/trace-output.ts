import type { Cancel, FlowTraceId, Scheduler, TraceRequestId } from "#core/base";
import {
  type BegunReport,
  countLoss,
  type LossAbout,
  type LossCounts,
  LossTally,
  type TraceSegment,
  type TraceSink,
} from "#core/tracing";

/** Segments that may wait for the sink. */
export const TRACE_QUEUE_CAPACITY = 10_000;
/** Segments that are handed on before packets get their turn again. */
const AT_ONCE = 50;
/** Losses are told together with those that follow within this time, ms. */
const LOSS_PAUSE_MS = 100;

const FULL = "the agent's queue of trace segments was full";
const KILLED = "the agent ended before it could keep its reports";
const ONLY_COUNTED = "the event budget was used up: flows were only counted";

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
  private telling: Cancel | null = null;
  private readonly untold = new LossTally();
  /** Segments that found the queue full. */
  lost = 0;
  readonly lostBy: LossCounts = {};

  constructor(sink: TraceSink, scheduler: Scheduler, hostId: string, capacity = TRACE_QUEUE_CAPACITY) {
    this.sink = sink;
    this.scheduler = scheduler;
    this.hostId = hostId;
    this.capacity = capacity;
  }

  push(segment: TraceSegment): void {
    if (this.queue.length < this.capacity) {
      this.queue.push(segment);
      this.schedule();
      return;
    }
    this.lost++;
    const { flowTraceId, requestIds, segmentId } = segment;
    const flowTraceIds = flowTraceId === null ? [] : [flowTraceId];
    this.loss(1, FULL, { cause: "queue-full", requestIds, flowTraceIds, reports: [segmentId] });
  }

  /** A flow, or this host's part of one, that is not recorded because the budget is used up. */
  onlyCounted(
    requestIds: readonly TraceRequestId[],
    flowTraceIds: readonly FlowTraceId[],
    reports: readonly string[],
  ): void {
    this.loss(1, ONLY_COUNTED, { cause: "budget", requestIds, flowTraceIds, reports });
  }

  /** What an earlier run was to report and did not; what the sink has of it is there all the same. */
  missing(reports: readonly BegunReport[]): void {
    for (const { id, flowTraceId, requestIds } of reports) {
      if (this.sink.holds?.(id) === true) continue;
      const flowTraceIds = flowTraceId === null ? [] : [flowTraceId];
      this.loss(1, KILLED, { cause: "killed", requestIds, flowTraceIds, reports: [id] });
    }
  }

  loss(count: number, why: string, about: LossAbout): void {
    countLoss(this.lostBy, about.cause, count);
    this.untold.add(count, why, about);
    this.telling ??= this.scheduler.after(LOSS_PAUSE_MS, () => this.tell());
  }

  /** Everything, now. */
  flush(): void {
    this.scheduled = false;
    const batch = this.queue;
    this.queue = [];
    for (const segment of batch) this.sink.segment(segment);
    this.telling?.cancel();
    this.tell();
  }

  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    this.scheduler.after(0, () => this.someOfIt());
  }

  private someOfIt(): void {
    if (!this.scheduled) return;
    this.scheduled = false;
    const batch = this.queue.splice(0, AT_ONCE);
    for (const segment of batch) this.sink.segment(segment);
    if (this.queue.length > 0) this.schedule();
  }

  private tell(): void {
    this.telling = null;
    for (const { count, why, ...about } of this.untold.take()) this.sink.lost(this.hostId, count, why, about);
  }
}
