import { Fifo } from "#core/base";
import type { ExportRecord } from "#core/exporting";

/** Something that waits: records that are made when they are sent, so that what never is sent costs nothing. */
export interface Waiting {
  readonly records: number;
  readonly steps: number;
  /** Monotonic, ms. */
  readonly sinceMs: number;
  readonly make: () => readonly ExportRecord[];
}

/**
 * What waits, oldest first, bounded by its steps. What finds it full is not taken: it is garbage at once, and costs nothing. To
 * let the oldest go instead, everything would have to be kept for a while, for nothing while the target is away.
 */
export class Backlog {
  private readonly maxSteps: number;
  private readonly items = new Fifo<Waiting>();
  steps = 0;
  records = 0;

  constructor(maxSteps: number) {
    this.maxSteps = maxSteps;
  }

  get oldest(): Waiting | undefined {
    return this.items.first;
  }

  /** False: there is no room. */
  push(item: Waiting): boolean {
    if (this.steps > 0 && this.steps + item.steps > this.maxSteps) return false;
    this.items.push(item);
    this.steps += item.steps;
    this.records += item.records;
    return true;
  }

  /** The oldest, at least one if there is one, and as many more as fit. */
  take(maxSteps: number): Waiting[] {
    const taken: Waiting[] = [];
    let steps = 0;
    for (let next = this.oldest; next !== undefined; next = this.oldest) {
      if (taken.length > 0 && steps + next.steps > maxSteps) break;
      this.shift();
      taken.push(next);
      steps += next.steps;
    }
    return taken;
  }

  /** @returns how many records there were. */
  clear(): number {
    const { records } = this;
    this.items.clear();
    this.steps = this.records = 0;
    return records;
  }

  private shift(): void {
    const item = this.items.shift();
    if (item === undefined) return;
    this.steps -= item.steps;
    this.records -= item.records;
  }
}
