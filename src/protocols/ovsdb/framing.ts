import { Malformed } from "./malformed.ts";

/** Longer than any reply about a host's switch, short enough that a mad server does not use up the memory. */
export const MAX_TEXT_BYTES = 16 * 1024 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/**
 * Cuts a byte stream into JSON objects. They come back to back, with nothing or white space between (RFC 7047 §4), so
 * that the end of one is where its braces, counted outside strings, are even. All bytes that count are below 0x80 and
 * so never part of a longer UTF-8 sequence.
 */
export class JsonTexts {
  private readonly maxBytes: number;
  private chunks: Uint8Array[] = [];
  private length = 0;
  private depth = 0;
  private inString = false;
  private escaped = false;

  constructor(maxBytes: number = MAX_TEXT_BYTES) {
    this.maxBytes = maxBytes;
  }

  /** Bytes of an object that has begun and not ended. */
  get pendingBytes(): number {
    return this.length;
  }

  /**
   * The objects that end in `bytes`, as text, in order. A Malformed is the last element: the stream is of no use after it.
   * `bytes` may be kept until the object is whole.
   */
  push(bytes: Uint8Array): (string | Malformed)[] {
    const texts: (string | Malformed)[] = [];
    let start = 0;
    for (let i = 0; i < bytes.length; i++) {
      const b = bytes[i] as number;
      if (this.inString) {
        if (this.escaped) this.escaped = false;
        else if (b === BACKSLASH) this.escaped = true;
        else if (b === QUOTE) this.inString = false;
      } else if (b === OPEN) {
        if (this.depth++ === 0) start = i;
      } else if (this.depth === 0) {
        if (!isBlank(b)) return [...texts, new Malformed(`a message begins with 0x${b.toString(16).padStart(2, "0")}`)];
      } else if (b === QUOTE) this.inString = true;
      else if (b === CLOSE && --this.depth === 0) {
        const text = this.finish(bytes.subarray(start, i + 1));
        texts.push(text);
        if (typeof text !== "string") return texts;
      }
    }
    if (this.depth > 0) {
      const rest = bytes.subarray(start);
      this.length += rest.length;
      if (this.length > this.maxBytes) return [...texts, this.tooLong()];
      this.chunks.push(rest);
    }
    return texts;
  }

  private finish(last: Uint8Array): string | Malformed {
    const chunks = [...this.chunks, last];
    this.length += last.length;
    if (this.length > this.maxBytes) return this.tooLong();
    this.chunks = [];
    this.length = 0;
    return decodeUtf8(chunks);
  }

  private tooLong(): Malformed {
    return new Malformed(`a message is longer than ${this.maxBytes} bytes`);
  }
}

function isBlank(b: number): boolean {
  return b === 0x20 || b === 0x0a || b === 0x0d || b === 0x09;
}

/** Strict: overlong, surrogate and cut sequences are malformed. */
function decodeUtf8(chunks: readonly Uint8Array[]): string | Malformed {
  let escaped = "";
  let ascii = true;
  for (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += 4096) {
      const part = chunk.subarray(at, at + 4096);
      if (part.every((b) => b < 0x80 && b !== 0x25)) escaped += String.fromCharCode(...part);
      else {
        ascii = false;
        for (const b of part)
          escaped += b < 0x80 && b !== 0x25 ? String.fromCharCode(b) : `%${b.toString(16).padStart(2, "0")}`;
      }
    }
  }
  if (ascii) return escaped;
  try {
    return decodeURIComponent(escaped);
  } catch {
    return new Malformed("a message is not UTF-8");
  }
}
