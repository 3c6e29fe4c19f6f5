import type { Clock } from "./time.ts";

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Buckets that are kept before the full ones are looked for. */
const SWEEP_AT = 1_024;

/** At most so many at once, and so many a second, for each key. A key that is silent long enough to be full is forgotten. */
export class TokenBuckets {
  private readonly clock: Clock;
  private readonly burst: number;
  private readonly perSecond: number;
  private readonly buckets = new Map<string, Bucket>();
  private sweepAt = SWEEP_AT;

  constructor(clock: Clock, burst: number, perSecond: number) {
    this.clock = clock;
    this.burst = burst;
    this.perSecond = perSecond;
  }

  get size(): number {
    return this.buckets.size;
  }

  /** True when there was a token, which is gone now. */
  take(key: string): boolean {
    const bucket = this.now(key);
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }

  /** Takes as many as were used, whether they were there or not: the rest is a debt. */
  spend(key: string, tokens: number): void {
    this.now(key).tokens -= tokens;
  }

  /** What is there now; below 0 a debt. */
  left(key: string): number {
    const bucket = this.buckets.get(key);
    return bucket === undefined ? this.burst : this.filled(bucket, this.clock.monotonicMs());
  }

  /** How long until there is a token, ms. */
  waitMs(key: string): number {
    const lacks = 1 - this.left(key);
    return lacks <= 0 ? 0 : (lacks / this.perSecond) * 1_000;
  }

  private now(key: string): Bucket {
    const nowMs = this.clock.monotonicMs();
    let bucket = this.buckets.get(key);
    if (bucket === undefined) {
      if (this.buckets.size >= this.sweepAt) this.sweep(nowMs);
      bucket = { tokens: this.burst, atMs: nowMs };
      this.buckets.set(key, bucket);
    }
    bucket.tokens = this.filled(bucket, nowMs);
    bucket.atMs = nowMs;
    return bucket;
  }

  private filled(b: Bucket, nowMs: number): number {
    return Math.min(this.burst, b.tokens + ((nowMs - b.atMs) * this.perSecond) / 1_000);
  }

  private sweep(nowMs: number): void {
    for (const [key, bucket] of this.buckets) if (this.filled(bucket, nowMs) >= this.burst) this.buckets.delete(key);
    this.sweepAt = Math.max(SWEEP_AT, 2 * this.buckets.size);
  }
}
