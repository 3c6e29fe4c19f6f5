import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { NsdbNode, NsdbOp, NsdbStore, NsdbTxFailure } from "#core/nsdb";
import { NsdbTxError } from "#core/nsdb";
import { check, create, del, dump, type NsdbFactory, refused, set } from "../support/nsdb-contract-kit.ts";
import { eventually } from "../support/nsdb-eventually.ts";

const MIB = 1024 * 1024;

export function nsdbDataContract(factory: NsdbFactory): void {
  const withPair = (body: (a: NsdbStore, b: NsdbStore) => Promise<void>) => async () => {
    const pair = await factory();
    try {
      await body(pair.a, pair.b);
    } finally {
      await pair.close();
    }
  };
  const existing = async (store: NsdbStore, path: string): Promise<NsdbNode> => {
    const node = await store.get(path);
    assert.ok(node, `${path} does not exist`);
    return node;
  };

  describe("nodes", () => {
    it(
      "the root always exists and cannot go",
      withPair(async (a) => {
        assert.equal((await existing(a, "/")).path, "/");
        assert.deepEqual(await a.children("/"), []);
        await refused(a.commit([create("/")]), "NODE_EXISTS", 0, "/");
        await refused(a.commit([del("/")]), "BAD_PATH", 0, "/");
        await a.commit([set("/", "root data")]);
        assert.equal((await existing(a, "/")).data, "root data");
      }),
    );
    it(
      "create, get, set, delete; the other session sees each",
      withPair(async (a, b) => {
        assert.equal(await a.get("/n"), null);
        await a.commit([create("/n", "one")]);
        const { createdZxid, ...made } = await existing(a, "/n");
        assert.deepEqual(made, { path: "/n", data: "one", version: 0, ephemeral: false });
        await eventually(async () => assert.equal((await b.get("/n"))?.data, "one"));
        await b.commit([set("/n", "two")]);
        await eventually(async () => assert.equal((await a.get("/n"))?.data, "two"));
        assert.deepEqual(await a.get("/n"), { ...made, createdZxid, data: "two", version: 1 });
        await a.commit([del("/n")]);
        assert.equal(await a.get("/n"), null);
        await eventually(async () => assert.equal(await b.get("/n"), null));
      }),
    );
    it(
      "versions count the sets, with or without an expected one, also of equal data",
      withPair(async (a) => {
        await a.commit([create("/n", "x")]);
        await a.commit([set("/n", "x", 0)]);
        await a.commit([set("/n", "x"), set("/n", "y", 2), check("/n", 3)]);
        assert.equal((await existing(a, "/n")).version, 3);
        await a.commit([del("/n", 3)]);
        assert.equal(await a.get("/n"), null);
      }),
    );
    it(
      "createdZxid tells the commit: one for all of a transaction, later ones greater, kept by set",
      withPair(async (a, b) => {
        await a.commit([create("/p"), create("/p/x")]);
        await b.commit([create("/q")]);
        await a.commit([set("/p", "changed")]);
        const [p, x, q] = [await existing(a, "/p"), await existing(a, "/p/x"), await existing(b, "/q")];
        assert.equal(p.createdZxid, x.createdZxid);
        assert.ok(q.createdZxid > p.createdZxid);
      }),
    );
    it(
      "a node deleted and made again is another one, within one transaction too",
      withPair(async (a) => {
        await a.commit([create("/n", "1"), set("/n", "2")]);
        const first = await existing(a, "/n");
        await a.commit([del("/n")]);
        await a.commit([create("/n", "3")]);
        const second = await existing(a, "/n");
        assert.deepEqual([second.version, second.data], [0, "3"]);
        assert.ok(second.createdZxid > first.createdZxid);
        await a.commit([set("/n", "4"), del("/n", 1), create("/n", "5")]);
        const third = await existing(a, "/n");
        assert.deepEqual([third.version, third.data], [0, "5"]);
        assert.ok(third.createdZxid > second.createdZxid);
      }),
    );
    it(
      "getMany keeps the order asked for, with null where there is none",
      withPair(async (a) => {
        await a.commit([create("/x", "1"), create("/y", "2")]);
        const found = await a.getMany(["/y", "/none", "/x", "/y"]);
        assert.deepEqual(
          found.map((node) => node?.data ?? null),
          ["2", null, "1", "2"],
        );
        assert.deepEqual(await a.getMany([]), []);
      }),
    );
    it(
      "children are names, sorted, of that node only",
      withPair(async (a) => {
        assert.deepEqual(await a.children("/none"), []);
        await a.commit(["/p", "/p/b", "/p/a10", "/p/a9", "/p/B", "/p/a", "/p/a/deep", "/pp"].map((p) => create(p)));
        assert.deepEqual(await a.children("/p"), ["B", "a", "a10", "a9", "b"]);
        assert.deepEqual(await a.children("/p/a/deep"), []);
        await a.commit([del("/p/b"), del("/p/a/deep")]);
        assert.deepEqual(await a.children("/p"), ["B", "a", "a10", "a9"]);
        assert.deepEqual(await a.children("/p/a"), []);
        assert.deepEqual(await a.children("/"), ["p", "pp"]);
      }),
    );
    it(
      "texts come back as they were: empty, with NUL, beyond the basic plane, as names",
      withPair(async (a, b) => {
        const texts = ["", "\u0000a\u0000", 'line\nbreak "\\', "żółć 日本語 \u{1f980}\u{10ffff}"];
        await a.commit(texts.map((text, i) => create(`/t${i}`, text)));
        await a.commit([create("/naïve 日本")]);
        for (const [i, text] of texts.entries()) {
          await eventually(async () => assert.equal((await b.get(`/t${i}`))?.data, text));
        }
        assert.ok((await a.children("/")).includes("naïve 日本"));
      }),
    );
  });

  describe("refusals", () => {
    const table: readonly [string, NsdbTxFailure, number, string, readonly NsdbOp[]][] = [
      ["create over a node", "NODE_EXISTS", 1, "/p", [set("/e", "x"), create("/p")]],
      ["create twice in one transaction", "NODE_EXISTS", 1, "/new", [create("/new"), create("/new")]],
      ["create below nothing", "NO_PARENT", 1, "/none/x", [create("/new"), create("/none/x")]],
      ["create below a node deleted before", "NO_PARENT", 1, "/e/x", [del("/e"), create("/e/x")]],
      ["set nothing", "NO_NODE", 1, "/none", [set("/e", "x"), set("/none", "x")]],
      ["delete nothing", "NO_NODE", 1, "/none", [create("/new"), del("/none")]],
      ["check nothing", "NO_NODE", 1, "/none", [create("/new"), check("/none", 0)]],
      ["set an older version", "BAD_VERSION", 0, "/p", [set("/p", "x", 0), create("/new")]],
      ["set a newer version", "BAD_VERSION", 1, "/p", [set("/e", "x"), set("/p", "x", 2)]],
      ["delete another version", "BAD_VERSION", 1, "/e", [set("/e", "x"), del("/e", 0)]],
      ["check another version", "BAD_VERSION", 2, "/p", [create("/new"), del("/e"), check("/p", 0)]],
      ["check what was true before the transaction", "BAD_VERSION", 1, "/p", [set("/p", "x"), check("/p", 1)]],
      ["delete a parent", "NOT_EMPTY", 1, "/p", [set("/e", "x"), del("/p")]],
      ["delete a parent made just now", "NOT_EMPTY", 2, "/new", [create("/new"), create("/new/x"), del("/new")]],
      ["a wrong version of a parent", "BAD_VERSION", 0, "/p", [del("/p", 7)]],
      ["the first of several", "NO_NODE", 1, "/none", [create("/new"), del("/none"), create("/p"), del("/p")]],
      ["a path's grammar comes before all else", "BAD_PATH", 1, "/a/", [del("/none"), create("/a/")]],
      ["a node's size", "TOO_LARGE", 1, "/new", [set("/e", "x"), create("/new", "x".repeat(MIB + 1))]],
      ["size is counted in bytes", "TOO_LARGE", 0, "/new", [create("/new", "é".repeat(MIB / 2 + 1))]],
      [
        "a transaction's size",
        "TOO_LARGE",
        1,
        "/p",
        [set("/e", "x".repeat(MIB / 2)), set("/p", "y".repeat(MIB / 2 + 1))],
      ],
    ];
    for (const [name, failure, index, path, ops] of table) {
      it(
        `${failure}: ${name}`,
        withPair(async (a, b) => {
          await a.commit([create("/p", "parent"), create("/p/c", "child"), create("/e", "leaf"), set("/p", "parent")]);
          const before = await dump(a);
          await refused(a.commit(ops), failure, index, path);
          assert.deepEqual(await dump(a), before);
          await a.commit([create("/after")]);
          await eventually(async () => assert.deepEqual(await dump(b), { ...before, "/after": "0 " }));
        }),
      );
    }
    it(
      "BAD_PATH: every breach of the grammar",
      withPair(async (a) => {
        const bad = ["", "x", "x/y", "//", "/x/", "/x//y", "/.", "/..", "/x/./y", "/x/../y", "/\u0000", "/a\u0007b"];
        for (const path of [...bad, "/a\u007fb", "/a\u{1f980}", "/\ud800", "/a\ue000", "/\uffff"]) {
          await refused(a.commit([create("/ok"), create(path)]), "BAD_PATH", 1, path);
          await refused(a.get(path), "BAD_PATH", 0, path);
          await refused(a.getMany(["/", path]), "BAD_PATH", 1, path);
          await refused(a.children(path), "BAD_PATH", 0, path);
          await refused(a.watch(path, { events: () => {}, resync: () => {} }), "BAD_PATH", 0, path);
        }
        await a.commit(["/...", "/.x", "/x.", "/a b", "/ü", "/x:y=z"].map((path) => create(path)));
        assert.equal((await a.children("/")).length, 6);
      }),
    );
  });

  describe("transactions", () => {
    it(
      "an empty one and one that only checks do nothing",
      withPair(async (a) => {
        const before = await dump(a);
        await a.commit([]);
        await a.commit([create("/n")]);
        await a.commit([check("/n", 0)]);
        assert.deepEqual(await dump(a), { ...before, "/n": "0 " });
      }),
    );
    it(
      "each operation sees those before it",
      withPair(async (a) => {
        await a.commit([create("/a"), create("/a/b", "1"), set("/a/b", "2", 0), check("/a/b", 1), create("/c")]);
        await a.commit([del("/a/b", 1), del("/a"), create("/a", "leaf"), del("/c")]);
        assert.deepEqual(await a.children("/"), ["a"]);
        assert.equal((await existing(a, "/a")).data, "leaf");
      }),
    );
    it(
      "1,000 operations are one transaction",
      withPair(async (a, b) => {
        const paths = Array.from({ length: 999 }, (_, i) => `/p/${i}`);
        await a.commit([create("/p"), ...paths.map((path) => create(path, `data of ${path}`))]);
        await eventually(async () => assert.equal((await b.children("/p")).length, 999));
        const zxids = new Set((await b.getMany(paths)).map((node) => node?.createdZxid));
        assert.equal(zxids.size, 1);
        await refused(b.commit([...paths.map((path) => del(path)), del("/none")]), "NO_NODE", 999, "/none");
        assert.equal((await b.children("/p")).length, 999);
      }),
    );
    it(
      "big data comes back whole",
      withPair(async (a, b) => {
        const big = "0123456789abcdef".repeat(60_000); // 960,000 bytes: with room for a protocol's own
        await a.commit([create("/big", big)]);
        await eventually(async () => assert.equal((await b.get("/big"))?.data === big, true));
      }),
    );
    it(
      "commits and reads of one session take effect in the order submitted, without waiting",
      withPair(async (a) => {
        const work: Promise<unknown>[] = [a.commit([create("/n", "0")])];
        for (let i = 0; i < 50; i++) work.push(a.commit([set("/n", String(i + 1), i)]));
        const read = a.get("/n");
        const stale = refused(a.commit([set("/n", "x", 7)]), "BAD_VERSION", 0, "/n");
        work.push(a.commit([del("/n", 50), create("/m")]), a.commit([create("/m/x")]));
        await Promise.all([...work, stale]);
        assert.equal((await read)?.data, "50");
        assert.deepEqual(await a.children("/"), ["m"]);
      }),
    );
    it(
      "200 increments by compare-and-set from two sessions are 200",
      withPair(async (a, b) => {
        await a.commit([create("/counter", "0")]);
        await eventually(async () => assert.ok(await b.get("/counter")));
        const increment = async (store: NsdbStore): Promise<void> => {
          for (;;) {
            const { data, version } = await existing(store, "/counter");
            try {
              await store.commit([set("/counter", String(Number(data) + 1), version)]);
              return;
            } catch (error) {
              if (!(error instanceof NsdbTxError) || error.failure !== "BAD_VERSION") throw error;
            }
          }
        };
        await Promise.all(Array.from({ length: 200 }, (_, i) => increment(i % 2 === 0 ? a : b)));
        await eventually(async () => assert.equal((await existing(a, "/counter")).data, "200"));
        assert.equal((await existing(a, "/counter")).version, 200);
      }),
    );
  });
}
