import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EmbeddedNsdb, type Faults } from "#adapters/nsdb-embedded";
import type { NsdbOp } from "#core/nsdb";
import { NsdbUnavailable } from "#core/nsdb";
import { create, del, dump, Recorder, set, unavailable } from "../../support/nsdb-contract-kit.ts";
import { NsdbModel } from "../../support/nsdb-model.ts";
import { withDirectory } from "../../support/nsdb-temporary.ts";

const SCRIPT: readonly (readonly NsdbOp[])[] = [
  [create("/a"), create("/a/x", "1")],
  [set("/a/x", "2"), create("/eph", "", true), create("/b")],
  [set("/eph", "1"), del("/b")],
  [del("/a/x"), del("/a"), create("/a", "anew"), set("/", "root")],
  [del("/eph"), create("/eph", "to stay")],
];

async function opened(url: string, faults: Faults = {}) {
  const server = new EmbeddedNsdb(url, { faults });
  await server.start();
  const session = server.session();
  await session.start();
  return { server, session };
}

/** What a process finds that opens the store after the first `count` transactions of the script. */
function durableAfter(count: number): Record<string, string> {
  const model = new NsdbModel();
  for (const ops of SCRIPT.slice(0, count)) model.commit(ops, "dead");
  model.endSession();
  return model.dump();
}

const reach = (n: number) => (now: number) => {
  if (now === n) throw new Error(`dies at ${n}`);
};

describe("the process dies at commit n", () => {
  for (const [when, extra] of [["beforeDurable", 0] as const, ["afterDurable", 1] as const]) {
    for (let n = 1; n <= SCRIPT.length; n++) {
      it(`${when} ${n}, commits awaited: the disk has exactly what it should, the instance is dead`, async () => {
        await withDirectory(async (directory) => {
          const url = `file:${directory}`;
          const { server, session } = await opened(url, { [when]: reach(n) });
          const heard = new Recorder();
          const states: string[] = [];
          session.onSession((state) => states.push(state));
          await session.watch("/", heard);
          for (const ops of SCRIPT.slice(0, n - 1)) await session.commit(ops);
          const calls = heard.calls.length;
          await assert.rejects(
            session.commit(SCRIPT[n - 1] ?? []),
            (error) => error instanceof NsdbUnavailable && error.message.includes(`dies at ${n}`),
          );
          assert.equal(heard.calls.length, calls);
          assert.deepEqual(states, ["disconnected"]);
          session.reconnect();
          await unavailable(session.get("/"));
          await unavailable(session.commit([create("/never")]));
          await unavailable(server.session().start());
          const again = await opened(url); // without stopping the dead one
          assert.deepEqual(await dump(again.session), durableAfter(n - 1 + extra));
          await session.stop();
          await server.stop();
          await again.session.commit([create("/alive")]);
          await again.server.stop();
        });
      });
    }
  }
  it("before durable, in a group: the whole group fails and nothing of it is there", async () => {
    await withDirectory(async (directory) => {
      const { session } = await opened(`file:${directory}`, { beforeDurable: reach(3) });
      const refusedOnIt = session.commit(SCRIPT[0] ?? []).then(() => session.commit([create("/a")]));
      const work = SCRIPT.slice(1).map((ops) => session.commit(ops));
      await Promise.all([...work, refusedOnIt].map((one) => unavailable(one)));
      const again = await opened(`file:${directory}`);
      assert.deepEqual(await dump(again.session), durableAfter(0));
      await again.server.stop();
    });
  });
  it("after durable, in a group: those before are acknowledged, the others unknown but there", async () => {
    await withDirectory(async (directory) => {
      const { session } = await opened(`file:${directory}`, { afterDurable: reach(3) });
      const outcomes = await Promise.allSettled(SCRIPT.map((ops) => session.commit(ops)));
      assert.deepEqual(
        outcomes.map((one) => one.status),
        ["fulfilled", "fulfilled", "rejected", "rejected", "rejected"],
      );
      const again = await opened(`file:${directory}`);
      assert.deepEqual(await dump(again.session), durableAfter(SCRIPT.length));
      await again.server.stop();
    });
  });
  it("a refusal that rests on a commit that is lost is not said", async () => {
    const { session } = await opened("memory:", { beforeDurable: reach(1) });
    const [first, second] = [session.commit([create("/n")]), session.commit([create("/n")])];
    await Promise.all([unavailable(first), unavailable(second)]);
  });
});

describe("group commit", () => {
  it("what is queued in one turn is written at once, then told commit by commit", async () => {
    const log: string[] = [];
    const { server, session } = await opened("memory:", {
      beforeDurable: (n) => log.push(`write ${n}`),
      afterDurable: (n) => log.push(`tell ${n}`),
    });
    const other = server.session();
    await other.start();
    await Promise.all([session.commit([create("/1")]), other.commit([create("/2")]), session.commit([create("/3")])]);
    await session.commit([create("/4")]);
    const group = ["write 1", "write 2", "write 3", "tell 1", "tell 2", "tell 3"];
    assert.deepEqual(log, [...group, "write 4", "tell 4"]);
    await server.stop();
  });
});
