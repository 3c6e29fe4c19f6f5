import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import { type HostId, SeededRandom } from "#core/base";
import {
  decode,
  encode,
  type GuardedStore,
  guardIdentity,
  type GuardOptions,
  initialize,
  LOOK_AGAIN_MS,
  Nsdb,
  type NsdbNode,
  type NsdbOp,
  type NsdbStore,
  NsdbTxError,
  NsdbUnavailable,
  type NsdbWatcher,
  readIdentity,
  readImportMark,
} from "#core/nsdb";
import { refused as txRefused, unavailable } from "../../support/nsdb-contract-kit.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

const A = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";
const B = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb";
const HOST = "cccccccc-cccc-4ccc-8ccc-cccccccccccc" as HostId;
const identity = (id: string, version = 1): string => encode(readIdentity, { id, version }, "/store");
const MARK: NsdbOp = {
  op: "create",
  path: "/import",
  data: encode(readImportMark, { documentId: "d", storeId: B, startedAtMs: 0 }, "/import"),
};

interface Rig {
  readonly time: VirtualTime;
  readonly session: ReturnType<EmbeddedNsdb["session"]>;
  readonly guard: GuardedStore;
  /** A user of the tree that nobody guards: an administrator's tool. */
  readonly tool: NsdbStore;
  /** What the user of the guard heard, in order. */
  readonly heard: string[];
  /** As the guard's own listener tells it. */
  readonly watch: (prefix: string) => Promise<void>;
  /** Deletes everything, as an administrator's `deleteall` would. */
  readonly wipe: () => Promise<void>;
  /** While set, the guard's reads of these nodes fail. */
  readonly fault: { unreadable: boolean };
}

async function rigFor(
  t: TestContext,
  o: Partial<GuardOptions> & { readonly empty?: boolean; readonly start?: boolean } = {},
): Promise<Rig> {
  const server = new EmbeddedNsdb("memory:");
  await server.start();
  t.after(() => server.stop());
  const time = new VirtualTime();
  const session = server.session();
  const tool = server.session();
  await tool.start();
  if (o.empty !== true) {
    await tool.commit([{ op: "create", path: "/store", data: identity(A) }]);
    await initialize(tool, new SeededRandom(1));
  }
  const fault = { unreadable: false };
  const failing: NsdbStore = {
    get sessionEpoch() {
      return session.sessionEpoch;
    },
    start: () => session.start(),
    stop: () => session.stop(),
    get: (path) => session.get(path),
    getMany: (paths) =>
      fault.unreadable && paths.includes("/store")
        ? Promise.reject(new NsdbUnavailable("no quorum"))
        : session.getMany(paths),
    children: (path) => session.children(path),
    commit: (ops) => session.commit(ops),
    watch: (prefix, listener) => session.watch(prefix, listener),
    onSession: (listener) => session.onSession(listener),
  };
  const guard = guardIdentity(failing, { scheduler: time, ...o });
  const heard: string[] = [];
  guard.onSession((state) => heard.push(state));
  if (o.start !== false) await guard.start();
  const watch = async (prefix: string): Promise<void> => {
    await guard.watch(prefix, {
      events: (events) => heard.push(...events.map((e) => `${e.kind} ${e.path}`)),
      resync: () => heard.push(`resync ${prefix}`),
    });
  };
  const wipe = async (path = "/"): Promise<void> => {
    for (const name of await tool.children(path)) await wipe(path === "/" ? `/${name}` : `${path}/${name}`);
    if (path !== "/") await tool.commit([{ op: "delete", path }]);
  };
  return { time, session, guard, tool, heard, watch, wipe, fault };
}

const taken = (heard: string[]): string[] => heard.splice(0);

describe("what a watcher of a guarded store wants", () => {
  it("is asked for in its words while the store is trusted, and everything is urgent for one that does not say", async (t) => {
    const { guard, session } = await rigFor(t);
    const kept: NsdbWatcher[] = [];
    const inner = session.watch.bind(session);
    session.watch = (prefixes, watcher) => {
      kept.push(watcher);
      return inner(prefixes, watcher);
    };
    const silent = { events: () => undefined, resync: () => undefined };
    await guard.watch("/n", silent);
    await guard.watch("/n", { ...silent, wants: () => null });
    await guard.watch("/n", { ...silent, wants: () => ["/n"] });
    assert.deepEqual(
      kept.map((watcher) => watcher.wants?.([{ kind: "changed", path: "/n" }])),
      [undefined, null, ["/n"]],
    );
  });
});

describe("the identity of a store", () => {
  it("is made once, with the top directories, and stays", async (t) => {
    const { tool } = await rigFor(t, { empty: true });
    await Promise.all([initialize(tool, new SeededRandom(1)), initialize(tool, new SeededRandom(2))]);
    const made = (await tool.get("/store")) as NsdbNode;
    const { id, version } = decode(readIdentity, made.data, made.path);
    assert.match(id, /^[0-9a-f-]{36}$/);
    assert.equal(version, 1);
    await initialize(tool, new SeededRandom(3));
    assert.deepEqual(await tool.get("/store"), made);
  });

  it("is given to a store that an older version has made", async (t) => {
    const { tool } = await rigFor(t);
    await tool.commit([{ op: "delete", path: "/store" }]);
    await initialize(tool, new SeededRandom(3));
    assert.notEqual(await tool.get("/store"), null);
  });

  it("is not made while an import is not finished", async (t) => {
    const { tool } = await rigFor(t, { empty: true });
    await tool.commit([MARK]);
    await assert.rejects(initialize(tool, new SeededRandom(1)), { code: "STORE_UNAVAILABLE" });
    assert.deepEqual(await tool.children("/"), ["import"]);
  });
});

describe("a guarded store", () => {
  it("is the store below while that is itself", async (t) => {
    const { guard, heard, watch, tool, session } = await rigFor(t);
    assert.deepEqual([guard.problem(), guard.identity, guard.sessionEpoch], [null, A, 1]);
    assert.deepEqual(taken(heard), ["connected"]);
    await watch("/hosts");
    await guard.commit([{ op: "create", path: "/hosts/x", data: "1" }]);
    await tool.commit([{ op: "set", path: "/hosts/x", data: "2" }]);
    assert.equal((await guard.get("/hosts/x"))?.data, "2");
    assert.deepEqual(await guard.children("/hosts"), ["x"]);
    assert.deepEqual(taken(heard), ["created /hosts/x", "changed /hosts/x"]);
    session.disconnect();
    await unavailable(guard.get("/hosts/x"));
    session.reconnect();
    await guard.start();
    assert.deepEqual(taken(heard), ["disconnected", "connected", "resync /hosts"]);
    assert.equal(guard.sessionEpoch, 1);
    await session.expire();
    await guard.start();
    assert.deepEqual(taken(heard), ["lost", "connected", "resync /hosts"]);
    assert.equal(guard.sessionEpoch, 2);
  });

  it("refuses with the index that its user counts", async (t) => {
    const { guard } = await rigFor(t);
    await txRefused(
      guard.commit([
        { op: "create", path: "/hosts/y", data: "" },
        { op: "create", path: "/none/z", data: "" },
      ]),
      "NO_PARENT",
      1,
      "/none/z",
    );
    await txRefused(guard.commit([{ op: "delete", path: "bad" }]), "BAD_PATH", 0, "bad");
    await guard.commit([]);
  });

  it("closed watches and those of a stopped store hear nothing more", async (t) => {
    const { guard, session, tool } = await rigFor(t);
    let calls = 0;
    const listener: NsdbWatcher = { events: () => calls++, resync: () => calls++ };
    const first = await guard.watch("/hosts", listener);
    first.close();
    await guard.watch("/hosts", listener);
    await guard.stop();
    await tool.commit([{ op: "create", path: "/hosts/x", data: "" }]);
    await unavailable(guard.get("/hosts"));
    await guard.start();
    await session.expire();
    await guard.start();
    assert.equal(calls, 0);
    assert.equal(guard.problem(), null);
  });
});

describe("a store that was emptied", () => {
  it("counts as disconnected until its identity is back; then everything is told again, in order", async (t) => {
    const { guard, heard, watch, session, time, tool, wipe } = await rigFor(t);
    await watch("/");
    taken(heard);
    session.disconnect();
    await wipe();
    await session.expire();
    session.reconnect();
    await time.advance(10 * LOOK_AGAIN_MS);
    assert.deepEqual(taken(heard), ["disconnected", "lost"], "the deletions and the new session are not told");
    assert.match(guard.problem() ?? "", /no identity, not aaaaaaaa/);
    for (const work of [guard.get("/hosts"), guard.getMany(["/hosts"]), guard.children("/"), guard.commit([])])
      await assert.rejects(work, (e) => e instanceof NsdbUnavailable && /no identity/.test(e.message));
    await unavailable(guard.watch("/", { events: () => {}, resync: () => {} }));
    // Somebody else takes it for a new one.
    await initialize(tool, new SeededRandom(9));
    await time.advance(LOOK_AGAIN_MS);
    assert.match(guard.problem() ?? "", /identity is \S+, not aaaaaaaa\S+: it is another one/);
    assert.deepEqual(taken(heard), []);
    await tool.commit([{ op: "set", path: "/store", data: identity(A) }]);
    await time.settle();
    assert.equal(guard.problem(), null);
    assert.deepEqual(taken(heard), ["connected", "resync /"]);
    assert.equal(guard.sessionEpoch, 2);
    assert.equal(time.pending, 0, "nobody looks any more");
  });

  it("is noticed while the session lives", async (t) => {
    const { guard, heard, tool, time } = await rigFor(t);
    taken(heard);
    await tool.commit([{ op: "delete", path: "/store" }]);
    assert.deepEqual(taken(heard), ["disconnected"]);
    await time.settle();
    assert.match(guard.problem() ?? "", /no identity/);
    await tool.commit([{ op: "create", path: "/store", data: identity(A) }]);
    await time.settle();
    assert.deepEqual(taken(heard), ["lost", "connected"], "what was ephemeral may be gone as well");
  });

  it("is refused from the start by who knows better", async (t) => {
    const { guard, heard, time, tool } = await rigFor(t, { expected: B });
    assert.match(guard.problem() ?? "", /identity is aaaaaaaa\S+, not bbbbbbbb/);
    assert.deepEqual(heard, []);
    assert.equal(guard.sessionEpoch, 0);
    await tool.commit([{ op: "set", path: "/store", data: identity(B) }]);
    await time.settle();
    assert.deepEqual(heard, ["connected"]);
    assert.equal(guard.sessionEpoch, 1);
  });

  it("a store of a later layout is refused", async (t) => {
    const { guard, tool, time } = await rigFor(t);
    await tool.commit([{ op: "set", path: "/store", data: identity(A, 2) }]);
    await time.settle();
    assert.match(guard.problem() ?? "", /layout 2, this program knows 1/);
  });

  it("one that has never had an identity is taken as it is, and remembered when it gets one", async (t) => {
    const learned: string[] = [];
    const { guard, heard, session, wipe, time } = await rigFor(t, { empty: true, learned: (id) => learned.push(id) });
    assert.deepEqual([guard.problem(), guard.identity], [null, null]);
    await new Nsdb(guard, new SeededRandom(4), time).initialize();
    await time.settle();
    assert.deepEqual(learned, [guard.identity]);
    assert.deepEqual(taken(heard), ["connected"]);
    session.disconnect();
    await wipe();
    session.reconnect();
    await time.settle();
    assert.match(guard.problem() ?? "", /no identity/);
  });
});

describe("an import that is not finished", () => {
  it("is a disconnection, from its first commit on; ephemeral nodes are told lost", async (t) => {
    const { guard, heard, watch, tool, time } = await rigFor(t);
    const nsdb = new Nsdb(guard, new SeededRandom(4), time);
    await nsdb.hosts.register(HOST, "h");
    await nsdb.state.setAlive(HOST);
    guard.onSession((state) => {
      // As an agent does: what is ephemeral is made again when the store is there.
      if (state === "connected") void nsdb.state.setAlive(HOST);
    });
    await watch("/hosts");
    taken(heard);
    await tool.commit([MARK, { op: "set", path: "/store", data: identity(A) }]);
    assert.deepEqual(taken(heard), ["disconnected"]);
    await tool.commit([{ op: "delete", path: `/hosts/${HOST}/alive` }]);
    await time.advance(5 * LOOK_AGAIN_MS);
    assert.deepEqual(taken(heard), [], "what the import does is not told");
    assert.match(guard.problem() ?? "", /import into the store is not finished \(of store bbbbbbbb/);
    await tool.commit([{ op: "delete", path: "/import" }]);
    await time.settle();
    assert.deepEqual(taken(heard), ["lost", "connected", "resync /hosts", `created /hosts/${HOST}/alive`]);
    assert.equal(guard.sessionEpoch, 2);
  });

  it("lets no commit in that was under way when it began", async (t) => {
    const { guard, tool, session, time } = await rigFor(t);
    // The guard has not heard of the import: its connection is behind.
    const behind = { deliver: session.deliver.bind(session) };
    session.deliver = () => {};
    await tool.commit([MARK, { op: "set", path: "/store", data: identity(A) }]);
    await assert.rejects(guard.commit([{ op: "create", path: "/hosts/x", data: "" }]), NsdbUnavailable);
    assert.equal(await tool.get("/hosts/x"), null);
    session.deliver = behind.deliver;
    await time.settle();
    assert.match(guard.problem() ?? "", /import/);
    await tool.commit([{ op: "delete", path: "/import" }]);
    await time.advance(LOOK_AGAIN_MS);
    await guard.commit([{ op: "create", path: "/hosts/x", data: "" }]);
  });

  it("that came and went while the connection was away has taken ephemeral nodes too", async (t) => {
    const { guard, heard, session, tool, time } = await rigFor(t);
    taken(heard);
    session.disconnect();
    await tool.commit([{ op: "set", path: "/store", data: identity(A) }]);
    session.reconnect();
    await time.settle();
    assert.deepEqual(taken(heard), ["disconnected", "lost", "connected"]);
    assert.equal(guard.sessionEpoch, 2);
  });
});

describe("faults while the identity is looked at", () => {
  it("a store that does not answer is looked at again each second", async (t) => {
    const { guard, heard, session, fault, time } = await rigFor(t);
    taken(heard);
    fault.unreadable = true;
    session.disconnect();
    session.reconnect();
    await time.settle();
    assert.match(guard.problem() ?? "", /cannot be read: no quorum/);
    await time.advance(3 * LOOK_AGAIN_MS - 1);
    fault.unreadable = false;
    assert.deepEqual(taken(heard), ["disconnected"]);
    await time.advance(1);
    assert.deepEqual(taken(heard), ["connected"]);
  });

  it("malformed identity: not trusted, and said", async (t) => {
    const { guard, tool, time } = await rigFor(t);
    await tool.commit([{ op: "set", path: "/store", data: "{" }]);
    await time.settle();
    assert.match(guard.problem() ?? "", /malformed data at \/store/);
  });

  it("a session that ends during the look makes its answer worthless", async (t) => {
    const { guard, heard, session, time } = await rigFor(t);
    taken(heard);
    session.disconnect();
    session.reconnect();
    session.disconnect();
    await time.advance(5 * LOOK_AGAIN_MS);
    assert.deepEqual(taken(heard), ["disconnected"]);
    assert.equal(guard.problem(), "the store does not answer");
    session.reconnect();
    const expired = session.expire();
    await time.settle();
    await expired;
    await time.settle();
    assert.deepEqual(taken(heard), ["lost", "connected"]);
  });

  it("an answer that comes after trust was lost is not passed on, nor is a watch", async (t) => {
    const { guard, tool } = await rigFor(t);
    const both = Promise.allSettled([guard.children("/hosts"), guard.watch("/hosts", { events() {}, resync() {} })]);
    // In the same turn, ahead of the answers' continuations.
    const marked = tool.commit([MARK]);
    const late = Promise.allSettled([guard.children("/hosts")]);
    await marked;
    assert.equal((await both)[0].status, "fulfilled");
    const [read] = await late;
    assert.ok(read?.status === "rejected" && read.reason instanceof NsdbUnavailable);
  });

  it("a watch that came too late is not left behind in the store below", async (t) => {
    const { guard, session, tool } = await rigFor(t);
    let closed = 0;
    const { watch } = { watch: session.watch.bind(session) };
    session.watch = async (prefix, listener) => {
      const made = await watch(prefix, listener);
      // Trust is lost before the answer reaches the user.
      session.disconnect();
      return { close: () => (closed++, made.close()) };
    };
    await unavailable(guard.watch("/hosts", { events: () => {}, resync: () => {} }));
    assert.equal(closed, 1);
    assert.notEqual(await tool.get("/hosts"), null);
  });

  it("a listener that throws harms nobody else", async (t) => {
    const errors: unknown[] = [];
    const { guard, heard, session, time } = await rigFor(t, { onListenerError: (e) => errors.push(e) });
    await guard.watch("/", {
      events: () => {},
      resync: () => {
        throw new Error("mine");
      },
    });
    await guard.watch("/", { events: () => {}, resync: () => heard.push("resync") });
    taken(heard);
    session.disconnect();
    session.reconnect();
    await time.settle();
    assert.deepEqual(taken(heard), ["disconnected", "connected", "resync"]);
    assert.equal(errors.length, 1);
    assert.equal(guard.problem(), null);
  });

  it("any series of breaks, wipes and repairs ends connected to the right store, each watch told last", async (t) => {
    const random = new SeededRandom(77);
    for (let round = 0; round < 60; round++) {
      const { guard, heard, watch, session, time, tool } = await rigFor(t);
      await watch("/hosts");
      let resynced = false;
      for (let i = 0; i < 12; i++) {
        const what = Math.floor(random.next() * 7);
        if (what === 0) session.disconnect();
        else if (what === 1) session.reconnect();
        else if (what === 2) await session.expire();
        else if (what === 3)
          await tool.commit([{ op: "set", path: "/store", data: identity(random.next() < 0.5 ? A : B) }]);
        else if (what === 4)
          await tool.commit([(await tool.get("/import")) === null ? MARK : { op: "delete", path: "/import" }]);
        else if (what === 5) await time.advance(700);
        else
          await guard.commit([{ op: "set", path: "/hosts", data: String(i) }]).catch((e: unknown) => {
            assert.ok(e instanceof NsdbUnavailable && !(e instanceof NsdbTxError), String(e));
          });
        const at = heard.lastIndexOf("connected");
        if (guard.problem() === null)
          assert.equal(
            heard.findLast((h) => !h.includes("/")),
            "connected",
          );
        resynced = heard.indexOf("resync /hosts", at) > at;
      }
      if ((await tool.get("/import")) !== null) await tool.commit([{ op: "delete", path: "/import" }]);
      await tool.commit([{ op: "set", path: "/store", data: identity(A) }]);
      session.reconnect();
      await time.advance(2 * LOOK_AGAIN_MS);
      assert.equal(guard.problem(), null);
      const at = heard.lastIndexOf("connected");
      resynced = heard.indexOf("resync /hosts", at) > at;
      assert.ok(resynced || at === 0, heard.join(", "));
      const connections = heard.filter((h) => ["connected", "disconnected", "lost"].includes(h));
      connections.forEach((h, i) => assert.notEqual(h, connections[i + 1], "nothing is told twice"));
    }
  });
});

describe("a watch of a guarded store", () => {
  it("hears of a gap at whatever moment of its making the gap falls, or is not made", async (t) => {
    for (let turns = 0; turns < 20; turns++) {
      const { guard, session, time } = await rigFor(t);
      let resyncs = 0;
      const made = guard.watch("/hosts", { events: () => {}, resync: () => void resyncs++ }).then(
        () => true,
        () => false,
      );
      for (let i = 0; i < turns; i++) await Promise.resolve();
      session.disconnect();
      session.reconnect();
      await time.settle();
      assert.equal(guard.problem(), null);
      assert.equal(resyncs, (await made) ? 1 : 0, `${turns} turns`);
    }
  });
});
