import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PortId } from "#core/base";
import { GRACE_MS, Hearsay } from "../../../src/apps/agent/hearsay.ts";
import { hostId } from "../../support/cluster.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

const [HERE, THERE] = [hostId(1), hostId(2)];
const P = "00000000-0000-4000-8000-0000000000aa" as PortId;

function world(upHere: boolean): { time: VirtualTime; hearsay: Hearsay; ended: { times: number } } {
  const time = new VirtualTime();
  const ended = { times: 0 };
  return {
    time,
    ended,
    hearsay: new Hearsay(
      time,
      HERE,
      () => upHere,
      () => void ended.times++,
    ),
  };
}

describe("what other hosts say of the moment", () => {
  it("is as the store has it while the session lasts", () => {
    const { hearsay } = world(false);
    assert.deepEqual(
      [true, false, true].map((said) => hearsay.isUp(P, THERE, said)),
      [true, false, true],
    );
  });

  it("counts on after a lost session for as long as they have to say it again, and then no more", async () => {
    const { time, hearsay, ended } = world(false);
    hearsay.isUp(P, THERE, true);
    hearsay.sessionLost();
    assert.equal(hearsay.isUp(P, THERE, false), true);
    await time.advance(10 * GRACE_MS);
    assert.equal(hearsay.isUp(P, THERE, false), true, "while the store is away nobody can say anything");
    hearsay.connected();
    await time.advance(GRACE_MS - 1);
    assert.deepEqual([hearsay.isUp(P, THERE, false), ended.times], [true, 0]);
    await time.advance(1);
    assert.deepEqual([hearsay.isUp(P, THERE, false), ended.times, hearsay.counts], [false, 1, false]);
  });

  it("a port that was down, or is bound to another host now, does not come up by it", () => {
    const { hearsay } = world(false);
    hearsay.isUp(P, THERE, true);
    hearsay.isUp(P, THERE, false);
    hearsay.sessionLost();
    assert.equal(hearsay.isUp(P, THERE, false), false);
    hearsay.isUp(P, THERE, true);
    assert.equal(hearsay.isUp(P, hostId(3), false), false);
  });

  it("a session that is lost again begins the time anew", async () => {
    const { time, hearsay, ended } = world(false);
    hearsay.isUp(P, THERE, true);
    hearsay.sessionLost();
    hearsay.connected();
    await time.advance(GRACE_MS - 1);
    hearsay.sessionLost();
    await time.advance(GRACE_MS);
    assert.deepEqual([hearsay.isUp(P, THERE, false), ended.times], [true, 0]);
    hearsay.connected();
    await time.advance(GRACE_MS);
    assert.deepEqual([hearsay.isUp(P, THERE, false), ended.times], [false, 1]);
  });

  it("is not needed for ports of one's own: they are up when their interface is", () => {
    assert.equal(world(true).hearsay.isUp(P, HERE, false), true);
    assert.equal(world(false).hearsay.isUp(P, HERE, false), false);
    assert.equal(world(false).hearsay.isUp(P, HERE, true), true, "the interface may not have been seen yet");
  });

  it("nothing is left running after the end", async () => {
    const { time, hearsay, ended } = world(false);
    hearsay.sessionLost();
    hearsay.connected();
    hearsay.stop();
    await time.advance(2 * GRACE_MS);
    assert.deepEqual([time.pending, ended.times], [0, 0]);
  });
});
