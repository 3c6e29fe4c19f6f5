/**
 * Frames of the byte stream: an int length (without itself), then that many bytes.
 * A frame that came in one piece is a view of what was pushed; one in many pieces is put together once, when complete.
 */
import { readU32 } from "#core/base";

export type FrameResult =
  | { readonly kind: "frame"; readonly bytes: Uint8Array }
  /** Nothing complete is left: push more. */
  | { readonly kind: "more" }
  /** The stream is beyond use: push nothing more. */
  | { readonly kind: "malformed"; readonly reason: string };

const MORE: FrameResult = { kind: "more" };

export class FrameSplitter {
  private readonly maxFrameBytes: number;
  private chunks: Uint8Array[] = [];
  private bytes = 0;

  constructor(maxFrameBytes: number) {
    this.maxFrameBytes = maxFrameBytes;
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.chunks.push(chunk);
    this.bytes += chunk.length;
  }

  next(): FrameResult {
    if (this.bytes < 4) return MORE;
    const length = readU32(this.front(4), 0) | 0;
    if (length < 0 || length > this.maxFrameBytes) {
      return { kind: "malformed", reason: `a frame of ${length} bytes (at most ${this.maxFrameBytes} are taken)` };
    }
    if (this.bytes < 4 + length) return MORE;
    const all = this.front(4 + length);
    this.drop(all, 4 + length);
    return { kind: "frame", bytes: all.subarray(4, 4 + length) };
  }

  /** The first chunk, made at least `length` bytes long. There are that many. */
  private front(length: number): Uint8Array {
    const first = this.chunks[0] as Uint8Array;
    if (first.length >= length) return first;
    // The head of a frame in pieces: only as much as is asked for, so that a long body is not copied for its length.
    const parts: Uint8Array[] = [];
    let have = 0;
    while (have < length) {
      const part = this.chunks.shift() as Uint8Array;
      parts.push(part);
      have += part.length;
    }
    const joined = new Uint8Array(have);
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    this.chunks.unshift(joined);
    return joined;
  }

  private drop(first: Uint8Array, length: number): void {
    this.bytes -= length;
    if (first.length === length) this.chunks.shift();
    else this.chunks[0] = first.subarray(length);
  }
}
