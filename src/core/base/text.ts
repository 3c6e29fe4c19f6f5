/** UTF-8 without the platform's TextEncoder, which the core cannot name. */

export function utf8Encode(text: string): Uint8Array {
  const escaped = encodeURIComponent(text.toWellFormed());
  const out = new Uint8Array(escaped.length);
  let n = 0;
  for (let i = 0; i < escaped.length; i++) {
    const c = escaped.charCodeAt(i);
    if (c === 0x25) {
      out[n++] = Number.parseInt(escaped.slice(i + 1, i + 3), 16);
      i += 2;
    } else out[n++] = c;
  }
  return out.slice(0, n);
}

export function hex(bytes: Uint8Array): string {
  let s = "";
  for (const b of bytes) s += b.toString(16).padStart(2, "0");
  return s;
}

/** @returns null unless `text` is an even number of hex digits (blanks between them are allowed). */
export function unhex(text: string): Uint8Array | null {
  const digits = text.replace(/\s+/g, "");
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits)) return null;
  const out = new Uint8Array(digits.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16);
  return out;
}
