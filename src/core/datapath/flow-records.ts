import { MidotraceError } from "#core/base";

/*
 * A record:
 *
 *    0, 1 cookie: low, high    2 next in its chain    3, 4 made before it, after it
 *    5 … the owner's
 */
const COOKIE_LOW = 0;
const COOKIE_HIGH = 1;
const NEXT = 2;
const OLDER = 3;
const NEWER = 4;
/** The first of the words of a record that its owner uses as it likes. */
export const OWN_WORD = 5;

const FEWEST_RECORDS = 64;
const TWO_32 = 0x1_0000_0000;
/** Where there is no record. */
export const NONE = -1;

/**
 * What is kept of each of many flows, in one array: a flow has a number while it is here, not an object, which leaves nothing
 * for the collector of garbage to move and little to fetch from memory. Numbers are given again when they are free.
 */
export class FlowRecords {
  /** A record begins at its number × `stride`. Another array after `add`, at times. */
  words: Int32Array;
  readonly stride: number;
  size = 0;
  private capacity = FEWEST_RECORDS;
  /** Where chains of records begin whose cookies agree in their lowest bits: cookies follow each other, and their chains are short. */
  private heads = new Int32Array(FEWEST_RECORDS).fill(NONE);
  /** Numbers of free records: of those the first `freed`. Not a chain through them, which would wait for memory at each step. */
  private free = new Int32Array(FEWEST_RECORDS);
  private freed = 0;
  /** Records from here on were never used. */
  private fresh = 0;
  private oldest = NONE;
  private newest = NONE;

  /** @param ownWords 32-bit words that the owner needs in each record. */
  constructor(ownWords: number) {
    this.stride = OWN_WORD + ownWords;
    this.words = new Int32Array(FEWEST_RECORDS * this.stride);
  }

  /** @returns its number; its own words are those of the one that had it before. @throws MidotraceError INTERNAL for a cookie in use. */
  add(cookie: number): number {
    if (this.find(cookie) !== NONE) throw new MidotraceError("INTERNAL", `cookie ${cookie} is in use`);
    const n = this.take();
    const { words, heads, stride } = this;
    const at = n * stride;
    const low = cookie | 0;
    words[at + COOKIE_LOW] = low;
    words[at + COOKIE_HIGH] = cookie / TWO_32;
    const chain = low & (heads.length - 1);
    words[at + NEXT] = heads[chain] as number;
    heads[chain] = n;
    words[at + OLDER] = this.newest;
    words[at + NEWER] = NONE;
    if (this.newest === NONE) this.oldest = n;
    else words[this.newest * stride + NEWER] = n;
    this.newest = n;
    this.size++;
    return n;
  }

  /** The number of the record with this cookie, or NONE. */
  find(cookie: number): number {
    const { words, heads, stride } = this;
    const low = cookie | 0;
    const high = (cookie / TWO_32) | 0;
    let n = heads[low & (heads.length - 1)] as number;
    while (n !== NONE) {
      const at = n * stride;
      if (words[at + COOKIE_LOW] === low && words[at + COOKIE_HIGH] === high) return n;
      n = words[at + NEXT] as number;
    }
    return NONE;
  }

  remove(n: number): void {
    const { words, heads, stride } = this;
    const at = n * stride;
    const next = words[at + NEXT] as number;
    const chain = (words[at + COOKIE_LOW] as number) & (heads.length - 1);
    if (heads[chain] === n) heads[chain] = next;
    else {
      let before = (heads[chain] as number) * stride;
      while (words[before + NEXT] !== n) before = (words[before + NEXT] as number) * stride;
      words[before + NEXT] = next;
    }
    const older = words[at + OLDER] as number;
    const newer = words[at + NEWER] as number;
    if (older === NONE) this.oldest = newer;
    else words[older * stride + NEWER] = newer;
    if (newer === NONE) this.newest = older;
    else words[newer * stride + OLDER] = older;
    this.free[this.freed++] = n;
    this.size--;
  }

  cookieOf(n: number): number {
    const at = n * this.stride;
    return (this.words[at + COOKIE_HIGH] as number) * TWO_32 + ((this.words[at + COOKIE_LOW] as number) >>> 0);
  }

  clear(): void {
    this.heads.fill(NONE);
    this.freed = 0;
    this.fresh = 0;
    this.oldest = NONE;
    this.newest = NONE;
    this.size = 0;
  }

  /** Numbers, oldest first. The one that was just given may be removed meanwhile. */
  *[Symbol.iterator](): Iterator<number> {
    for (let n = this.oldest; n !== NONE; ) {
      const newer = this.words[n * this.stride + NEWER] as number;
      yield n;
      n = newer;
    }
  }

  private take(): number {
    if (this.freed > 0) return this.free[--this.freed] as number;
    if (this.fresh === this.capacity) this.grow();
    return this.fresh++;
  }

  /** By half: a table of a few hundred thousand that doubled would hold as many that it may never need. */
  private grow(): void {
    const { stride, capacity } = this;
    this.capacity = capacity + (capacity >> 1);
    const words = new Int32Array(this.capacity * stride);
    words.set(this.words);
    this.words = words;
    // None is free: that is why there have to be more.
    this.free = new Int32Array(this.capacity);
    if (this.capacity > this.heads.length) this.chainAnew(capacity);
  }

  private chainAnew(records: number): void {
    const { words, stride } = this;
    const heads = new Int32Array(this.heads.length * 2).fill(NONE);
    for (let n = 0; n < records; n++) {
      const at = n * stride;
      const chain = (words[at + COOKIE_LOW] as number) & (heads.length - 1);
      words[at + NEXT] = heads[chain] as number;
      heads[chain] = n;
    }
    this.heads = heads;
  }
}
