import type { FlowTraceId, TraceRequestId } from "#core/base";
import { isOfVerdict, type TraceDetail } from "./detail.ts";
import type { Step, StepBody } from "./step.ts";

/** No real path needs more; a runaway one is cut here and says so. */
export const MAX_STEPS = 1_000;

/** Takes the steps of one pass of one packet. Absent (null) for untraced packets: nothing is built for them. */
export class Recorder {
  readonly steps: Step[] = [];
  lost = 0;
  /** `verdict`: only what decided is kept, and the rest counted. */
  detail: TraceDetail;
  /** Steps that were left out for the sake of the event budget. */
  omitted = 0;
  private entered = false;
  /** Wall clock of the steps that follow, ms since the epoch. */
  atMs: number;

  constructor(atMs: number, detail: TraceDetail = "full") {
    this.atMs = atMs;
    this.detail = detail;
  }

  /** Takes the body over and makes it the next step. */
  push(body: StepBody): void {
    if (this.detail !== "full" && this.leavesOut(body)) {
      this.omitted++;
      return;
    }
    if (this.steps.length >= MAX_STEPS) {
      this.lost++;
      return;
    }
    // Written into the body, for a copy costs a quarter of a traced packet's time.
    const step = body as unknown as { seq: number; atMs: number };
    step.seq = this.steps.length + 1;
    step.atMs = this.atMs;
    this.steps.push(body as Step);
  }

  /** Forgets the steps from `length` on: the simulation starts again. */
  truncate(length: number): void {
    this.steps.length = length;
    this.lost = 0;
    this.omitted = 0;
    this.entered = false;
  }

  /** The first step on a virtual device stays: it says whose the packet was. */
  private leavesOut(body: StepBody): boolean {
    const first = !this.entered && body.device.type !== "host";
    this.entered ||= first;
    return !first && !isOfVerdict(body);
  }
}

/**
 * What a packet carries from its first match to its last step, through restarts and waits: one flow-trace id, the
 * requests that matched, and what was decided for each armed rule. Belongs to exactly one packet.
 */
export class TraceContext {
  readonly flowTraceId: FlowTraceId;
  readonly requestIds: TraceRequestId[] = [];
  readonly recorder: Recorder;

  constructor(flowTraceId: FlowTraceId, recorder: Recorder) {
    this.flowTraceId = flowTraceId;
    this.recorder = recorder;
  }
}
