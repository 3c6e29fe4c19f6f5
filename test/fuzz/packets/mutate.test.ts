import assert from "node:assert/strict";
import test from "node:test";
import { SeededRandom, hex } from "#core/base";
import { decodeCapture, decodeFrame, describeFrame, encodeFrame, locate, setIpv4Dst, setL4Src } from "#core/packets";
import { ENDS, corpus, realCapture } from "../../unit/packets/support.ts";

const iterations = Number(process.env["MIDOTRACE_FUZZ_ITERATIONS"] ?? 20000);
const seed = Number(process.env["MIDOTRACE_FUZZ_SEED"] ?? 1);

test(`${iterations} mutations of real frames, MIDOTRACE_FUZZ_SEED=${seed}`, (t) => {
  t.diagnostic(`seed ${seed}`);
  const random = new SeededRandom(seed);
  const below = (n: number): number => Math.floor(random.next() * n);
  const seeds = [...realCapture().frames.map((f) => f.bytes), ...corpus().map((c) => c.bytes)];
  for (let n = 0; n < iterations; n++) {
    const b = Array.from((seeds[below(seeds.length)] ?? new Uint8Array(0)).subarray(0, 200));
    for (let edits = 1 + below(5); edits > 0; edits--) {
      const i = below(b.length + 1);
      const how = below(4);
      if (how === 0) b[i] = (b[i] ?? 0) ^ (1 << below(8));
      else if (how === 1) b.splice(i, 0, below(256));
      else if (how === 2) b.splice(i, 1);
      else b.length = i;
    }
    const frame = Uint8Array.from(b);
    try {
      describeFrame(frame, { vxlanPort: 4789 });
      const once = encodeFrame(decodeFrame(frame, { vxlanPort: 4789 }));
      const twice = encodeFrame(decodeFrame(once, { vxlanPort: 4789 }));
      assert.deepEqual(encodeFrame(decodeFrame(twice)), twice);
      decodeCapture(frame);
      const at = locate(frame);
      setIpv4Dst(frame, ENDS.ipDst, at);
      setL4Src(frame, n & 0xffff, at);
    } catch (cause) {
      throw new Error(`seed ${seed}, iteration ${n}: keep this frame in the corpus: ${hex(Uint8Array.from(b))}`, {
        cause,
      });
    }
  }
});
