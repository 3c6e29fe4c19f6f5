import assert from "node:assert/strict";
import { it } from "node:test";
import { SeededRandom, writeU16, writeU32 } from "#core/base";
import { decodeTraceState, encodeTraceState } from "#core/tracing";
import { STATE } from "../../support/tracing-samples.ts";
import { crc32 } from "node:zlib";

const iterations = Number(process.env["MIDOTRACE_FUZZ_ITERATIONS"] ?? 20_000);
const seed = Number(process.env["MIDOTRACE_FUZZ_SEED"] ?? 20_161_123);

/** Lengths and checksums as they should be, so that the fuzzer gets past the front door. */
function reseal(frame: Uint8Array): void {
  if (frame.length < 46) return;
  writeU16(frame, 16, frame.length - 14);
  writeU16(frame, 38, frame.length - 34);
  writeU16(frame, 24, 0);
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += ((frame[i] as number) << 8) | (frame[i + 1] as number);
  sum = (sum & 0xffff) + (sum >>> 16);
  writeU16(frame, 24, ~((sum & 0xffff) + (sum >>> 16)) & 0xffff);
  writeU32(frame, frame.length - 4, crc32(frame.subarray(42, frame.length - 4)));
}

it(`any bytes give a state or a reason, and what is accepted is what we would have written (seed ${seed})`, (t) => {
  t.diagnostic(`seed ${seed}, ${iterations} iterations`);
  const random = new SeededRandom(seed);
  const below = (n: number): number => Math.floor(random.next() * n);
  const start = encodeTraceState({ ...STATE, tunnelKeys: [5, 6, 7] })[0] as Uint8Array;
  let accepted = 0;
  for (let i = 0; i < iterations; i++) {
    const kind = below(10);
    let frame = kind === 0 ? new Uint8Array(below(1600)).map(() => below(256)) : start.slice();
    for (let n = below(6); n > 0 && frame.length > 0; n--) frame[42 + below(frame.length)] = below(256);
    if (kind > 1 && kind < 4) frame = frame.slice(0, below(frame.length + 1));
    if (kind > 6) reseal(frame);
    const result = decodeTraceState(frame);
    if (!result.ok) {
      assert.ok(result.reason.length > 0);
      continue;
    }
    accepted++;
    assert.deepEqual(encodeTraceState(result.state), [frame]);
  }
  assert.ok(accepted > 0, "the fuzzer never got past the front door");
});
