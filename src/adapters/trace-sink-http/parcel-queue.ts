import type { SinkLimits } from "./limits.ts";

/** A segment on its way: made into text once, for all collectors. */
export interface Parcel {
  /** In the order in which segments came. */
  readonly serial: number;
  readonly json: string;
  readonly sizeBytes: number;
  /** Some collector has it. */
  delivered: boolean;
}

export interface Loss {
  readonly count: number;
  readonly why: string;
}

/** Reasons that are told apart; what comes beyond is one. */
const MAX_REASONS = 20;
const OTHER = "other reasons";
const MAX_WHY = 500;

/** Segments that will never come, by reason, until somebody has been told. */
export class Tally {
  private readonly counts = new Map<string, number>();

  get empty(): boolean {
    return this.counts.size === 0;
  }

  add(count: number, why: string): void {
    const said = why.slice(0, MAX_WHY);
    const reason = this.counts.has(said) || this.counts.size < MAX_REASONS ? said : OTHER;
    this.counts.set(reason, (this.counts.get(reason) ?? 0) + count);
  }

  take(): Loss[] {
    const losses = [...this.counts].map(([why, count]) => ({ count, why }));
    this.counts.clear();
    return losses;
  }
}

/** What waits, oldest first, bounded in number and bytes. */
export class ParcelQueue {
  readonly lost = new Tally();
  private readonly limits: Pick<SinkLimits, "queueSegments" | "queueBytes">;
  private readonly overflow: string;
  private items: Parcel[] = [];
  /** Items before this place are gone. */
  private head = 0;
  private sizeBytes = 0;

  /** @param overflow the reason that is told of what had to go. */
  constructor(limits: Pick<SinkLimits, "queueSegments" | "queueBytes">, overflow: string) {
    this.limits = limits;
    this.overflow = overflow;
  }

  get size(): number {
    return this.items.length - this.head;
  }

  /** @param besides parcels that count too, though they do not stand here. @returns how many had to go. */
  push(parcel: Parcel, besides = 0): number {
    this.items.push(parcel);
    this.sizeBytes += parcel.sizeBytes;
    const { queueSegments, queueBytes } = this.limits;
    let dropped = 0;
    while (this.size > 1 && (this.size + besides > queueSegments || this.sizeBytes > queueBytes)) {
      this.shift();
      dropped++;
    }
    if (dropped > 0) this.lost.add(dropped, this.overflow);
    return dropped;
  }

  /** The oldest, at least one if there is one, and as many more as fit. */
  take(maxCount: number, maxBytes: number): Parcel[] {
    const taken: Parcel[] = [];
    let bytes = 0;
    for (let next = this.items[this.head]; next !== undefined; next = this.items[this.head]) {
      if (taken.length >= maxCount || (taken.length > 0 && bytes + next.sizeBytes > maxBytes)) break;
      this.shift();
      taken.push(next);
      bytes += next.sizeBytes;
    }
    return taken;
  }

  /** Takes parcels back that were taken. */
  putBack(parcels: readonly Parcel[]): void {
    this.items = [...parcels, ...this.all()];
    this.head = 0;
    for (const parcel of parcels) this.sizeBytes += parcel.sizeBytes;
  }

  all(): readonly Parcel[] {
    return this.items.slice(this.head);
  }

  clear(): void {
    this.items = [];
    this.head = 0;
    this.sizeBytes = 0;
  }

  private shift(): void {
    const parcel = this.items[this.head];
    if (parcel === undefined) return;
    this.sizeBytes -= parcel.sizeBytes;
    this.head++;
    // Cut in one go, so that each parcel pays for its share only.
    if (this.head > 1_000 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
  }
}
