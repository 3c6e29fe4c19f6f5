import type { Body, RefusalDto, RouteOf, SegmentsAnswerDto } from "#core/api-contract";
import { countLoss, type LossCounts, type TraceSegment, type TraceStore } from "#core/tracing";
import type { AgentReports } from "./agent-reports.ts";
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
  readonly lostBy: LossCounts;
}

/** Takes what agents deliver, at least once, and hands it to the trace store, once. */
export class Collector {
  readonly counters: CollectorCounters = { accepted: 0, steps: 0, duplicates: 0, refused: 0, lost: 0, lostBy: {} };
  /** What the agents said of themselves. */
  readonly reports: AgentReports;
  private readonly traceStore: TraceStore;
  private readonly log: ApiLog;
  /** Oldest first. */
  private readonly seen = new Set<string>();
  /** Sequence of the last delivery, by host and run; the one that was heard of longest ago comes first. */
  private readonly runs = new Map<string, number>();

  /** Losses with an id that were told, oldest first. */
  private readonly told = new Set<string>();
  /** One delivery of a host at a time: the copy of one that is still being taken must find what that has changed. */
  private readonly turns = new Map<string, Promise<unknown>>();

  constructor(traceStore: TraceStore, log: ApiLog, reports: AgentReports) {
    this.reports = reports;
    this.traceStore = traceStore;
    this.log = log;
  }

  /**
   * Answered when it is kept; when that fails nothing of it counts as taken, and the agent sends it again.
   * @throws MidotraceError STORE_UNAVAILABLE
   */
  async take(delivery: SegmentDelivery): Promise<SegmentsAnswerDto> {
    const { hostId } = delivery;
    this.reports.heard(delivery);
    const turn = (this.turns.get(hostId) ?? Promise.resolve()).then(() => this.takeNow(delivery));
    const over = turn.then(
      () => undefined,
      () => undefined,
    );
    this.turns.set(hostId, over);
    try {
      return await turn;
    } finally {
      if (this.turns.get(hostId) === over) this.turns.delete(hostId);
    }
  }

  private async takeNow(delivery: SegmentDelivery): Promise<SegmentsAnswerDto> {
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
      else fresh.push(this.reports.stamped(segment));
    }
    const added = await this.traceStore.add(fresh);
    for (const { segmentId, steps } of fresh) {
      remember(this.seen, segmentId);
      this.counters.steps += steps.length;
    }
    answer.accepted += fresh.length - added.duplicates;
    answer.duplicates += added.duplicates;
    // A delivery that comes again has told of its losses before; a loss of an agent that was killed has its id.
    if (this.isNew(delivery)) {
      for (const { count: said, why, segmentIds, ...about } of lost) {
        if (about.id !== undefined && this.told.has(about.id)) continue;
        const count = said - segmentIds.filter((id) => this.seen.has(id)).length;
        if (count > 0) await this.traceStore.lost(hostId, count, why, about);
        if (about.id !== undefined) remember(this.told, about.id);
        this.counters.lost += count;
        countLoss(this.counters.lostBy, about.cause, count);
      }
      this.heard(delivery);
    }
    this.reports.took(delivery);
    this.counters.accepted += answer.accepted;
    this.counters.duplicates += answer.duplicates;
    this.counters.refused += answer.refused.length;
    if (answer.refused.length > 0)
      this.log.info("trace segments were refused", { hostId, count: answer.refused.length, first: answer.refused[0] });
    return answer;
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

/** Half of the oldest go at once, so that each pays for its share only. */
function remember(set: Set<string>, id: string): void {
  set.add(id);
  if (set.size < 2 * RECENT_SEGMENTS) return;
  let excess = set.size - RECENT_SEGMENTS;
  for (const oldest of set) {
    if (excess-- === 0) break;
    set.delete(oldest);
  }
}
