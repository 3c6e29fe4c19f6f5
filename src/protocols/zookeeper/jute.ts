/**
 * Jute, ZooKeeper's serialization (zookeeper-jute, BinaryOutputArchive): fields one after another, big endian, no tags.
 *
 *     boolean  1 byte                 buffer   int length (-1: null), bytes
 *     int      4 bytes, signed        ustring  as buffer, UTF-8
 *     long     8 bytes, signed        vector   int count (-1: null), elements
 */
import { ByteWriter, readU32 } from "#core/base";
import { utf8Bytes, utf8Text } from "./utf8.ts";

export class JuteWriter {
  private readonly out: ByteWriter;

  constructor(capacityBytes = 128) {
    this.out = new ByteWriter(capacityBytes);
  }

  get length(): number {
    return this.out.offset;
  }

  bool(v: boolean): this {
    this.out.u8(v ? 1 : 0);
    return this;
  }

  int(v: number): this {
    this.out.u32(v);
    return this;
  }

  long(v: bigint): this {
    this.out.u64(v);
    return this;
  }

  buffer(v: Uint8Array): this {
    this.out.u32(v.length).append(v);
    return this;
  }

  ustring(v: string): this {
    return this.buffer(utf8Bytes(v));
  }

  ustrings(v: readonly string[]): this {
    this.out.u32(v.length);
    for (const text of v) this.ustring(text);
    return this;
  }

  finish(): Uint8Array {
    return this.out.finish();
  }
}

const EMPTY = new Uint8Array(0);

/**
 * Reads never throw: the first field that is not there, or has an impossible length, is noted in `failure`, and it and all
 * that follow read as zero or empty. Whoever reads looks at `failure` at the end, and before believing a value.
 */
export class JuteReader {
  readonly bytes: Uint8Array;
  private at = 0;
  private wrong: string | null = null;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** What is wrong and where (offset in bytes), or null. */
  get failure(): string | null {
    return this.wrong;
  }

  get remaining(): number {
    return this.bytes.length - this.at;
  }

  bool(what: string): boolean {
    return this.take(1, what) ? this.bytes[this.at++] !== 0 : false;
  }

  int(what: string): number {
    if (!this.take(4, what)) return 0;
    const value = readU32(this.bytes, this.at) | 0;
    this.at += 4;
    return value;
  }

  long(what: string): bigint {
    if (!this.take(8, what)) return 0n;
    const high = readU32(this.bytes, this.at) | 0;
    const low = readU32(this.bytes, this.at + 4);
    this.at += 8;
    return (BigInt(high) << 32n) | BigInt(low);
  }

  /** A view of the bytes read from, not a copy. Null reads as empty. */
  buffer(what: string): Uint8Array {
    const length = this.int(what);
    if (length === -1 || this.wrong !== null) return EMPTY;
    if (length < 0 || length > this.remaining) {
      this.fail(`the length of ${what} is ${length}, with ${this.remaining} bytes left`);
      return EMPTY;
    }
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  /** Null reads as empty. */
  ustring(what: string): string {
    const text = utf8Text(this.buffer(what));
    if (text === null) this.fail(`${what} is no UTF-8`);
    return text ?? "";
  }

  /** Null reads as empty. `read` is called until something fails. */
  vector<T>(what: string, read: (r: this) => T): T[] {
    const count = this.int(`the count of ${what}`);
    // Nothing that we read takes less than four bytes.
    if (count < -1 || count * 4 > this.remaining) {
      this.fail(`the count of ${what} is ${count}, with ${this.remaining} bytes left`);
    }
    const items: T[] = [];
    for (let i = 0; i < count && this.wrong === null; i++) items.push(read(this));
    return items;
  }

  fail(reason: string): void {
    this.wrong ??= `${reason} (at byte ${this.at} of ${this.bytes.length})`;
  }

  private take(length: number, what: string): boolean {
    if (this.wrong === null && this.remaining < length) this.fail(`${what} is cut off`);
    return this.wrong === null;
  }
}
