/** One cursor over one growing buffer, big endian (network order); `finish()` returns a copy of the used part. */
export class ByteWriter {
  bytes: Uint8Array;
  offset = 0;

  constructor(capacityBytes = 256) {
    this.bytes = new Uint8Array(capacityBytes);
  }

  u8(v: number): this {
    this.room(1);
    this.bytes[this.offset++] = v;
    return this;
  }

  u16(v: number): this {
    this.room(2);
    this.bytes[this.offset++] = v >>> 8;
    this.bytes[this.offset++] = v;
    return this;
  }

  u24(v: number): this {
    return this.u8(v >>> 16).u16(v & 0xffff);
  }

  u32(v: number): this {
    this.room(4);
    writeU32(this.bytes, this.offset, v);
    this.offset += 4;
    return this;
  }

  u48(v: number): this {
    return this.u16(Math.floor(v / 0x1_0000_0000)).u32(v >>> 0);
  }

  u64(v: bigint): this {
    return this.u32(Number((v >> 32n) & 0xffff_ffffn)).u32(Number(v & 0xffff_ffffn));
  }

  append(v: Uint8Array): this {
    this.room(v.length);
    this.bytes.set(v, this.offset);
    this.offset += v.length;
    return this;
  }

  /** Writes a big-endian u16 at an earlier offset (lengths and checksums known only afterwards). */
  patchU16(at: number, v: number): this {
    this.bytes[at] = v >>> 8;
    this.bytes[at + 1] = v;
    return this;
  }

  finish(): Uint8Array {
    return this.bytes.slice(0, this.offset);
  }

  private room(lengthBytes: number): void {
    if (this.offset + lengthBytes <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.offset + lengthBytes));
    grown.set(this.bytes.subarray(0, this.offset));
    this.bytes = grown;
  }
}

export function readU16(b: Uint8Array, o: number): number {
  return ((b[o] as number) << 8) | (b[o + 1] as number);
}

export function readU32(b: Uint8Array, o: number): number {
  return (
    (((b[o] as number) << 24) | ((b[o + 1] as number) << 16) | ((b[o + 2] as number) << 8) | (b[o + 3] as number)) >>> 0
  );
}

export function readU48(b: Uint8Array, o: number): number {
  return readU16(b, o) * 0x1_0000_0000 + readU32(b, o + 2);
}

export function writeU16(b: Uint8Array, o: number, v: number): void {
  b[o] = v >>> 8;
  b[o + 1] = v;
}

export function writeU32(b: Uint8Array, o: number, v: number): void {
  b[o] = v >>> 24;
  b[o + 1] = v >>> 16;
  b[o + 2] = v >>> 8;
  b[o + 3] = v;
}

export function writeU48(b: Uint8Array, o: number, v: number): void {
  writeU16(b, o, Math.floor(v / 0x1_0000_0000));
  writeU32(b, o + 2, v >>> 0);
}
