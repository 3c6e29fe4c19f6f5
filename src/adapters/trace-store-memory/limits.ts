/** How much the memory store keeps. */
export interface MemoryTraceStoreLimits {
  /** Flow traces; the oldest goes first. */
  readonly maxFlows: number;
  /** Egress segments without a flow trace. */
  readonly maxOrphans: number;
  /** Events for subscribers that come back. */
  readonly maxEvents: number;
  /** Notes of hosts about lost reports. */
  readonly maxLossNotes: number;
  /** Ids of forgotten requests, against late segments. */
  readonly maxForgotten: number;
}

export const MEMORY_TRACE_STORE_LIMITS: MemoryTraceStoreLimits = {
  maxFlows: 10_000,
  maxOrphans: 1_000,
  maxEvents: 10_000,
  maxLossNotes: 1_000,
  maxForgotten: 10_000,
};
