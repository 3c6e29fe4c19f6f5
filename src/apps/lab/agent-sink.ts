import type { ApiServer } from "#apps/api";
import type { Cancel, Clock, Lifecycle, Scheduler } from "#core/base";
import type { AgentStatus, Loss, LossAbout, TraceSegment, TraceSink } from "#core/tracing";

/** Longest time without a word, ms. */
const HEARTBEAT_MS = 10_000;

export interface AgentSinkOptions {
  readonly hostId: string;
  readonly api: Pick<ApiServer, "collect">;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly status: () => AgentStatus | null;
  readonly problem: (message: string, error: unknown) => void;
}

/** From an agent of the lab to the collector in the same process: what agents elsewhere send by HTTP, handed over. */
export class AgentSink implements TraceSink, Lifecycle {
  private readonly o: AgentSinkOptions;
  private segments: TraceSegment[] = [];
  private losses: Loss[] = [];
  private sequence = 0;
  private sending: Cancel | null = null;
  private heartbeat: Cancel | null = null;
  private under: Promise<unknown> = Promise.resolve();

  constructor(options: AgentSinkOptions) {
    this.o = options;
  }

  async start(): Promise<void> {
    this.deliver();
  }

  async stop(): Promise<void> {
    this.sending?.cancel();
    this.sending = null;
    this.deliver();
    this.heartbeat?.cancel();
    await this.under;
  }

  segment(segment: TraceSegment): void {
    this.segments.push(segment);
    this.soon();
  }

  lost(_hostId: string, count: number, why: string, about?: LossAbout): void {
    this.losses.push({ count, why, ...(about ?? { cause: "other", requestIds: [], flowTraceIds: [] }) });
    this.soon();
  }

  /** What comes at one moment goes together. */
  private soon(): void {
    this.sending ??= this.o.scheduler.after(0, () => {
      this.sending = null;
      this.deliver();
    });
  }

  private deliver(): void {
    const { hostId, api, clock, scheduler, status, problem } = this.o;
    this.heartbeat?.cancel();
    this.heartbeat = scheduler.after(HEARTBEAT_MS, () => this.deliver());
    const segments = this.segments.map((segment) => ({ ok: true as const, segment }));
    const said = status();
    const delivery = {
      hostId,
      bootId: "lab",
      sequence: ++this.sequence,
      segments,
      lost: this.losses.map(({ count, why, cause, requestIds, flowTraceIds }) => ({
        count,
        why,
        cause,
        requestIds: [...requestIds],
        flowTraceIds: [...flowTraceIds],
        segmentIds: [],
      })),
      sentAtMs: clock.nowMs(),
      waiting: 0,
      ...(said === null ? {} : { status: said }),
    };
    this.segments = [];
    this.losses = [];
    this.under = api.collect(delivery).catch((error: unknown) => problem("a trace was not taken", error));
  }
}
