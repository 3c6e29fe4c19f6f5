import type { Cancel, Scheduler } from "#core/base";

/** A scheduler that knows what it still owes: when the lab has stopped, nothing of it runs any more or keeps the process. */
export class TimerPool implements Scheduler {
  private readonly scheduler: Scheduler;
  private readonly open = new Set<Cancel>();

  constructor(scheduler: Scheduler) {
    this.scheduler = scheduler;
  }

  after(delayMs: number, task: () => void): Cancel {
    const timer = this.scheduler.after(delayMs, () => {
      this.open.delete(timer);
      task();
    });
    this.open.add(timer);
    return {
      cancel: () => {
        this.open.delete(timer);
        timer.cancel();
      },
    };
  }

  cancelAll(): void {
    for (const timer of this.open) timer.cancel();
    this.open.clear();
  }
}
