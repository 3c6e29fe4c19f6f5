import { createHash } from "node:crypto";
import type { Clock } from "#core/base";

interface Entry<T> {
  readonly value: T;
  readonly untilMs: number;
}

/**
 * What was found out about tokens, for a while; of many at once asking about one token, one finds out. Bounded: who was not
 * asked about for longest goes first. Tokens are kept as digests only.
 */
export class TokenCache<T> {
  private readonly clock: Clock;
  private readonly limit: number;
  private readonly entries = new Map<string, Entry<T>>();
  private readonly underWay = new Map<string, Promise<T>>();

  constructor(clock: Clock, limit: number) {
    this.clock = clock;
    this.limit = limit;
  }

  get size(): number {
    return this.entries.size;
  }

  /**
   * @param find is asked when nothing is remembered. What it throws is not remembered.
   * @param keepMs for how long its answer is.
   */
  async get(token: string, find: () => Promise<T>, keepMs: (value: T) => number): Promise<T> {
    const key = createHash("sha256").update(token).digest("base64");
    const known = this.entries.get(key);
    if (known !== undefined) {
      this.entries.delete(key);
      // By the monotonic clock: that somebody sets the wall clock back keeps nobody in.
      if (known.untilMs > this.clock.monotonicMs()) {
        this.entries.set(key, known);
        return known.value;
      }
    }
    const waiting = this.underWay.get(key);
    if (waiting !== undefined) return waiting;
    const finding = this.find(key, find, keepMs);
    this.underWay.set(key, finding);
    return finding;
  }

  private async find(key: string, find: () => Promise<T>, keepMs: (value: T) => number): Promise<T> {
    // From when it was asked: what is revoked while the answer is on its way counts from there.
    const askedMs = this.clock.monotonicMs();
    try {
      const value = await find();
      this.entries.set(key, { value, untilMs: askedMs + keepMs(value) });
      for (const oldest of this.entries.keys()) {
        if (this.entries.size <= this.limit) break;
        this.entries.delete(oldest);
      }
      return value;
    } finally {
      this.underWay.delete(key);
    }
  }
}
