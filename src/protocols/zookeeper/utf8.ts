/** UTF-8 of paths and names, which are ASCII nearly always; without the platform's TextDecoder, which this room cannot name. */
import { utf8Encode } from "#core/base";

/** Lone surrogates become U+FFFD. */
export function utf8Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return utf8Encode(text);
    bytes[i] = unit;
  }
  return bytes;
}

const CHUNK = 4096;

/** @returns null when the bytes are no UTF-8 (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF). */
export function utf8Text(bytes: Uint8Array): string | null {
  let text = "";
  let units: number[] = [];
  for (let i = 0; i < bytes.length; ) {
    const lead = bytes[i++] as number;
    if (lead < 0x80) units.push(lead);
    else {
      const more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
      if (lead < 0xc2 || lead > 0xf4 || i + more > bytes.length) return null;
      let point = lead & (0x3f >> more);
      for (let n = 0; n < more; n++) {
        const next = bytes[i++] as number;
        if ((next & 0xc0) !== 0x80) return null;
        point = (point << 6) | (next & 0x3f);
      }
      const least = [0, 0x80, 0x800, 0x1_0000][more] as number;
      if (point < least || point > 0x10_ffff || (point >= 0xd800 && point <= 0xdfff)) return null;
      if (point < 0x1_0000) units.push(point);
      else units.push(0xd800 + ((point - 0x1_0000) >> 10), 0xdc00 + ((point - 0x1_0000) & 0x3ff));
    }
    if (units.length >= CHUNK) {
      text += String.fromCharCode(...units);
      units = [];
    }
  }
  return text + String.fromCharCode(...units);
}
