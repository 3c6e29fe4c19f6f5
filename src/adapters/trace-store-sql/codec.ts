import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { TraceSegment } from "#core/tracing";

/** Texts as they are stored: Zstandard (RFC 8878) of their UTF-8. */
export const pack = (text: string | Uint8Array): Uint8Array => zstdCompressSync(text);
export const unpack = (body: Uint8Array): Buffer => zstdDecompressSync(body);

/** One segment by itself, as JSON. */
export const encodeSegment = (segment: TraceSegment): Uint8Array => pack(JSON.stringify(segment));
export const decodeSegment = (body: Uint8Array): TraceSegment => JSON.parse(unpack(body).toString()) as TraceSegment;
