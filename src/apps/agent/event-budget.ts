import type { Clock } from "#core/base";
import { DETAILS, scanter, type TraceDetail } from "#core/tracing";
import { TokenBuckets } from "./token-buckets.ts";

/** Events (steps of traces) that may be recorded per second. */
export interface BudgetLimits {
  readonly perHost: number;
  readonly perRequest: number;
}

export const BUDGET_LIMITS: BudgetLimits = { perHost: 20_000, perRequest: 10_000 };
/** Where nobody sets a budget. */
export const NO_BUDGET: BudgetLimits = { perHost: Number.POSITIVE_INFINITY, perRequest: Number.POSITIVE_INFINITY };

/** Shares of a second's budget. Below the first the next lower detail begins, above the second the higher one again. */
const STEPS = {
  full: { down: 0.25, up: 1 },
  verdict: { down: 0, up: 0.5 },
  count: { down: Number.NEGATIVE_INFINITY, up: 0.125 },
} as const satisfies Record<TraceDetail, { readonly down: number; readonly up: number }>;

const HOST = "";

/**
 * How much may be recorded now. What a packet costs is known when it has been traced, so it is charged then, and may leave
 * a debt. The details are stepped through one at a time, down and up, with a distance between, so that a load near the
 * budget does not make them flicker. The same packets at the same times give the same details.
 */
export class EventBudget {
  readonly limits: BudgetLimits;
  /** How often a detail was left for a lower one, host and requests together. */
  steppedDown = 0;
  private readonly host: TokenBuckets;
  private readonly requests: TokenBuckets;
  /** Details that are not full, by request; the host's under "". */
  private readonly details = new Map<string, TraceDetail>();

  constructor(clock: Clock, limits: BudgetLimits = NO_BUDGET) {
    this.limits = limits;
    this.host = new TokenBuckets(clock, limits.perHost, limits.perHost);
    this.requests = new TokenBuckets(clock, limits.perRequest, limits.perRequest);
  }

  /** The host's own. */
  level(): TraceDetail {
    return this.look(HOST, this.host, this.limits.perHost);
  }

  /** What a packet may cost that the request wants traced. */
  detailFor(requestId: string): TraceDetail {
    return scanter(this.level(), this.look(requestId, this.requests, this.limits.perRequest));
  }

  /** What was recorded for the requests; nobody's when there are none. */
  charge(requestIds: readonly string[], events: number): void {
    if (this.limits.perHost !== Number.POSITIVE_INFINITY) this.host.spend(HOST, events);
    if (this.limits.perRequest === Number.POSITIVE_INFINITY) return;
    for (const id of requestIds) this.requests.spend(id, events);
  }

  private look(key: string, buckets: TokenBuckets, perSecond: number): TraceDetail {
    if (perSecond === Number.POSITIVE_INFINITY) return "full";
    const before = this.details.get(key) ?? "full";
    const at = DETAILS.indexOf(before);
    const share = buckets.left(key) / perSecond;
    let now = before;
    if (share < STEPS[before].down) now = DETAILS[at + 1] ?? before;
    else if (share >= STEPS[before].up) now = DETAILS[at - 1] ?? before;
    if (now === before) return before;
    if (DETAILS.indexOf(now) > at) this.steppedDown++;
    if (now === "full") this.details.delete(key);
    else this.details.set(key, now);
    return now;
  }
}
