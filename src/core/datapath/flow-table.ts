import { MidotraceError } from "#core/base";
import type { FlowEntry } from "./datapath.ts";
import { type FlowMask, type FlowMatch, F, isInstallable, matchesMasked } from "#core/flows";
import { FLOW_WORDS, MaskHash, writeFlowWords } from "./flow-words.ts";

/**
 * Masked flow table by tuple-space search (Srinivasan, Suri, Varghese, SIGCOMM 1999; Open vSwitch's classifier): one
 * hash table per distinct mask. A lookup costs one hash per mask, a change one hash. Masks that are hit more often move
 * forward; where entries overlap (they should not) any of those that match may be found.
 */
export class FlowTable<E extends FlowEntry = FlowEntry> implements Iterable<E> {
  private readonly byCookie = new Map<number, Slot<E>>();
  private readonly byMask = new Map<number, Subtable<E>>();
  private readonly order: Subtable<E>[] = [];
  private readonly words = new Int32Array(FLOW_WORDS);

  get size(): number {
    return this.byCookie.size;
  }

  /** Number of distinct masks: what a lookup that finds nothing costs. */
  get masks(): number {
    return this.order.length;
  }

  lookup(match: FlowMatch): E | null {
    const { words, order } = this;
    writeFlowWords(match, words);
    for (let i = 0; i < order.length; i++) {
      const table = order[i] as Subtable<E>;
      const slot = table.find(table.hash.of(words), match);
      if (slot === null) continue;
      table.hits++;
      if (i > 0) this.promote(i);
      return slot.entry;
    }
    return null;
  }

  get(cookie: number): E | null {
    return this.byCookie.get(cookie)?.entry ?? null;
  }

  /** A hash of what the entry compares: equal for two that could not both be here. 0 for an unknown cookie. */
  hashOf(cookie: number): number {
    return this.byCookie.get(cookie)?.hash ?? 0;
  }

  /** True when an entry with the same mask and the same compared fields is there. */
  has(match: FlowMatch, mask: FlowMask): boolean {
    const table = this.byMask.get(maskKey(mask));
    return table !== undefined && table.find(this.hashIn(table, match), match) !== null;
  }

  /**
   * The entry's match and mask must not change while it is here.
   *
   * @returns false, and changes nothing, when the same (match, mask) is there already.
   * @throws MidotraceError INTERNAL for a cookie in use and for a mask with userspace-only fields.
   */
  add(entry: E): boolean {
    if (this.byCookie.has(entry.cookie)) throw new MidotraceError("INTERNAL", `cookie ${entry.cookie} is in use`);
    if (!isInstallable(entry.mask)) throw new MidotraceError("INTERNAL", "a switch cannot match userspace-only fields");
    const key = maskKey(entry.mask);
    const known = this.byMask.get(key);
    const table = known ?? new Subtable<E>(key, entry.mask);
    const hash = this.hashIn(table, entry.match);
    if (table.find(hash, entry.match) !== null) return false;
    if (known === undefined) {
      this.byMask.set(key, table);
      this.order.push(table);
    }
    const slot: Slot<E> = { entry, hash, table, next: null };
    table.insert(slot);
    this.byCookie.set(entry.cookie, slot);
    return true;
  }

  /** @returns the entry that was removed; null for an unknown cookie. */
  remove(cookie: number): E | null {
    const slot = this.byCookie.get(cookie);
    if (slot === undefined) return null;
    const { table } = slot;
    this.byCookie.delete(cookie);
    table.delete(slot);
    if (table.size === 0) {
      this.byMask.delete(table.key);
      this.order.splice(this.order.indexOf(table), 1);
    }
    return slot.entry;
  }

  clear(): void {
    this.byCookie.clear();
    this.byMask.clear();
    this.order.length = 0;
  }

  /** In the order of insertion. */
  *[Symbol.iterator](): Iterator<E> {
    for (const slot of this.byCookie.values()) yield slot.entry;
  }

  private hashIn(table: Subtable<E>, match: FlowMatch): number {
    writeFlowWords(match, this.words);
    return table.hash.of(this.words);
  }

  private promote(i: number): void {
    const here = this.order[i] as Subtable<E>;
    const before = this.order[i - 1] as Subtable<E>;
    if (here.hits <= before.hits) return;
    this.order[i - 1] = here;
    this.order[i] = before;
  }
}

interface Slot<E extends FlowEntry> {
  readonly entry: E;
  readonly hash: number;
  readonly table: Subtable<E>;
  next: Slot<E> | null;
}

const SMALLEST_BUCKETS = 16;

/** The entries of one mask: a chained hash table whose buckets double with its size. */
class Subtable<E extends FlowEntry> {
  readonly key: number;
  readonly mask: FlowMask;
  readonly hash: MaskHash;
  size = 0;
  hits = 0;
  private buckets = emptyBuckets<E>(SMALLEST_BUCKETS);

  constructor(key: number, mask: FlowMask) {
    this.key = key;
    this.mask = mask;
    this.hash = new MaskHash(mask);
  }

  find(hash: number, match: FlowMatch): Slot<E> | null {
    const { buckets } = this;
    let slot = buckets[hash & (buckets.length - 1)] as Slot<E> | null;
    while (slot !== null && (slot.hash !== hash || !matchesMasked(slot.entry.match, this.mask, match)))
      slot = slot.next;
    return slot;
  }

  insert(slot: Slot<E>): void {
    if (this.size >= this.buckets.length) this.grow();
    this.link(slot);
    this.size++;
  }

  delete(slot: Slot<E>): void {
    const at = slot.hash & (this.buckets.length - 1);
    const head = this.buckets[at] as Slot<E>;
    if (head === slot) this.buckets[at] = slot.next;
    else {
      let before = head;
      while (before.next !== slot) before = before.next as Slot<E>;
      before.next = slot.next;
    }
    this.size--;
  }

  private link(slot: Slot<E>): void {
    const at = slot.hash & (this.buckets.length - 1);
    slot.next = this.buckets[at] as Slot<E> | null;
    this.buckets[at] = slot;
  }

  private grow(): void {
    const old = this.buckets;
    this.buckets = emptyBuckets<E>(old.length * 2);
    for (const head of old) {
      let slot = head;
      while (slot !== null) {
        const { next } = slot;
        this.link(slot);
        slot = next;
      }
    }
  }
}

function emptyBuckets<E extends FlowEntry>(length: number): (Slot<E> | null)[] {
  return new Array<Slot<E> | null>(length).fill(null);
}

/** 18 bits of fields, two prefix lengths of 6 bits; a length counts only when its field is compared. */
function maskKey(mask: FlowMask): number {
  const src = (mask.fields & F.NwSrc) === 0 ? 0 : mask.nwSrcBits;
  const dst = (mask.fields & F.NwDst) === 0 ? 0 : mask.nwDstBits;
  return (mask.fields * 64 + src) * 64 + dst;
}
