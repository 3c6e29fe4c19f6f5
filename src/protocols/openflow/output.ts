import { writeU16, writeU32 } from "#core/base";
import { HEADER_BYTES, MAX_MESSAGE_BYTES, OFP_VERSION } from "./messages.ts";

/**
 * Messages on their way to a switch, one behind the other in one buffer that is used again after each `take`. Encoders
 * write at `at` after they have asked for room.
 */
export class Output {
  bytes: Uint8Array;
  /** Where the next byte goes. */
  at = 0;
  private start = 0;

  constructor(capacityBytes = 65_536) {
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
    this.bytes.fill(0, this.at, this.at + lengthBytes);
    this.at += lengthBytes;
  }

  append(v: Uint8Array): void {
    this.room(v.length);
    this.bytes.set(v, this.at);
    this.at += v.length;
  }

  /** A copy of all that waits; nothing waits afterwards. */
  take(): Uint8Array {
    const taken = this.bytes.slice(0, this.at);
    this.at = 0;
    return taken;
  }
}
