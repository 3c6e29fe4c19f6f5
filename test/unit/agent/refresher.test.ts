import assert from "node:assert/strict";
import { test } from "node:test";
import { Refresher } from "../../../src/apps/agent/refresher.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

function refresherOf(refresh: (what: string) => Promise<void>): { refresher: Refresher; time: VirtualTime } {
  const time = new VirtualTime();
  return { refresher: new Refresher({ scheduler: time, refresh, problem: () => {} }), time };
}

test("what is asked for at whatever moment, also as the work before it ends, is read", async () => {
  for (let turns = 0; turns < 30; turns++) {
    const read: string[] = [];
    const { refresher, time } = refresherOf(async (what) => void read.push(what));
    refresher.ask("first");
    for (let i = 0; i < turns; i++) await Promise.resolve();
    refresher.ask("second");
    await time.settle();
    assert.deepEqual(read, ["first", "second"], `asked ${turns} turns later`);
    await refresher.settled();
  }
});

test("what failed is read again after a pause; not after the stop", async () => {
  const read: string[] = [];
  const { refresher, time } = refresherOf(async (what) => {
    read.push(what);
    throw new Error("away");
  });
  refresher.ask("it");
  await time.advance(2_500);
  assert.equal(read.length, 3);
  refresher.stop();
  await time.advance(5_000);
  assert.equal(read.length, 3);
  assert.equal(time.pending, 0);
});
