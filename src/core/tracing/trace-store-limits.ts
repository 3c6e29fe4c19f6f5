/** How much a store keeps. Flows, bytes, age and pins for each tenant: that of the device whose trace request matched first. */
export interface TraceStoreLimits {
  /** Flow traces that are not pinned; the oldest goes first. */
  readonly maxFlows: number;
  /** Of their segments, compressed. */
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly maxPins: number;
  /** Egress segments without a flow trace. */
  readonly maxOrphans: number;
  /** Events for subscribers that come back. */
  readonly maxEvents: number;
  /** Notes of hosts about lost reports. */
  readonly maxLossNotes: number;
  /** Ids of forgotten requests, against late segments. */
  readonly maxForgotten: number;
  /** Ids of flow traces that were thrown out, so that it can be said. */
  readonly maxExpired: number;
}

const DAY_MS = 86_400_000;

export const TRACE_STORE_LIMITS: TraceStoreLimits = {
  maxFlows: 1_000_000,
  maxBytes: 4 * 1024 ** 3,
  maxAgeMs: 7 * DAY_MS,
  maxPins: 1_000,
  maxOrphans: 1_000,
  maxEvents: 10_000,
  maxLossNotes: 1_000,
  maxForgotten: 10_000,
  maxExpired: 1_000_000,
};
