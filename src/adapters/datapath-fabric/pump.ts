import type { Scheduler } from "#core/base";

/** Items handled in one turn of the scheduler before others get theirs. */
const BATCH = 256;

/** A queue that hands its items on, one at a time and in order, from the scheduler: never inside `push`. */
export class Pump<T> {
  private readonly scheduler: Scheduler;
  private readonly handle: (item: T) => void;
  private queue: T[] = [];
  private head = 0;
  private armed = false;

  constructor(scheduler: Scheduler, handle: (item: T) => void) {
    this.scheduler = scheduler;
    this.handle = handle;
  }

  get length(): number {
    return this.queue.length - this.head;
  }

  push(item: T): void {
    this.queue.push(item);
    this.arm();
  }

  clear(): void {
    this.queue = [];
    this.head = 0;
  }

  private arm(): void {
    if (this.armed) return;
    this.armed = true;
    this.scheduler.after(0, () => this.drain());
  }

  /** An error of `handle` goes to the scheduler; the items behind it are handled in the next turn. */
  private drain(): void {
    try {
      for (let n = 0; n < BATCH && this.head < this.queue.length; n++) this.handle(this.queue[this.head++] as T);
    } finally {
      this.armed = false;
      if (this.head > 0) {
        this.queue = this.queue.slice(this.head);
        this.head = 0;
      }
      if (this.queue.length > 0) this.arm();
    }
  }
}
