import assert from "node:assert/strict";
import { it } from "node:test";
import { TokenBuckets } from "../../../src/apps/agent/token-buckets.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

it("a burst at once, then so many a second, for each key by itself", async () => {
  const time = new VirtualTime();
  const buckets = new TokenBuckets(time, 3, 10);
  const taken = (key: string, n: number): number =>
    Array.from({ length: n }, () => buckets.take(key)).filter(Boolean).length;
  assert.equal(taken("a", 5), 3);
  assert.equal(taken("b", 5), 3);
  await time.advance(99);
  assert.equal(taken("a", 5), 0);
  await time.advance(1);
  assert.equal(taken("a", 5), 1);
  await time.advance(250);
  assert.equal(taken("a", 5), 2, "halves are kept");
  await time.advance(50);
  assert.equal(taken("a", 5), 1);
  await time.advance(60_000);
  assert.equal(taken("a", 9), 3, "no more than the burst is saved up");
});

it("keys that are full again are forgotten", async () => {
  const time = new VirtualTime();
  const buckets = new TokenBuckets(time, 1, 10);
  for (let i = 0; i < 1_024; i++) buckets.take(`k${i}`);
  await time.advance(50);
  for (let i = 0; i < 100; i++) buckets.take(`busy${i}`);
  assert.equal(buckets.size, 1_124, "none of them was full");
  await time.advance(1_000);
  for (let i = 0; i < 3_000; i++) buckets.take(`n${i}`);
  assert.ok(buckets.size < 3_200, `${buckets.size}`);
});
