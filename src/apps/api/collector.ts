import type { Body, RefusalDto, RouteOf, SegmentsAnswerDto } from "#core/api-contract";
import type { TraceSegment, TraceStore } from "#core/tracing";
import type { ApiLog } from "./call.ts";

export type SegmentDelivery = Body<RouteOf<"deliverSegments">>;

/** Segments whose ids are remembered, so that one that comes again cannot bring back a flow trace that was thrown out. */
const RECENT_SEGMENTS = 20_000;
/** Runs of agents whose last delivery is remembered. */
const RECENT_RUNS = 4_096;

export interface CollectorCounters {
  accepted: number;
  /** In the accepted segments. */
  steps: number;
  duplicates: number;
  refused: number;
  /** Segments that hosts said will never come. */
  lost: number;
}

/** Takes what agents deliver, at least once, and hands it to the trace store, once. */
export class Collector {
  readonly counters: CollectorCounters = { accepted: 0, steps: 0, duplicates: 0, refused: 0, lost: 0 };
  private readonly traceStore: TraceStore;
  private readonly log: ApiLog;
  /** Oldest first. */
  private readonly seen = new Set<string>();
  /** Sequence of the last delivery, by host and run; the one that was heard of longest ago comes first. */
  private readonly runs = new Map<string, number>();

  constructor(traceStore: TraceStore, log: ApiLog) {
    this.traceStore = traceStore;
    this.log = log;
  }

  /**
   * Answered when it is kept; when that fails nothing of it counts as taken, and the agent sends it again.
   * @throws MidotraceError STORE_UNAVAILABLE
   */
  async take(delivery: SegmentDelivery): Promise<SegmentsAnswerDto> {
    const { hostId, segments, lost } = delivery;
    const fresh: TraceSegment[] = [];
    const answer = { accepted: 0, duplicates: 0, refused: [] as RefusalDto[] };
    for (const [index, read] of segments.entries()) {
      if (!read.ok) {
        answer.refused.push({ index, segmentId: read.segmentId, violations: [...read.violations] });
        continue;
      }
      const { segment } = read;
      const { segmentId } = segment;
      if (segment.hostId !== hostId) {
        const violations = [{ property: "hostId", message: `must be the host that delivers, ${hostId}` }];
        answer.refused.push({ index, segmentId, violations });
      } else if (this.seen.has(segmentId)) answer.duplicates++;
      else fresh.push(segment);
    }
    const added = await this.traceStore.add(fresh);
    for (const { segmentId, steps } of fresh) {
      this.remember(segmentId);
      this.counters.steps += steps.length;
    }
    answer.accepted += fresh.length - added.duplicates;
    answer.duplicates += added.duplicates;
    // A delivery that comes again has told of its losses before.
    if (this.isNew(delivery)) {
      for (const { count, why } of lost) {
        await this.traceStore.lost(hostId, count, why);
        this.counters.lost += count;
      }
      this.heard(delivery);
    }
    this.counters.accepted += answer.accepted;
    this.counters.duplicates += answer.duplicates;
    this.counters.refused += answer.refused.length;
    if (answer.refused.length > 0)
      this.log.info("trace segments were refused", { hostId, count: answer.refused.length, first: answer.refused[0] });
    return answer;
  }

  private remember(segmentId: string): void {
    this.seen.add(segmentId);
    // Half at once, so that each segment pays for its share only.
    if (this.seen.size < 2 * RECENT_SEGMENTS) return;
    let excess = this.seen.size - RECENT_SEGMENTS;
    for (const oldest of this.seen) {
      if (excess-- === 0) break;
      this.seen.delete(oldest);
    }
  }

  private isNew({ hostId, bootId, sequence }: SegmentDelivery): boolean {
    const last = this.runs.get(`${hostId} ${bootId}`);
    return last === undefined || sequence > last;
  }

  private heard({ hostId, bootId, sequence }: SegmentDelivery): void {
    const run = `${hostId} ${bootId}`;
    const last = this.runs.get(run);
    this.runs.delete(run);
    this.runs.set(run, Math.max(sequence, last ?? sequence));
    for (const oldest of this.runs.keys()) {
      if (this.runs.size <= RECENT_RUNS) break;
      this.runs.delete(oldest);
    }
  }
}
