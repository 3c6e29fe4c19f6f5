import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { NsdbWatch } from "#core/nsdb";
import {
  check,
  create,
  del,
  type NsdbFactory,
  type NsdbPair,
  Recorder,
  refused,
  set,
  wholeCommits,
} from "../support/nsdb-contract-kit.ts";
import { eventually } from "../support/nsdb-eventually.ts";

export function nsdbWatchContract(factory: NsdbFactory): void {
  const withPair = (body: (pair: NsdbPair) => Promise<void>) => async () => {
    const pair = await factory();
    try {
      await body(pair);
    } finally {
      await pair.close();
    }
  };

  describe("watches", () => {
    it(
      "hear the prefix and all below it, nothing beside it, in the transaction's order; no commit comes in two calls",
      withPair(async ({ a, b, oneCallPerCommit }) => {
        const heard = new Recorder();
        await a.watch("/p", heard);
        await b.commit([create("/p"), create("/q"), create("/p/x"), create("/pp"), create("/p/x/y")]);
        await b.commit([set("/q", "1"), set("/pp", "1")]);
        await b.commit([set("/p/x/y", "1"), check("/p", 0), set("/p", "1")]);
        await b.commit([del("/p/x/y"), del("/p/x"), del("/p")]);
        const commits = [
          ["created /p", "created /p/x", "created /p/x/y"],
          ["changed /p/x/y", "changed /p"],
          ["deleted /p/x/y", "deleted /p/x", "deleted /p"],
        ];
        await eventually(() => assert.equal(heard.calls.flat().length, commits.flat().length));
        if (oneCallPerCommit === true) assert.deepEqual(heard.calls, commits);
        else wholeCommits(heard.calls, commits);
        assert.equal(heard.resyncs, 0);
      }),
    );
    it(
      "on the root hear everything, once per watch",
      withPair(async ({ a, b }) => {
        const [first, second, narrow] = [new Recorder(), new Recorder(), new Recorder()];
        await a.watch("/", first);
        await a.watch("/", second);
        await a.watch("/n", narrow);
        await b.commit([create("/n"), set("/", "root")]);
        await eventually(() => assert.equal(narrow.calls.length, 1));
        await eventually(() => assert.deepEqual(first.calls, [["created /n", "changed /"]]));
        await eventually(() => assert.deepEqual(second.calls, first.calls));
        assert.deepEqual(narrow.calls, [["created /n"]]);
      }),
    );
    it(
      "on several prefixes hear each change once, those of one commit in one call, also where prefixes overlap",
      withPair(async ({ a, b, oneCallPerCommit }) => {
        const heard = new Recorder();
        const inner = new Recorder();
        const watch = await a.watch(["/p", "/q", "/q/x"], heard);
        await a.watch("/q/x", inner);
        const commits = [["created /p", "created /q", "created /q/x"], ["changed /p", "changed /q/x"], ["deleted /p"]];
        await b.commit([create("/p"), create("/q"), create("/r"), create("/q/x")]);
        await b.commit([set("/p", "1"), set("/r", "1"), set("/q/x", "1")]);
        await b.commit([set("/r", "2")]);
        await b.commit([del("/p")]);
        await eventually(() => assert.equal(heard.calls.flat().length, commits.flat().length));
        if (oneCallPerCommit === true) assert.deepEqual(heard.calls, commits);
        else wholeCommits(heard.calls, commits);
        watch.close();
        await b.commit([set("/q/x", "2"), create("/p")]);
        // The path that another watch is on is watched still.
        const own = ["created /q/x", "changed /q/x", "changed /q/x"];
        await eventually(() => assert.deepEqual(inner.calls.flat(), own));
        assert.equal(heard.calls.flat().length, commits.flat().length);
      }),
    );
    it(
      "are given what they want as it is after all that they are told of, as far as it was read",
      withPair(async ({ a, b }) => {
        const CHANGES = 200;
        const told = { events: 0, given: 0, missing: 0 };
        const problems: string[] = [];
        const counts = new Map<string, number>();
        // Another watcher of the session wants what this one does not hear of.
        await a.watch("/q", { wants: () => ["/q"], events: () => undefined, resync: () => undefined });
        await b.commit([create("/q"), create("/n", "0"), create("/n/m", "0"), create("/n/other", "0")]);
        // Another server may not have them yet, and its watch would hear of them then.
        await eventually(async () => assert.ok(await a.get("/n/other")));
        await a.watch(["/n"], {
          wants: (events) => events.map(({ path }) => path).filter((path) => path !== "/n/other"),
          events: (events, nodes) => {
            for (const { path } of events) counts.set(path, (counts.get(path) ?? 0) + 1);
            told.events += events.length;
            if (nodes.has("/n/other") || nodes.has("/q")) problems.push("given what was not wanted");
            for (const [path, node] of nodes) {
              told.given++;
              // Each change of a path counts it up: it is at least as new as what was told of it.
              if (node === null || Number(node.data) < (counts.get(path) ?? 0))
                problems.push(`${path} was ${node?.data}, after ${counts.get(path)} changes`);
            }
          },
          resync: () => void problems.push("a gap"),
        });
        for (let n = 1; n <= CHANGES; n++) {
          const work = b.commit([set("/n", `${n}`), set("/n/other", `${n}`), set("/n/m", `${n}`), set("/q", `${n}`)]);
          // Now and then several are under way.
          if (n % 3 === 0) await work;
        }
        await eventually(() => assert.equal(told.events, 3 * CHANGES));
        assert.deepEqual(problems, []);
        assert.ok(told.given > 0, "nothing was ever given");
      }),
    );
    it(
      "that are in no hurry hear of everything all the same, each commit whole, and at once what others of the session hear",
      withPair(async ({ a, b }) => {
        const idle = new Recorder();
        await a.watch("/n", Object.assign(idle, { wants: () => null }));
        await b.commit([create("/n"), create("/n/x"), create("/m")]);
        await eventually(() => assert.deepEqual(idle.calls.flat(), ["created /n", "created /n/x"]));
        const brisk = new Recorder();
        await a.watch("/m", brisk);
        const CHANGES = 50;
        for (let n = 0; n < CHANGES; n++) await b.commit([set("/n", `${n}`), set("/n/x", `${n}`)]);
        await b.commit([set("/n", ""), set("/m", "")]);
        await eventually(() => assert.deepEqual(brisk.calls, [["changed /m"]]));
        const each = ["changed /n", "changed /n/x"];
        const all = [...Array.from({ length: CHANGES }, () => each).flat(), "changed /n"];
        assert.deepEqual(idle.calls.flat().slice(2), all);
      }),
    );
    it(
      "hear each step of a node within a transaction",
      withPair(async ({ a, b }) => {
        const heard = new Recorder();
        await a.watch("/n", heard);
        await b.commit([create("/n"), set("/n", "1"), del("/n"), create("/n")]);
        await eventually(() =>
          assert.deepEqual(heard.calls, [["created /n", "changed /n", "deleted /n", "created /n"]]),
        );
      }),
    );
    it(
      "hear an own write before its promise resolves",
      withPair(async ({ a }) => {
        const heard = new Recorder();
        await a.watch("/", heard);
        for (let i = 0; i < 20; i++) {
          await a.commit([create(`/${i}`)]);
          assert.deepEqual(heard.calls.at(-1), [`created /${i}`]);
        }
      }),
    );
    it(
      "are not called inside commit(), and can read what they are told of",
      withPair(async ({ a }) => {
        let inside = false;
        const seen: Promise<string | undefined>[] = [];
        await a.watch("/", {
          events: () => {
            assert.equal(inside, false);
            seen.push(a.get("/n").then((node) => node?.data));
          },
          resync: () => {},
        });
        inside = true;
        const work = a.commit([create("/n", "data")]);
        inside = false;
        await work;
        assert.deepEqual(await Promise.all(seen), ["data"]);
      }),
    );
    it(
      "hear nothing before the promise resolved, and everything after",
      withPair(async ({ a, b }) => {
        for (let round = 0; round < 20; round++) {
          let resolved = false;
          const heard = new Recorder();
          const early: string[] = [];
          void a.commit([create(`/before${round}`)]);
          const registering = a.watch("/", {
            events: (events) => {
              if (!resolved) early.push(...events.map((event) => event.path));
              heard.events(events);
            },
            resync: () => heard.resync(),
          });
          const others = [a.commit([create(`/a${round}`)]), b.commit([create(`/b${round}`)])];
          const watch = await registering;
          resolved = true;
          await Promise.all(others);
          await a.commit([create(`/after${round}`)]);
          assert.deepEqual(early, []);
          assert.ok(!heard.calls.flat().includes(`created /before${round}`));
          assert.ok(heard.calls.flat().includes(`created /a${round}`));
          assert.equal(heard.calls.flat().at(-1), `created /after${round}`);
          watch.close();
        }
      }),
    );
    it(
      "hear the commits of all sessions in the one order in which they took effect",
      withPair(async ({ a, b }) => {
        const [byA, byB] = [new Recorder(), new Recorder()];
        await a.watch("/", byA);
        await b.watch("/", byB);
        const paths = Array.from({ length: 100 }, (_, i) => `/${i}`);
        await Promise.all(paths.map((path, i) => (i % 2 === 0 ? a : b).commit([create(path)])));
        await eventually(() => assert.equal(byA.calls.flat().length, 100));
        await eventually(() => assert.equal(byB.calls.flat().length, 100));
        assert.deepEqual(byA.calls.flat(), byB.calls.flat());
        const nodes = await a.getMany(byA.calls.flat().map((text) => text.replace("created ", "")));
        const zxids = nodes.map((node) => node?.createdZxid ?? -1);
        assert.deepEqual(
          zxids,
          zxids.toSorted((x, y) => x - y),
        );
      }),
    );
    it(
      "hear commits of many operations whole, however many come at once",
      withPair(async ({ a, b }) => {
        const heard = new Recorder();
        await a.watch("/", heard);
        const names = Array.from({ length: 60 }, (_, i) => `/c${i}`);
        const commitOf = (name: string): string[] => [name, ...Array.from({ length: 40 }, (_, i) => `${name}/${i}`)];
        await Promise.all(names.map((name, i) => (i % 3 === 0 ? a : b).commit(commitOf(name).map((p) => create(p)))));
        await eventually(() => assert.equal(heard.calls.flat().length, 60 * 41));
        const order = heard.calls.flat().filter((_, i) => i % 41 === 0);
        assert.deepEqual(order.toSorted(), names.map((name) => `created ${name}`).toSorted());
        const commits = order.map((first) => commitOf(first.replace("created ", "")).map((path) => `created ${path}`));
        wholeCommits(heard.calls, commits);
      }),
    );
    it(
      "hear nothing of refused transactions, checks and reads",
      withPair(async ({ a }) => {
        const heard = new Recorder();
        await a.commit([create("/n")]);
        await a.watch("/", heard);
        await refused(a.commit([set("/n", "1"), del("/none")]), "NO_NODE", 1, "/none");
        await a.commit([check("/n", 0)]);
        await a.commit([]);
        await a.getMany(["/n"]);
        await a.commit([create("/end")]);
        assert.deepEqual(heard.calls, [["created /end"]]);
      }),
    );
    it(
      "after a gap get resync, no event of the gap, and then go on",
      withPair(async ({ a, b, disconnectA, reconnectA }) => {
        const heard = new Recorder();
        await a.watch("/p", heard);
        await b.commit([create("/p")]);
        await eventually(() => assert.equal(heard.calls.length, 1));
        await disconnectA();
        await b.commit([create("/p/gap")]);
        assert.equal(heard.resyncs, 0);
        await reconnectA();
        await eventually(() => assert.equal(heard.resyncs, 1));
        await b.commit([create("/p/after")]);
        await eventually(() => assert.deepEqual(heard.calls, [["created /p"], ["created /p/after"]]));
        assert.equal(heard.resyncs, 1);
      }),
    );
    it(
      "live on when the session is lost: resync, not the end of its own ephemeral nodes, then events again",
      withPair(async ({ a, b, expireA }) => {
        const heard = new Recorder();
        const other = new Recorder();
        await a.commit([create("/e", "", true)]);
        await eventually(async () => assert.ok(await b.get("/e")));
        await a.watch("/", heard);
        await b.watch("/", other);
        await expireA();
        await eventually(() => assert.equal(heard.resyncs, 1));
        await eventually(() => assert.deepEqual(other.calls, [["deleted /e"]]));
        await b.commit([create("/n")]);
        await eventually(() => assert.deepEqual(heard.calls, [["created /n"]]));
        assert.equal(other.resyncs, 0);
      }),
    );
    it(
      "hear nothing once closed, also when closed by a watch that was called before",
      withPair(async ({ a, b, disconnectA, reconnectA }) => {
        const [heard, still] = [new Recorder(), new Recorder()];
        const watch = await a.watch("/", heard);
        await a.watch("/", still);
        await b.commit([create("/1")]);
        await eventually(() => assert.equal(heard.calls.length, 1));
        watch.close();
        watch.close();
        await b.commit([create("/2")]);
        await disconnectA();
        await reconnectA();
        await b.commit([create("/3")]);
        await eventually(() => assert.deepEqual(still.calls.at(-1), ["created /3"]));
        assert.deepEqual([heard.calls.length, heard.resyncs], [1, 0]);
        const second = new Recorder();
        const victims: NsdbWatch[] = [];
        await a.watch("/", { events: () => victims[0]?.close(), resync: () => {} });
        victims.push(await a.watch("/", second));
        await a.commit([create("/4")]);
        assert.deepEqual(second.calls, []);
      }),
    );
    it(
      "a listener's commit builds on all that was submitted before, told or not",
      withPair(async ({ a }) => {
        await a.commit([create("/n")]);
        const work: Promise<void>[] = [];
        await a.watch("/n", {
          events: () => {
            if (work.length === 2) work.push(a.commit([set("/n", "third", 2)]));
          },
          resync: () => {},
        });
        work.push(a.commit([set("/n", "first", 0)]), a.commit([set("/n", "second", 1)]));
        await eventually(() => assert.equal(work.length, 3));
        await Promise.all(work);
        assert.equal((await a.get("/n"))?.data, "third");
      }),
    );
    it(
      "may commit from inside a listener; the order stays",
      withPair(async ({ a }) => {
        const heard = new Recorder();
        const work: Promise<void>[] = [];
        await a.watch("/", {
          events: (events) => {
            heard.events(events);
            if (work.length < 5) work.push(a.commit([create(`/chain${work.length}`)]));
          },
          resync: () => {},
        });
        await a.commit([create("/start")]);
        await eventually(() => assert.equal(heard.calls.length, 6));
        await Promise.all(work);
        assert.deepEqual(
          heard.calls.flat(),
          ["/start", "/chain0", "/chain1", "/chain2", "/chain3", "/chain4"].map((path) => `created ${path}`),
        );
      }),
    );
  });
}
