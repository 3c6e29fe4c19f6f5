import type { TraceDetail } from "./detail.ts";
import type { LossCounts } from "./loss-tally.ts";

/** What an agent says of itself with each delivery. */
export interface AgentStatus {
  readonly tracesArmed: number;
  /** `level`: the detail that the host's event budget allows now. Null: without bound. */
  readonly budget: { readonly level: TraceDetail; readonly eventsPerSecond: number | null };
  /** Reports that wait on the disk; null when there is no spool. */
  readonly spool: { readonly segments: number; readonly bytes: number } | null;
  /** Reports that never come, by cause, since the agent's start. */
  readonly lost: LossCounts;
}
