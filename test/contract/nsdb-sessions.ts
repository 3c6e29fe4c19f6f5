import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  create,
  del,
  type NsdbFactory,
  type NsdbPair,
  refused,
  set,
  unavailable,
} from "../support/nsdb-contract-kit.ts";
import { Recorder } from "../support/nsdb-contract-kit.ts";
import { eventually } from "../support/nsdb-eventually.ts";

export function nsdbSessionContract(factory: NsdbFactory): void {
  const withPair = (body: (pair: NsdbPair) => Promise<void>) => async () => {
    const pair = await factory();
    try {
      await body(pair);
    } finally {
      await pair.close();
    }
  };

  describe("ephemeral nodes", () => {
    it(
      "are seen by others, can be set and deleted by anybody, and keep being ephemeral",
      withPair(async ({ a, b }) => {
        await a.commit([create("/e", "1", true), create("/f", "1", true)]);
        await eventually(async () => assert.equal((await b.get("/e"))?.ephemeral, true));
        await b.commit([set("/e", "2"), del("/f")]);
        await eventually(async () => assert.equal((await a.get("/e"))?.data, "2"));
        assert.equal((await a.get("/e"))?.ephemeral, true);
        assert.equal(await a.get("/f"), null);
      }),
    );
    it(
      "cannot have children",
      withPair(async ({ a }) => {
        await a.commit([create("/e", "", true)]);
        await refused(a.commit([create("/p"), create("/e/x")]), "EPHEMERAL_PARENT", 1, "/e/x");
        await refused(a.commit([create("/g", "", true), create("/g/x", "", true)]), "EPHEMERAL_PARENT", 1, "/g/x");
        assert.deepEqual(await a.children("/"), ["e"]);
      }),
    );
    it(
      "go with the session that is lost, and only with that",
      withPair(async ({ a, b, expireA }) => {
        await a.commit([create("/p"), create("/p/mine", "", true), create("/stays")]);
        await eventually(async () => assert.ok(await b.get("/p/mine")));
        await b.commit([create("/p/other", "", true), set("/p/mine", "touched by b")]);
        const epoch = a.sessionEpoch;
        await expireA();
        await eventually(async () => assert.deepEqual(await b.children("/p"), ["other"]));
        await eventually(() => assert.ok(a.sessionEpoch > epoch));
        await eventually(async () => assert.deepEqual(await a.children("/"), ["p", "stays"]));
        await a.commit([create("/p/mine", "again", true)]);
        await eventually(async () => assert.equal((await b.get("/p/mine"))?.data, "again"));
      }),
    );
    it(
      "a node of the same name that others made since does not go with the session",
      withPair(async ({ a, b, expireA }) => {
        await a.commit([create("/x", "a", true), create("/y", "a", true), create("/z", "a", true)]);
        await eventually(async () => assert.ok(await b.get("/x")));
        await b.commit([del("/x"), create("/x", "b")]);
        await b.commit([del("/y"), create("/y", "b", true)]);
        await expireA();
        await eventually(async () => assert.deepEqual(await b.children("/"), ["x", "y"]));
      }),
    );
    it(
      "go when the session is stopped, in a commit that others' watches see",
      withPair(async ({ a, b }) => {
        await a.commit([create("/e1", "", true), create("/e2", "", true), create("/stays")]);
        await eventually(async () => assert.ok(await b.get("/stays")));
        const heard = new Recorder();
        await b.watch("/", heard);
        await a.stop();
        await eventually(() => assert.deepEqual(heard.calls.flat().sort(), ["deleted /e1", "deleted /e2"]));
        assert.deepEqual(await b.children("/"), ["stays"]);
      }),
    );
    it(
      "outlive a broken connection",
      withPair(async ({ a, b, disconnectA, reconnectA }) => {
        await a.commit([create("/e", "", true)]);
        await disconnectA();
        await eventually(async () => assert.ok(await b.get("/e")));
        await reconnectA();
        assert.equal((await a.get("/e"))?.ephemeral, true);
      }),
    );
  });

  describe("session states", () => {
    it(
      "a broken connection: operations are unavailable, and the epoch stays",
      withPair(async ({ a, b, disconnectA, reconnectA }) => {
        const states: string[] = [];
        a.onSession((state) => states.push(state));
        const epoch = a.sessionEpoch;
        assert.ok(epoch > 0);
        await disconnectA();
        await unavailable(a.get("/"));
        await unavailable(a.getMany(["/"]));
        await unavailable(a.children("/"));
        await unavailable(a.commit([create("/n")]));
        await unavailable(a.watch("/", new Recorder()));
        await reconnectA();
        await a.commit([create("/m")]);
        await eventually(async () => assert.ok(await b.get("/m")));
        assert.deepEqual(states, ["disconnected", "connected"]);
        assert.equal(a.sessionEpoch, epoch);
      }),
    );
    it(
      "a lost session: said, and begun anew with another epoch",
      withPair(async ({ a, expireA }) => {
        const states: string[] = [];
        const epochs: number[] = [];
        a.onSession((state) => {
          states.push(state);
          if (state === "connected") epochs.push(a.sessionEpoch);
        });
        const before = a.sessionEpoch;
        await expireA();
        await eventually(() => assert.equal(states.at(-1), "connected"));
        assert.equal(states.filter((state) => state === "lost").length, 1);
        assert.equal(a.sessionEpoch, before + 1);
        assert.equal(epochs.at(-1), before + 1, "the new epoch is there when `connected` is said");
      }),
    );
    it(
      "what is under way when the connection breaks is either done or not, never half, and says unavailable or done",
      withPair(async ({ a, b, disconnectA, reconnectA }) => {
        const work = a.commit([create("/x"), create("/x/y")]).then(
          () => "done",
          (error: unknown) => error,
        );
        await disconnectA();
        const outcome = await work;
        await reconnectA();
        await b.commit([create("/later")]);
        const both = [await b.get("/x"), await b.get("/x/y")].map((node) => node !== null);
        assert.equal(both[0], both[1]);
        if (outcome === "done") assert.equal(both[0], true);
        else await unavailable(Promise.reject(outcome));
      }),
    );
    it(
      "a stopped session refuses everything; stopping again does nothing",
      withPair(async ({ a, b }) => {
        const last = a.commit([create("/last")]);
        await a.stop();
        await last;
        await a.stop();
        await unavailable(a.get("/"));
        await unavailable(a.commit([create("/n")]));
        await eventually(async () => assert.deepEqual(await b.children("/"), ["last"]));
      }),
    );
  });
}
