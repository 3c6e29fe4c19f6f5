import type { Clock } from "#core/base";
import { type AgentStatus, ClockOffsets, type TraceSegment } from "#core/tracing";
import type { SegmentDelivery } from "./collector.ts";

/** Ingress segments whose time is remembered until their egress segments come. */
const RECENT_INGRESS = 2_000;

/** What is known of one host's agent by its deliveries. */
export interface AgentReport {
  /** When it was heard last, by our clock. */
  reportedAtMs: number;
  /** When it had nothing more for us last; null: never. */
  caughtUpMs: number | null;
  /** Null: it is of a version that says nothing of itself. */
  status: AgentStatus | null;
}

/** What agents say of themselves, and what their deliveries say of their clocks. */
export class AgentReports {
  private readonly clock: Clock;
  private readonly offsets = new ClockOffsets();
  private readonly reports = new Map<string, AgentReport>();
  /** Oldest first. */
  private readonly ingress = new Map<string, TraceSegment>();

  constructor(clock: Clock) {
    this.clock = clock;
  }

  of(hostId: string): AgentReport | null {
    return this.reports.get(hostId) ?? null;
  }

  /** By our clock, when the host had handed over everything it had; null: never. */
  caughtUpMs(hostId: string): number | null {
    return this.reports.get(hostId)?.caughtUpMs ?? null;
  }

  /** How far the host's clock is ahead of ours; null: not known. */
  clockOffsetMs(hostId: string): number | null {
    return this.offsets.offsetMs(hostId);
  }

  /** As it comes, before anything of it is kept. */
  heard({ hostId, sentAtMs, roundTripMs }: SegmentDelivery): void {
    if (sentAtMs !== undefined) this.offsets.heard(hostId, sentAtMs, this.clock.nowMs(), roundTripMs);
  }

  /** What is in it is kept. */
  took({ hostId, waiting, status }: SegmentDelivery): void {
    const nowMs = this.clock.nowMs();
    const report = this.reports.get(hostId) ?? { reportedAtMs: nowMs, caughtUpMs: null, status: null };
    this.reports.set(hostId, report);
    report.reportedAtMs = nowMs;
    // An agent that does not say what waits has told what it has.
    if ((waiting ?? 0) === 0) report.caughtUpMs = nowMs;
    if (status !== undefined) report.status = status;
  }

  /** The segment with the offset of its host's clock, as far as that is known. */
  stamped(segment: TraceSegment): TraceSegment {
    this.compare(segment);
    return { ...segment, clockOffsetMs: this.clockOffsetMs(segment.hostId) };
  }

  /** What left one host before it came to another says something of their clocks. */
  private compare(segment: TraceSegment): void {
    const { flowTraceId, role } = segment;
    if (flowTraceId === null) return;
    if (role === "ingress") {
      this.ingress.set(flowTraceId, segment);
      if (this.ingress.size <= RECENT_INGRESS) return;
      for (const oldest of this.ingress.keys()) {
        this.ingress.delete(oldest);
        return;
      }
    }
    const from = this.ingress.get(flowTraceId);
    if (from !== undefined && from.hostId !== segment.hostId)
      this.offsets.passed(from.hostId, from.startedAtMs, segment.hostId, segment.startedAtMs);
  }
}
