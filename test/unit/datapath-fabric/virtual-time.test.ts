import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualTime } from "../../support/virtual-time.ts";

test("virtual time: due order, then order of scheduling; promises settle in between; cancelled timers do not run", async () => {
  const time = new VirtualTime(1000);
  const log: string[] = [];
  const note = (what: string): void => void log.push(`${what}@${time.monotonicMs()}`);
  time.after(20, () => note("late"));
  time.after(10, () => {
    note("first");
    void Promise.resolve().then(() => setImmediate(() => time.after(0, () => note("answer"))));
  });
  time.after(10, () => note("second"));
  time.after(10, () => note("never")).cancel();
  await time.advance(15);
  assert.deepEqual(log, ["first@10", "second@10", "answer@10"]);
  time.jumpWallClock(-500);
  assert.deepEqual([time.nowMs(), time.monotonicMs(), time.pending], [515, 15, 1]);
  assert.equal(await time.runUntil(() => log.length === 4, 4), false);
  assert.equal(await time.runUntil(() => log.length === 4, 4), true);
  assert.equal(time.monotonicMs(), 20);
});

test("virtual time: an error of a task reaches the test; what never comes to rest is told", async () => {
  const time = new VirtualTime();
  time.after(1, () => {
    throw new Error("boom");
  });
  await assert.rejects(time.advance(5), /boom/);
  const tick = (): void => void time.after(100, tick);
  tick();
  await assert.rejects(time.runUntilIdle(1000), /1 timers are left/);
});
