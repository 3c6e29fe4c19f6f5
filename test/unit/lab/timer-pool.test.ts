import assert from "node:assert/strict";
import { test } from "node:test";
import { TimerPool } from "#apps/lab";
import { VirtualTime } from "../../support/virtual-time.ts";

test("timers run, can be cancelled one by one, and all together", async () => {
  const time = new VirtualTime();
  const pool = new TimerPool(time);
  const ran: string[] = [];
  pool.after(1, () => ran.push("a"));
  pool.after(2, () => ran.push("b")).cancel();
  pool.after(9, () => ran.push("c"));
  await time.advance(5);
  assert.deepEqual([ran, time.pending], [["a"], 1]);
  pool.cancelAll();
  assert.equal(time.pending, 0);
});
