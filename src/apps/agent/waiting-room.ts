import type { Cancel, Clock, Scheduler } from "#core/base";

/** A packet waits at most this long for ARP or topology. */
export const WAIT_LIMIT_MS = 5_000;
/** Packets that may wait at once; one more makes the oldest give up. */
export const WAITING_ROOM_CAPACITY = 4_096;

export interface Waiting<T> {
  readonly job: T;
  readonly key: string;
  readonly sinceMs: number;
}

/** Packets that cannot go on yet, by what they wait for. Bounded in number and time; nobody is forgotten. */
export class WaitingRoom<T> {
  private readonly clock: Clock;
  private readonly scheduler: Scheduler;
  private readonly capacity: number;
  private readonly gaveUp: (waiting: Waiting<T>, because: "time" | "room") => void;
  /** In order of arrival. */
  private readonly all = new Set<Waiting<T>>();
  private readonly byKey = new Map<string, Set<Waiting<T>>>();
  private timer: Cancel | null = null;

  constructor(
    clock: Clock,
    scheduler: Scheduler,
    gaveUp: (waiting: Waiting<T>, because: "time" | "room") => void,
    capacity = WAITING_ROOM_CAPACITY,
  ) {
    this.clock = clock;
    this.scheduler = scheduler;
    this.gaveUp = gaveUp;
    this.capacity = capacity;
  }

  get size(): number {
    return this.all.size;
  }

  isWaitedFor(key: string): boolean {
    return this.byKey.has(key);
  }

  enter(key: string, job: T): void {
    const waiting: Waiting<T> = { job, key, sinceMs: this.clock.monotonicMs() };
    this.all.add(waiting);
    const same = this.byKey.get(key);
    if (same === undefined) this.byKey.set(key, new Set([waiting]));
    else same.add(waiting);
    if (this.all.size > this.capacity) {
      const oldest = this.all.values().next().value;
      if (oldest !== undefined) this.leave(oldest, "room");
    }
    this.arm();
  }

  /** Those that waited for `key`, in order; they have left. */
  release(key: string): Waiting<T>[] {
    const same = this.byKey.get(key);
    if (same === undefined) return [];
    this.byKey.delete(key);
    const released = [...same];
    for (const waiting of released) this.all.delete(waiting);
    return released;
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = null;
    this.all.clear();
    this.byKey.clear();
  }

  private leave(waiting: Waiting<T>, because: "time" | "room"): void {
    this.all.delete(waiting);
    const same = this.byKey.get(waiting.key);
    same?.delete(waiting);
    if (same?.size === 0) this.byKey.delete(waiting.key);
    this.gaveUp(waiting, because);
  }

  private arm(): void {
    if (this.timer !== null) return;
    const oldest = this.all.values().next().value;
    if (oldest === undefined) return;
    const inMs = Math.max(0, oldest.sinceMs + WAIT_LIMIT_MS - this.clock.monotonicMs());
    this.timer = this.scheduler.after(inMs, () => {
      this.timer = null;
      const now = this.clock.monotonicMs();
      for (const waiting of this.all) {
        if (waiting.sinceMs + WAIT_LIMIT_MS > now) break;
        this.leave(waiting, "time");
      }
      this.arm();
    });
  }
}
