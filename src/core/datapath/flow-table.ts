import { MidotraceError } from "#core/base";
import { F, type FlowMask, type FlowMatch, isInstallable } from "#core/flows";
import { FlowRecords, NONE, OWN_WORD } from "./flow-records.ts";
import { FLOW_WORDS, MaskedWords, readFlowWords, writeFlowWords } from "./flow-words.ts";

/** What a table must know of what it keeps. */
export interface Masked {
  readonly mask: FlowMask;
}

/**
 * Words of a record that are the table's: those of its user, the place of its subtable in `subtables` and its hash lie beside
 * the cookie, where an end looks at them, and the match behind them.
 */
const USERS = OWN_WORD;
/** Of each record, 32-bit integers that are the user's: 0 for a new one. */
export const USER_WORDS = 2;
const SUBTABLE = USERS + USER_WORDS;
const HASH = SUBTABLE + 1;
const MATCH = HASH + 1;
/** With what is left over, a record fills two lines of a processor's cache. */
const OWN_WORDS = 32 - OWN_WORD;

/**
 * Masked flow table by tuple-space search (Srinivasan, Suri, Varghese, SIGCOMM 1999; Open vSwitch's classifier): one
 * hash table per distinct mask. A lookup costs one hash per mask, a change one hash. Masks that are hit more often move
 * forward; where entries overlap (they should not) any of those that match may be found.
 *
 * An entry is a number while it is here (see `FlowRecords`), with a cookie, a match, two words of the user's, and something
 * with a mask, which many may share. Iterating gives the numbers in the order of insertion.
 */
export class FlowTable<T extends Masked = Masked> implements Iterable<number> {
  private readonly records = new FlowRecords(OWN_WORDS);
  /** By number; of numbers that are free null, or what was there last. */
  private readonly things: (T | null)[] = [];
  private readonly byMask = new Map<number, Subtable>();
  /** Those that are in use keep their place; null: free. */
  private readonly subtables: (Subtable | null)[] = [];
  private readonly order: Subtable[] = [];
  private readonly words = new Int32Array(FLOW_WORDS);

  get size(): number {
    return this.records.size;
  }

  /** Number of distinct masks: what a lookup that finds nothing costs. */
  get masks(): number {
    return this.order.length;
  }

  /** The number of the entry that covers such a packet, or NONE. */
  lookup(match: FlowMatch): number {
    const { words, order } = this;
    writeFlowWords(match, words);
    for (let i = 0; i < order.length; i++) {
      const table = order[i] as Subtable;
      const n = table.find(table.masked.hash(words), words);
      if (n === NONE) continue;
      table.hits++;
      if (i > 0) this.promote(i);
      return n;
    }
    return NONE;
  }

  /** The number of the entry with this cookie, or NONE. */
  find(cookie: number): number {
    return this.records.find(cookie);
  }

  at(n: number): T {
    return this.things[n] as T;
  }

  cookieOf(n: number): number {
    return this.records.cookieOf(n);
  }

  /** Reads the match that the entry was added with into `m`. */
  readMatch(n: number, m: FlowMatch): void {
    readFlowWords(this.records.words, n * this.records.stride + MATCH, m);
  }

  /** A hash of what the entry compares: equal for two that could not both be here. */
  hashOf(n: number): number {
    return this.records.words[n * this.records.stride + HASH] as number;
  }

  /** @param i below USER_WORDS. */
  userWord(n: number, i: number): number {
    return this.records.words[n * this.records.stride + USERS + i] as number;
  }

  setUserWord(n: number, i: number, word: number): void {
    this.records.words[n * this.records.stride + USERS + i] = word;
  }

  /** True when an entry with the same mask and the same compared fields is there. */
  has(match: FlowMatch, mask: FlowMask): boolean {
    const table = this.byMask.get(maskKey(mask));
    if (table === undefined) return false;
    writeFlowWords(match, this.words);
    return table.find(table.masked.hash(this.words), this.words) !== NONE;
  }

  /**
   * @param match copied; it may be used again. The mask of `thing` must not change while it is here.
   * @returns the number; NONE, and nothing changes, when the same (match, mask) is there already.
   * @throws MidotraceError INTERNAL for a cookie in use and for a mask with userspace-only fields.
   */
  add(cookie: number, thing: T, match: FlowMatch): number {
    const { records, words } = this;
    const { mask } = thing;
    if (!isInstallable(mask)) throw new MidotraceError("INTERNAL", "a switch cannot match userspace-only fields");
    const key = maskKey(mask);
    const known = this.byMask.get(key);
    const table = known ?? new Subtable(key, mask, records);
    writeFlowWords(match, words);
    const hash = table.masked.hash(words);
    if (table.find(hash, words) !== NONE) {
      if (records.find(cookie) !== NONE) throw new MidotraceError("INTERNAL", `cookie ${cookie} is in use`);
      return NONE;
    }
    const n = records.add(cookie);
    const at = n * records.stride;
    for (let i = 0; i < FLOW_WORDS; i++) records.words[at + MATCH + i] = words[i] as number;
    for (let i = 0; i < USER_WORDS; i++) records.words[at + USERS + i] = 0;
    records.words[at + HASH] = hash;
    table.insert(n, hash);
    if (known === undefined) this.open(table);
    records.words[at + SUBTABLE] = table.place;
    this.things[n] = thing;
    return n;
  }

  remove(n: number): void {
    const { records } = this;
    const at = n * records.stride;
    const table = this.subtables[records.words[at + SUBTABLE] as number] as Subtable;
    table.delete(n, records.words[at + HASH] as number);
    records.remove(n);
    this.things[n] = null;
    if (table.size === 0) this.close(table);
  }

  clear(): void {
    this.records.clear();
    this.things.length = 0;
    this.subtables.length = 0;
    this.byMask.clear();
    this.order.length = 0;
  }

  /** The one that was just given may be removed meanwhile. */
  [Symbol.iterator](): Iterator<number> {
    return this.records[Symbol.iterator]();
  }

  private open(table: Subtable): void {
    const free = this.subtables.indexOf(null);
    table.place = free < 0 ? this.subtables.length : free;
    this.subtables[table.place] = table;
    this.byMask.set(table.key, table);
    this.order.push(table);
  }

  private close(table: Subtable): void {
    this.subtables[table.place] = null;
    this.byMask.delete(table.key);
    this.order.splice(this.order.indexOf(table), 1);
  }

  private promote(i: number): void {
    const here = this.order[i] as Subtable;
    const before = this.order[i - 1] as Subtable;
    if (here.hits <= before.hits) return;
    this.order[i - 1] = here;
    this.order[i] = before;
  }
}

const FEWEST_CELLS = 16;

/**
 * The records of one mask: a hash table with open addressing, at most half full. A cell is a number and its hash side by side,
 * so that a search that finds nothing mostly looks at one line of the processor's cache, and at no record.
 */
class Subtable {
  readonly key: number;
  readonly masked: MaskedWords;
  place = 0;
  size = 0;
  hits = 0;
  private readonly records: FlowRecords;
  private cells = new Int32Array(2 * FEWEST_CELLS).fill(NONE);

  constructor(key: number, mask: FlowMask, records: FlowRecords) {
    this.key = key;
    this.masked = new MaskedWords(mask);
    this.records = records;
  }

  find(hash: number, wanted: Int32Array): number {
    const { cells, records, masked } = this;
    const last = cells.length - 2;
    for (let i = (hash << 1) & last; ; i = (i + 2) & last) {
      const n = cells[i] as number;
      if (n === NONE) return NONE;
      if (cells[i + 1] === hash && masked.same(wanted, records.words, n * records.stride + MATCH)) return n;
    }
  }

  insert(n: number, hash: number): void {
    this.size++;
    if (4 * this.size > this.cells.length) this.grow();
    this.put(n, hash);
  }

  delete(n: number, hash: number): void {
    const { cells } = this;
    const last = cells.length - 2;
    let hole = (hash << 1) & last;
    while (cells[hole] !== n) hole = (hole + 2) & last;
    // What stands behind the hole moves into it, unless it would then stand before its own place.
    for (let i = (hole + 2) & last; cells[i] !== NONE; i = (i + 2) & last) {
      const home = ((cells[i + 1] as number) << 1) & last;
      if (((i - home) & last) < ((i - hole) & last)) continue;
      cells[hole] = cells[i] as number;
      cells[hole + 1] = cells[i + 1] as number;
      hole = i;
    }
    cells[hole] = NONE;
    this.size--;
  }

  private put(n: number, hash: number): void {
    const { cells } = this;
    const last = cells.length - 2;
    let i = (hash << 1) & last;
    while (cells[i] !== NONE) i = (i + 2) & last;
    cells[i] = n;
    cells[i + 1] = hash;
  }

  private grow(): void {
    const old = this.cells;
    this.cells = new Int32Array(2 * old.length).fill(NONE);
    for (let i = 0; i < old.length; i += 2) if (old[i] !== NONE) this.put(old[i] as number, old[i + 1] as number);
  }
}

/** 19 bits of fields, two prefix lengths of 6 bits; a length counts only when its field is compared. */
function maskKey(mask: FlowMask): number {
  const src = (mask.fields & F.NwSrc) === 0 ? 0 : mask.nwSrcBits;
  const dst = (mask.fields & F.NwDst) === 0 ? 0 : mask.nwDstBits;
  return (mask.fields * 64 + src) * 64 + dst;
}
