import type { Cancel, Clock, Scheduler } from "#core/base";
import type { Answer } from "./vm-answer.ts";

interface Attempt {
  readonly sentMs: number;
  readonly timer: Cancel;
  readonly resolve: (answer: Answer) => void;
}

/** What an answer says besides how long it took. */
export type Bare = Answer extends infer A ? (A extends { rttMs: number } ? Omit<A, "rttMs"> : A) : never;

/** Attempts that wait for their answer, by a text that names the conversation; each gets one answer, a timeout at last. */
export class Waiting {
  private readonly clock: Clock;
  private readonly scheduler: Scheduler;
  private readonly attempts = new Map<string, Attempt>();

  constructor(clock: Clock, scheduler: Scheduler) {
    this.clock = clock;
    this.scheduler = scheduler;
  }

  has(key: string): boolean {
    return this.attempts.has(key);
  }

  /** An earlier attempt under the same key ends in a timeout. */
  begin(key: string, timeoutMs: number): Promise<Answer> {
    this.end(key, { kind: "timeout" });
    return new Promise((resolve) => {
      const timer = this.scheduler.after(timeoutMs, () => this.end(key, { kind: "timeout" }));
      this.attempts.set(key, { sentMs: this.clock.monotonicMs(), timer, resolve });
    });
  }

  /** @returns false when nobody waits for it (any more). */
  end(key: string, answer: Bare): boolean {
    const attempt = this.attempts.get(key);
    if (attempt === undefined) return false;
    this.attempts.delete(key);
    attempt.timer.cancel();
    const rttMs = this.clock.monotonicMs() - attempt.sentMs;
    attempt.resolve({ ...answer, rttMs } as Answer);
    return true;
  }

  /** Ends every attempt in a timeout: the VM is switched off. */
  clear(): void {
    for (const key of this.attempts.keys()) this.end(key, { kind: "timeout" });
  }
}
