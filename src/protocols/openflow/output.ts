import { writeU16, writeU32 } from "#core/base";
import { HEADER_BYTES, MAX_MESSAGE_BYTES, OFP_VERSION } from "./messages.ts";

/** So few bytes are copied one by one in less time than it takes to make an array of them. */
const SMALL_BYTES = 256;

/** Buffers that are kept for messages to come: so many, and none that is larger. */
const MOST_SPARE = 4;
const MOST_BYTES = 1_048_576;

/**
 * Messages on their way to a switch, one behind the other in a buffer; buffers are used again. Encoders write at `at` after they have asked for room.
 */
export class Output {
  bytes: Uint8Array;
  /** Where the next byte goes. */
  at = 0;
  private start = 0;
  private readonly capacityBytes: number;
  private readonly spare: Uint8Array[] = [];

  constructor(capacityBytes = 65_536) {
    this.capacityBytes = capacityBytes;
    this.bytes = new Uint8Array(capacityBytes);
  }

  /** Bytes that wait. */
  get length(): number {
    return this.at;
  }

  /** Sees to it that `lengthBytes` more can be written; `bytes` may be another buffer afterwards. */
  room(lengthBytes: number): void {
    if (this.at + lengthBytes <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.at + lengthBytes));
    grown.set(this.bytes.subarray(0, this.at));
    this.bytes = grown;
  }

  /** Begins a message; `end` writes its length. */
  begin(type: number, xid: number): void {
    this.room(HEADER_BYTES);
    this.start = this.at;
    const { bytes, at } = this;
    bytes[at] = OFP_VERSION;
    bytes[at + 1] = type;
    writeU32(bytes, at + 4, xid);
    this.at = at + HEADER_BYTES;
  }

  /** @returns false, and takes the message back, when it is longer than a length field can say. */
  end(): boolean {
    const length = this.at - this.start;
    if (length > MAX_MESSAGE_BYTES) {
      this.at = this.start;
      return false;
    }
    writeU16(this.bytes, this.start + 2, length);
    return true;
  }

  u8(v: number): void {
    this.room(1);
    this.bytes[this.at++] = v;
  }

  u16(v: number): void {
    this.room(2);
    writeU16(this.bytes, this.at, v);
    this.at += 2;
  }

  u32(v: number): void {
    this.room(4);
    writeU32(this.bytes, this.at, v);
    this.at += 4;
  }

  zeros(lengthBytes: number): void {
    this.room(lengthBytes);
    const { bytes } = this;
    // A few bytes: `fill` would take longer to be called than to run.
    for (let i = 0; i < lengthBytes; i++) bytes[this.at++] = 0;
  }

  append(v: Uint8Array): void {
    this.room(v.length);
    this.bytes.set(v, this.at);
    this.at += v.length;
  }

  /** The bytes of `v` from `start` to `end`. */
  appendPart(v: Uint8Array, start: number, end: number): void {
    const lengthBytes = end - start;
    if (lengthBytes > SMALL_BYTES) {
      this.append(v.subarray(start, end));
      return;
    }
    this.room(lengthBytes);
    const { bytes, at } = this;
    for (let i = 0; i < lengthBytes; i++) bytes[at + i] = v[start + i] as number;
    this.at = at + lengthBytes;
  }

  /** All that waits, where it lies; nothing waits afterwards. The bytes are the caller's until he gives them back. */
  take(): Uint8Array {
    const taken = this.bytes.subarray(0, this.at);
    this.bytes = this.spare.pop() ?? new Uint8Array(this.capacityBytes);
    this.at = 0;
    return taken;
  }

  /** What `take` returned is not needed any more. */
  giveBack(taken: Uint8Array): void {
    if (this.spare.length < MOST_SPARE && taken.buffer.byteLength <= MOST_BYTES)
      this.spare.push(new Uint8Array(taken.buffer));
  }
}
