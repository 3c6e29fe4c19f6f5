/**
 * 64 bits of a text as 16 hex digits, never all zero: two 32-bit hashes of the FNV kind with a final mix. Names things so
 * that the same has the same name everywhere; keeps no secret.
 */
export function hash64(text: string): string {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    a = Math.imul(a ^ c, 0x01000193);
    b = Math.imul(b ^ c, 0x85ebca6b);
    b = (b << 13) | (b >>> 19);
  }
  const high = mix(a ^ (b >>> 7));
  const low = mix(b ^ text.length);
  return hex32(high) + hex32(high === 0 && low === 0 ? 1 : low);
}

function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

const hex32 = (value: number): string => value.toString(16).padStart(8, "0");
