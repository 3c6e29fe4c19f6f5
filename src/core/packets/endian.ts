import { readU16, readU32 } from "#core/base";

/** 16 and 32 bits in the byte order a capture file announces. */
export interface EndianReader {
  u16(b: Uint8Array, o: number): number;
  u32(b: Uint8Array, o: number): number;
}

export const BIG_ENDIAN: EndianReader = { u16: readU16, u32: readU32 };
export const LITTLE_ENDIAN: EndianReader = {
  u16: (b, o) => (b[o] as number) | ((b[o + 1] as number) << 8),
  u32: (b, o) =>
    ((b[o] as number) | ((b[o + 1] as number) << 8) | ((b[o + 2] as number) << 16) | ((b[o + 3] as number) << 24)) >>>
    0,
};
