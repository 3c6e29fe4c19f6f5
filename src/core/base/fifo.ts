/** Gone places that are kept before the list is cut. */
const MOST_GONE = 1_000;

/**
 * First in, first out. An item is let go when it is taken: whatever lives on in a queue until the collector's next round is
 * copied by it twice, and then costs a full collection.
 */
export class Fifo<T> {
  private items: (T | undefined)[] = [];
  /** Places before it are gone. */
  private head = 0;

  get size(): number {
    return this.items.length - this.head;
  }

  get first(): T | undefined {
    return this.items[this.head];
  }

  /** @param n counted from the first, which is 0. */
  at(n: number): T | undefined {
    return this.items[this.head + n];
  }

  push(item: T): void {
    this.items.push(item);
  }

  shift(): T | undefined {
    const item = this.items[this.head];
    if (this.size === 0) return undefined;
    this.items[this.head++] = undefined;
    // Cut in one go, so that each item pays for its share only.
    if (this.size > 0 && (this.head <= MOST_GONE || this.head <= this.size)) return item;
    this.items = this.items.slice(this.head);
    this.head = 0;
    return item;
  }

  /** @returns those that were left, in order. */
  clear(): T[] {
    const left = this.items.slice(this.head) as T[];
    this.items = [];
    this.head = 0;
    return left;
  }
}
