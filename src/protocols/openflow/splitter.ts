import { readU16, readU32 } from "#core/base";
import { HEADER_BYTES, headerFault } from "./messages.ts";

/** One message: `b` from `start` to `end`, header included. The bytes are the caller's only until the call returns. */
export type MessageHandler = (b: Uint8Array, start: number, end: number, type: number, xid: number) => void;

/**
 * Cuts a stream of bytes into messages. What arrives whole is handed on where it lies; only a message that is cut in two
 * is put together in a buffer of its own.
 */
export class Splitter {
  private readonly handle: MessageHandler;
  /** The beginning of a message whose end has not come. */
  private rest = new Uint8Array(4096);
  private held = 0;

  constructor(handle: MessageHandler) {
    this.handle = handle;
  }

  /** Bytes of a message that is not complete. */
  get pending(): number {
    return this.held;
  }

  /** @returns why the stream can be followed no further, or null. After a reason nothing more may be pushed. */
  push(chunk: Uint8Array): string | null {
    let at = 0;
    while (this.held > 0 && at < chunk.length) {
      const want = this.held < HEADER_BYTES ? HEADER_BYTES : readU16(this.rest, 2);
      const take = Math.min(want - this.held, chunk.length - at);
      this.keep(chunk.subarray(at, at + take));
      at += take;
      if (this.held < want) return null;
      if (want === HEADER_BYTES) {
        const fault = this.fault(this.rest, 0);
        if (fault !== null) return fault;
      }
      if (this.held === readU16(this.rest, 2)) {
        const length = this.held;
        this.held = 0;
        this.deliver(this.rest, 0, length);
      }
    }
    while (chunk.length - at >= HEADER_BYTES) {
      const fault = this.fault(chunk, at);
      if (fault !== null) return fault;
      const end = at + readU16(chunk, at + 2);
      if (end > chunk.length) break;
      this.deliver(chunk, at, end);
      at = end;
    }
    if (at < chunk.length) this.keep(chunk.subarray(at));
    return null;
  }

  private fault(b: Uint8Array, at: number): string | null {
    return headerFault(b[at] as number, b[at + 1] as number, readU16(b, at + 2));
  }

  private deliver(b: Uint8Array, start: number, end: number): void {
    this.handle(b, start, end, b[start + 1] as number, readU32(b, start + 4));
  }

  private keep(part: Uint8Array): void {
    if (this.held + part.length > this.rest.length) {
      const grown = new Uint8Array(0xffff);
      grown.set(this.rest.subarray(0, this.held));
      this.rest = grown;
    }
    this.rest.set(part, this.held);
    this.held += part.length;
  }
}
