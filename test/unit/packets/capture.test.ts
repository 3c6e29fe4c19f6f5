import assert from "node:assert/strict";
import test from "node:test";
import { decodeCapture, encodePcapng } from "#core/packets";
import { bytesOf } from "./support.ts";

const BIG_NS = "a1b23c4d0002000400000000000000000004000000000001";
const RECORD = "00000001000000050000000200000009abcd";

test("pcap, big endian, nanoseconds, a cut frame", () => {
  const { frames, problem } = decodeCapture(bytesOf(BIG_NS + RECORD));
  assert.equal(problem, null);
  assert.deepEqual(frames, [{ timestampNs: 1_000_000_005n, bytes: bytesOf("abcd"), originalLength: 9 }]);
});

test("pcap, little endian, microseconds", () => {
  const file = "d4c3b2a1020004000000000000000000ffff00000100000001000000050000000200000002000000abcd";
  assert.equal(decodeCapture(bytesOf(file)).frames[0]?.timestampNs, 1_000_005_000n);
});

test("pcap: frames before the end of a cut file are kept", () => {
  const cut = decodeCapture(bytesOf(BIG_NS + RECORD + RECORD.slice(0, -2)));
  assert.equal(cut.frames.length, 1);
  assert.deepEqual(cut.problem, { reason: "truncated", offset: 42 });
});

test("problems that leave nothing to read", () => {
  assert.equal(decodeCapture(bytesOf("")).problem?.reason, "not-a-capture");
  assert.equal(decodeCapture(bytesOf("00112233")).problem?.reason, "not-a-capture");
  assert.equal(decodeCapture(bytesOf(`${BIG_NS.slice(0, -2)}65`)).problem?.reason, "unsupported-linktype");
});

test("pcapng, little endian: if_tsresol, an unknown block, EPB and SPB", () => {
  const shb = "0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000";
  const idb = "010000001c000000010000000000000009000100030000001c000000";
  const unknown = "99000000100000000000000010000000";
  const epb = "06000000240000000000000000000000dc0500000200000007000000abcd000024000000";
  const spb = "0300000014000000030000000102030014000000";
  const { frames, problem } = decodeCapture(bytesOf(shb + idb + unknown + epb + spb));
  assert.equal(problem, null);
  assert.deepEqual(frames, [
    { timestampNs: 1_500_000_000n, bytes: bytesOf("abcd"), originalLength: 7 },
    { timestampNs: 0n, bytes: bytesOf("010203"), originalLength: 3 },
  ]);
  assert.equal(decodeCapture(bytesOf(shb + epb)).problem?.reason, "bad-length");
});

test("pcapng carries comments as option 1", () => {
  const file = encodePcapng([{ timestampNs: 1n, bytes: bytesOf("00"), comment: "why" }]);
  assert.ok(Buffer.from(file).includes(Buffer.from("0001000377687900", "hex")));
});
