import { type Clock, MidotraceError, TokenBuckets } from "#core/base";
import type { Identity } from "#core/identity";
import type { RateLimits } from "./limits.ts";

/** So many seconds' worth of requests may come at once. */
const BURST_S = 10;

/** How often who may ask. */
export class Rates {
  /** Refused, by limit. */
  readonly refused = { identity: 0, address: 0, refusals: 0 };
  private readonly limits: RateLimits;
  private readonly buckets: Readonly<Record<keyof RateLimits, TokenBuckets>>;

  constructor(clock: Clock, limits: RateLimits) {
    this.limits = limits;
    const buckets = (perSecond: number | null): TokenBuckets =>
      new TokenBuckets(clock, (perSecond ?? 1) * BURST_S, perSecond ?? 1);
    this.buckets = {
      identity: buckets(limits.identity),
      address: buckets(limits.address),
      refusals: buckets(limits.refusals),
    };
  }

  /** Before anybody is asked who they are. @throws MidotraceError RATE_LIMITED */
  arrived(address: string): void {
    this.take("address", address, "--address-rate", "from this address");
    if (this.limits.refusals === null || this.buckets.refusals.left(address) >= 1) return;
    throw this.refuse("refusals", address, "--refusal-rate", "with a wrong token or password from this address");
  }

  /** @throws MidotraceError RATE_LIMITED */
  identified({ userId, tenantId }: Identity): void {
    this.take("identity", `${tenantId} ${userId}`, "--rate", "of this user");
  }

  /** The answer was 401. */
  refusedTo(address: string): void {
    if (this.limits.refusals !== null) this.buckets.refusals.spend(address, 1);
  }

  private take(what: "identity" | "address", key: string, option: string, whose: string): void {
    if (this.limits[what] !== null && !this.buckets[what].take(key)) throw this.refuse(what, key, option, whose);
  }

  private refuse(what: keyof RateLimits, key: string, option: string, whose: string): MidotraceError {
    this.refused[what]++;
    const message = `more than ${this.limits[what]} requests per second ${whose} (${option} of the server)`;
    const retryAfterS = Math.max(1, Math.ceil(this.buckets[what].waitMs(key) / 1_000));
    return new MidotraceError("RATE_LIMITED", message, [], { retryAfterS });
  }
}
