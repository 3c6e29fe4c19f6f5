import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { ClockOffsets } from "#core/tracing";

it("is as far ahead as the fastest delivery shows, less half of a round trip", () => {
  const clocks = new ClockOffsets();
  assert.equal(clocks.offsetMs("a"), null);
  for (const [sent, delay] of [
    [1_000, 80],
    [2_000, 3],
    [3_000, 500],
  ] as const)
    clocks.heard("a", sent + 300_000, sent + delay, 4);
  assert.equal(clocks.offsetMs("a"), 299_999);
  clocks.heard("b", 5_000, 5_002, 4);
  assert.equal(clocks.offsetMs("b"), 0);
});

it("follows a clock that is set, forward at the next slow delivery, back as soon as the old ones are forgotten", () => {
  const clocks = new ClockOffsets();
  for (let n = 0; n < 20; n++) clocks.heard("a", 1_000 * n, 1_000 * n + 1);
  clocks.heard("a", 60_000 + 21_000, 21_001);
  assert.equal(clocks.offsetMs("a"), 59_999, "it cannot have come before it was sent");
  for (let n = 22; n < 38; n++) clocks.heard("a", 1_000 * n - 60_000, 1_000 * n + 1);
  assert.equal(clocks.offsetMs("a"), -60_001);
});

it("of a host that never says when it sends is told by the packets that came to it", () => {
  const clocks = new ClockOffsets();
  clocks.passed("a", 10_000, "old", 310_050);
  assert.equal(clocks.offsetMs("old"), null, "nothing is known of the other either");
  clocks.heard("a", 20_000, 19_000);
  assert.equal(clocks.offsetMs("old"), 301_050);
  clocks.passed("a", 11_000, "old", 311_001);
  assert.equal(clocks.offsetMs("old"), 301_001, "the fastest packet");
  clocks.heard("old", 50_000, 50_000);
  assert.equal(clocks.offsetMs("old"), 0, "its own word is better");
});

it("is wrong by no more than the shortest delay, whatever the delays", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -600_000, max: 600_000 }),
      fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1, maxLength: 40 }),
      (ahead, delays) => {
        const clocks = new ClockOffsets();
        for (const [n, delay] of delays.entries()) clocks.heard("a", n * 10_000 + ahead, n * 10_000 + delay);
        const error = ahead - (clocks.offsetMs("a") ?? Number.NaN);
        assert.equal(error, Math.min(...delays.slice(-16)));
      },
    ),
  );
});
