import type { Cancel, Clock, Scheduler } from "#core/base";

interface Timer {
  readonly dueMs: number;
  readonly ticket: number;
  readonly task: () => void;
}

const EPOCH_MS = Date.UTC(2026, 0, 1);
/** More than this in one run without coming to rest is a loop, not a test. */
const MAX_TIMERS = 1_000_000;

/**
 * Time that moves only when a test says so: a Clock and a Scheduler whose timers run in the order of their due time,
 * and of their scheduling where that is equal. Between two timers, promises and `setImmediate` callbacks that are ready
 * run to their end, so that what a timer set going (an `await`, a stream) is seen by the next one. Nothing here depends
 * on real time; real I/O (sockets, files) does, and is not waited for.
 *
 * An error thrown by a task rejects the call that moved the time; the timers behind it stay and can still be run.
 */
export class VirtualTime implements Clock, Scheduler {
  private timers: Timer[] = [];
  private tickets = 0;
  private elapsedMs = 0;
  private wallOffsetMs: number;

  /** `epochMs` is the wall clock at the start. The monotonic clock starts at 0. */
  constructor(epochMs: number = EPOCH_MS) {
    this.wallOffsetMs = epochMs;
  }

  nowMs(): number {
    return this.wallOffsetMs + this.elapsedMs;
  }

  monotonicMs(): number {
    return this.elapsedMs;
  }

  /** Timers that have neither run nor been cancelled. */
  get pending(): number {
    return this.timers.length;
  }

  after(delayMs: number, task: () => void): Cancel {
    const timer: Timer = { dueMs: this.elapsedMs + Math.max(0, delayMs), ticket: this.tickets++, task };
    let at = this.timers.length;
    while (at > 0 && (this.timers[at - 1] as Timer).dueMs > timer.dueMs) at--;
    this.timers.splice(at, 0, timer);
    return {
      cancel: () => {
        const i = this.timers.indexOf(timer);
        if (i >= 0) this.timers.splice(i, 1);
      },
    };
  }

  /** Sets the wall clock forward (or, negative, back) without any time passing: a step of NTP. */
  jumpWallClock(deltaMs: number): void {
    this.wallOffsetMs += deltaMs;
  }

  /** Lets promises and immediates that are ready run; no time passes and no timer runs. */
  async settle(): Promise<void> {
    for (let i = 0; i < 2; i++) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  /** Lets `ms` pass: everything due until then runs, also what is scheduled on the way. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.elapsedMs + ms;
    await this.run(() => false, untilMs);
    this.elapsedMs = untilMs;
  }

  /**
   * Lets time pass until no timer is left.
   *
   * @throws Error when timers are still left after `maxMs` (something periodic: use `advance` or `runUntil`).
   */
  async runUntilIdle(maxMs = 3_600_000): Promise<void> {
    await this.run(() => false, this.elapsedMs + maxMs);
    if (this.timers.length > 0)
      throw new Error(`${this.timers.length} timers are left after ${maxMs} ms of virtual time`);
  }

  /** Lets time pass until `condition` holds, at most `maxMs`. @returns whether it holds. */
  async runUntil(condition: () => boolean, maxMs: number): Promise<boolean> {
    const untilMs = this.elapsedMs + maxMs;
    await this.run(condition, untilMs);
    if (condition()) return true;
    this.elapsedMs = untilMs;
    return condition();
  }

  private async run(stop: () => boolean, untilMs: number): Promise<void> {
    await this.settle();
    for (let n = 0; !stop(); n++) {
      const next = this.timers[0];
      if (next === undefined || next.dueMs > untilMs) return;
      if (n >= MAX_TIMERS)
        throw new Error(`no rest after ${MAX_TIMERS} timers at ${this.elapsedMs} ms of virtual time`);
      this.timers.shift();
      this.elapsedMs = Math.max(this.elapsedMs, next.dueMs);
      next.task();
      await this.settle();
    }
  }
}
