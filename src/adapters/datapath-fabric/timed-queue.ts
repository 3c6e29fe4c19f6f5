import type { Cancel, Clock, Scheduler } from "#core/base";

/** What can wait in a TimedQueue, in one at a time. The queue writes these fields, its owner only declares them. */
export interface Timed {
  /** Monotonic milliseconds. */
  dueMs: number;
  /** Order of scheduling: what is due at the same time comes out in this order. */
  ticket: number;
  /** Position in the heap, or -1 when it is not waiting. */
  heapIndex: number;
}

/** Hands out each item when it is due, by a binary heap and one timer of the scheduler. Errors: those of `onDue`. */
export class TimedQueue<T extends Timed> {
  private readonly clock: Clock;
  private readonly scheduler: Scheduler;
  private readonly onDue: (item: T) => void;
  private readonly heap: T[] = [];
  private tickets = 0;
  private timer: Cancel | null = null;
  private timerDueMs = 0;

  /** `onDue` is called from the scheduler only; it may schedule and cancel. */
  constructor(clock: Clock, scheduler: Scheduler, onDue: (item: T) => void) {
    this.clock = clock;
    this.scheduler = scheduler;
    this.onDue = onDue;
  }

  get size(): number {
    return this.heap.length;
  }

  /** Moves the item when it is waiting already. */
  schedule(item: T, dueMs: number): void {
    this.cancel(item);
    item.dueMs = dueMs;
    item.ticket = this.tickets++;
    this.heap.push(item);
    this.up(item, this.heap.length - 1);
    this.arm();
  }

  /** Does nothing when the item is not waiting. */
  cancel(item: T): void {
    const at = item.heapIndex;
    if (at < 0) return;
    item.heapIndex = -1;
    const last = this.heap.pop() as T;
    if (last === item) return;
    this.up(last, at);
    this.down(last, last.heapIndex);
  }

  clear(): void {
    for (const item of this.heap) item.heapIndex = -1;
    this.heap.length = 0;
    this.timer?.cancel();
    this.timer = null;
  }

  /** A timer that is early enough stays: when it finds nothing due it arms the next. */
  private arm(): void {
    const first = this.heap[0];
    if (first === undefined) return;
    if (this.timer !== null) {
      if (this.timerDueMs <= first.dueMs) return;
      this.timer.cancel();
    }
    this.timerDueMs = first.dueMs;
    this.timer = this.scheduler.after(Math.max(0, first.dueMs - this.clock.monotonicMs()), () => this.fire());
  }

  private fire(): void {
    this.timer = null;
    const now = this.clock.monotonicMs();
    // What is scheduled from here on waits for the next timer, so that two parties who answer each other at once do not
    // keep the loop for themselves.
    const newest = this.tickets;
    try {
      for (;;) {
        const first = this.heap[0];
        if (first === undefined || first.dueMs > now || first.ticket >= newest) break;
        this.cancel(first);
        this.onDue(first);
      }
    } finally {
      this.arm();
    }
  }

  private up(item: T, from: number): void {
    let i = from;
    while (i > 0) {
      const parent = this.heap[(i - 1) >> 1] as T;
      if (!before(item, parent)) break;
      this.put(parent, i);
      i = (i - 1) >> 1;
    }
    this.put(item, i);
  }

  private down(item: T, from: number): void {
    let i = from;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= this.heap.length) break;
      if (child + 1 < this.heap.length && before(this.heap[child + 1] as T, this.heap[child] as T)) child++;
      if (!before(this.heap[child] as T, item)) break;
      this.put(this.heap[child] as T, i);
      i = child;
    }
    this.put(item, i);
  }

  private put(item: T, i: number): void {
    this.heap[i] = item;
    item.heapIndex = i;
  }
}

function before(a: Timed, b: Timed): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.ticket < b.ticket);
}
