import assert from "node:assert/strict";
import { readU16 } from "#core/base";

/**
 * The Ethernet frame whose IPv4 packet these frames carry in fragments, put together by RFC 791 §3.2 (the header is the
 * first fragment's), independently of the code under test. Fails the test when a byte is missing, there twice or of another packet.
 */
export function reassemble(fragments: readonly Uint8Array[]): Uint8Array {
  const parts = fragments.map((frame) => {
    const l3 = l3Of(frame);
    const header = ((frame[l3] as number) & 15) * 4;
    const word = readU16(frame, l3 + 6);
    return {
      l3,
      frame,
      header,
      id: [
        ...frame.subarray(l3 + 4, l3 + 6),
        ...frame.subarray(l3 + 9, l3 + 10),
        ...frame.subarray(l3 + 12, l3 + 20),
      ].join(),
      from: (word & 0x1fff) * 8,
      more: (word & 0x2000) !== 0,
      data: frame.subarray(l3 + header, l3 + readU16(frame, l3 + 2)),
    };
  });
  parts.sort((a, b) => a.from - b.from);
  const first = parts[0];
  assert.ok(first !== undefined && first.from === 0, "the first fragment");
  let at = 0;
  for (const [i, part] of parts.entries()) {
    assert.equal(part.id, first.id, "of one packet");
    assert.equal(part.from, at, "without gap or overlap");
    assert.equal(part.more, i < parts.length - 1, "more fragments follow but the last");
    at += part.data.length;
  }
  const { l3, header } = first;
  const whole = new Uint8Array(l3 + header + at);
  whole.set(first.frame.subarray(0, l3 + header));
  for (const part of parts) whole.set(part.data, l3 + header + part.from);
  const total = header + at;
  whole[l3 + 2] = total >>> 8;
  whole[l3 + 3] = total & 0xff;
  whole[l3 + 6] = (whole[l3 + 6] as number) & 0xc0;
  whole[l3 + 7] = 0;
  whole[l3 + 10] = 0;
  whole[l3 + 11] = 0;
  let sum = 0;
  for (let i = l3; i < l3 + header; i += 2) sum += readU16(whole, i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  whole[l3 + 10] = (~sum >>> 8) & 0xff;
  whole[l3 + 11] = ~sum & 0xff;
  return whole;
}

function l3Of(frame: Uint8Array): number {
  let at = 12;
  while ([0x8100, 0x88a8].includes(readU16(frame, at))) at += 4;
  return at + 2;
}
