import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import { type BridgeId, SeededRandom } from "#core/base";
import {
  applyDocument,
  checkStore,
  exportStore,
  guardIdentity,
  importStore,
  type ImportOptions,
  inspectStore,
  inspectTree,
  Nsdb,
  type NsdbOp,
  type NsdbStore,
  parseStoreDocument,
  readTree,
  type StoreDocument,
  treeOf,
} from "#core/nsdb";
import { VirtualTime } from "../../support/virtual-time.ts";
import { EXAMPLE } from "./documents.ts";
import { bridge, host, type Rig, refused, rigFor, trace, WatchedStore } from "./rig.ts";

const OPTIONS: ImportOptions = { documentId: "d1", nowMs: 5, force: false };
const NOW_MS = 1_000;

/** A session on a new, empty tree that ends with the test; `more` opens further sessions. */
async function empty(t: TestContext): Promise<WatchedStore & { readonly more: () => Promise<WatchedStore> }> {
  const server = new EmbeddedNsdb("memory:");
  await server.start();
  t.after(() => server.stop());
  const open = async (): Promise<WatchedStore> => {
    const store = new WatchedStore(server.session());
    await store.start();
    return store;
  };
  return Object.assign(await open(), { more: open });
}

/** The example with traces, an agent that is alive, and something learned. */
async function full(t: TestContext): Promise<{ rig: Rig; document: StoreDocument }> {
  const rig = await rigFor(t);
  await applyDocument(rig.nsdb, EXAMPLE);
  const b = await bridge(rig.nsdb);
  await trace(rig.nsdb, "BRIDGE", b, { enabled: true });
  const h = await host(rig.nsdb);
  const port = await rig.nsdb.ports.createOnBridge(b.id, {});
  await rig.nsdb.ports.bind({ portId: port.id, hostId: h, interfaceName: "tap9" });
  await rig.nsdb.state.setAlive(h);
  await rig.nsdb.state.setPortActive(port.id, h);
  await rig.nsdb.state.putMac(b.id, { mac: "02:00:00:00:00:01", portId: port.id, vlan: 7 });
  const document = await exportStore(rig.store, NOW_MS);
  return { rig, document: parseStoreDocument(JSON.parse(JSON.stringify(document))) };
}

const contents = async (store: NsdbStore): Promise<Record<string, string>> =>
  Object.fromEntries(
    [...(await readTree(store)).tree.nodes()].filter((n) => !n.ephemeral).map((n) => [n.path, n.data]),
  );

describe("export", () => {
  it("holds every persistent node with its data, and says of which store", async (t) => {
    const { rig, document } = await full(t);
    assert.deepEqual(
      [document.format, document.version, document.exportedAtMs, document.consistent],
      ["midotrace-store", 1, NOW_MS, true],
    );
    assert.deepEqual(document.nodes, await contents(rig.store));
    assert.match(document.nodes["/store"] ?? "", new RegExp(document.storeId));
    assert.ok(!Object.keys(document.nodes).some((path) => /alive|active\/|mac_ports\//.test(path)));
    assert.deepEqual((await inspectTree(treeOf(document))).findings, []);
  });

  it("is of one moment: it is read again when something was changed meanwhile, or says that it may not be", async (t) => {
    const { rig } = await full(t);
    let changes = 0;
    let most = 2;
    const restless: NsdbStore = Object.assign(Object.create(rig.store) as NsdbStore, {
      children: async (path: string) => {
        if (path === "/bridges" && changes < most) await rig.other.bridges.create({ name: `b${changes++}` });
        return rig.store.children(path);
      },
    });
    const document = await exportStore(restless, NOW_MS);
    assert.ok(document.consistent);
    assert.deepEqual(document.nodes, await contents(rig.store));
    most = 1_000;
    assert.equal((await exportStore(restless, NOW_MS)).consistent, false);
    assert.equal((await inspectStore(restless)).stable, false);
  });

  it("refuses what is not whole", async (t) => {
    const store = await empty(t);
    await refused(exportStore(store, 0), "CONFLICT", /never initialized/);
    await store.commit([{ op: "create", path: "/import", data: "" }]);
    await refused(exportStore(store, 0), "CONFLICT", /import into the store is not finished/);
  });
});

describe("import", () => {
  it("makes an empty store the same one: content, identity, soundness", async (t) => {
    const { document } = await full(t);
    const store = await empty(t);
    const report = await importStore(store, document, OPTIONS);
    assert.deepEqual([report.deleted, report.resumed, report.storeIdBefore], [0, false, null]);
    assert.deepEqual(await contents(store), document.nodes);
    assert.deepEqual(await checkStore(store), []);
    const again = await exportStore(store, NOW_MS);
    assert.deepEqual(again, document);
  });

  it("goes on where the exported store stood: new keys and ids do not collide", async (t) => {
    const { rig, document } = await full(t);
    const store = await empty(t);
    await importStore(store, document, OPTIONS);
    const nsdb = new Nsdb(store, new SeededRandom(99), rig.time);
    const [b] = await nsdb.bridges.list();
    await nsdb.ports.createOnBridge(b?.id as BridgeId, {});
    for (const request of await nsdb.traces.list()) await nsdb.traces.delete(request.id);
    assert.deepEqual(await checkStore(store), []);
  });

  it("takes an initialized store without objects, with its identity replaced", async (t) => {
    const { document } = await full(t);
    const store = await empty(t);
    await new Nsdb(store, new SeededRandom(3), new VirtualTime()).initialize();
    const before = (await exportStore(store, 0)).storeId;
    const report = await importStore(store, document, OPTIONS);
    assert.equal(report.storeIdBefore, before);
    assert.deepEqual(await contents(store), document.nodes);
  });

  it("leaves a store that holds something alone, unless told to replace it: then all of it, ephemeral nodes too", async (t) => {
    const { rig, document } = await full(t);
    const other = await rigFor(t);
    await bridge(other.nsdb, { name: "mine" });
    const before = await contents(other.store);
    await refused(importStore(other.store, document, OPTIONS), "CONFLICT", /not empty.*nothing was changed/);
    assert.deepEqual(await contents(other.store), before);
    await importStore(other.store, document, { ...OPTIONS, force: true });
    assert.deepEqual(await contents(other.store), document.nodes);
    // Onto itself: an agent's nodes go, for it makes them again.
    await importStore(rig.store, document, { ...OPTIONS, force: true });
    assert.deepEqual(await contents(rig.store), document.nodes);
    assert.ok(![...(await readTree(rig.store)).tree.nodes()].some((n) => n.ephemeral));
    assert.deepEqual(await checkStore(rig.store), []);
  });

  it("does not delete what somebody made between the look and the beginning", async (t) => {
    const { document } = await full(t);
    const rig = await rigFor(t);
    rig.store.before = async () => {
      rig.store.before = () => {};
      await rig.other.bridges.create({ name: "late" });
    };
    await refused(importStore(rig.store, document, OPTIONS), "CONFLICT", /not empty/);
    assert.equal((await rig.nsdb.bridges.list()).length, 1);
    await rig.sound();
  });

  it("a large one takes several transactions, none over the limit, and nobody sees a part of it", async (t) => {
    const source = await rigFor(t);
    const nodes: Record<string, string> = { ...(await exportStore(source.store, 0)).nodes };
    const name = "x".repeat(250);
    for (let i = 0; i < 3_000; i++) {
      const id = `${String(i).padStart(8, "0")}-0000-4000-8000-000000000000`;
      const record = { id, tenantId: "", name, adminStateUp: true, inboundFilterId: null, outboundFilterId: null };
      nodes[`/bridges/${id}`] = JSON.stringify({ data: record, version: "1" });
      for (const child of ["ports", "traces", "mac_ports", "vlans"]) nodes[`/bridges/${id}/${child}`] = "";
    }
    const document = { ...(await exportStore(source.store, 0)), nodes };
    const store = await empty(t);
    const time = new VirtualTime();
    const guard = guardIdentity(await store.more(), { scheduler: time });
    await guard.start();
    const seen = new Set<number>();
    store.after = () => {
      void guard.children("/bridges").then(
        (names) => seen.add(names.length),
        () => {},
      );
    };
    const report = await importStore(store, document, OPTIONS);
    assert.ok(report.transactions > 6, `${report.transactions} transactions`);
    assert.equal(report.created, Object.keys(nodes).length - 1);
    await time.advance(2_000);
    assert.equal((await guard.children("/bridges")).length, 3_000);
    assert.deepEqual(
      [...seen].filter((n) => n !== 0 && n !== 3_000),
      [],
      "a part was seen",
    );
    assert.deepEqual(await checkStore(store), []);
  });

  it("begins by touching the identity, so that no commit of a guarded user slips in", async (t) => {
    const rig = await rigFor(t);
    const before = await rig.store.get("/store");
    rig.store.after = () => {
      throw new Error("crash");
    };
    const document = await exportStore(rig.store, NOW_MS);
    await assert.rejects(importStore(rig.store, document, OPTIONS), /crash/);
    const after = await rig.store.get("/store");
    assert.deepEqual([after?.data, after?.version], [before?.data, (before?.version ?? 0) + 1]);
    assert.notEqual(await rig.store.get("/import"), null);
  });

  it("others that write meanwhile do not win", async (t) => {
    const { document } = await full(t);
    const store = await empty(t);
    const intruder = await store.more();
    let left = 3;
    store.before = async (ops) => {
      if (left === 0 || !ops.some((o) => o.path === "/bridges")) return;
      left--;
      await intruder.commit([{ op: "create", path: "/bridges", data: "mine" }]).catch(() => {});
    };
    await importStore(store, document, OPTIONS);
    assert.ok(left < 3);
    assert.deepEqual(await contents(store), document.nodes);
  });
});

describe("an import that is interrupted", () => {
  for (const moment of ["before", "after"] as const)
    it(`${moment} any of its transactions: it shows, and the same document completes it`, async (t) => {
      const { document } = await full(t);
      for (let n = 1; ; n++) {
        const store = await empty(t);
        const dying = await store.more();
        let calls = 0;
        const crash = (): void => {
          if (++calls === n) throw new Error("crash");
        };
        if (moment === "before") dying.before = crash;
        else dying.after = crash;
        // Small transactions, so that there are many of them.
        const crashed = await importStore(small(dying), document, OPTIONS).then(
          () => false,
          () => true,
        );
        await dying.stop();
        if (!crashed) {
          assert.ok(n > 5, `${n} transactions`);
          break;
        }
        const begun = (await store.get("/import")) !== null;
        const done = !begun && (await store.get("/store")) !== null;
        if (begun) {
          const guard = guardIdentity(await store.more(), { scheduler: new VirtualTime() });
          await guard.start();
          assert.match(guard.problem() ?? "", /import into the store is not finished/);
          await guard.stop();
          assert.ok((await checkStore(store)).some((f) => f.includes("import the same document again")));
          await refused(importStore(store, document, { ...OPTIONS, documentId: "d2" }), "CONFLICT", /--force/);
        }
        if (!done) {
          const report = await importStore(store, document, OPTIONS);
          assert.equal(report.resumed, begun);
        }
        assert.deepEqual(await contents(store), document.nodes);
        assert.deepEqual(await checkStore(store), []);
      }
    });

  it("another document takes over only with force, and the first then finds out", async (t) => {
    const { document } = await full(t);
    const store = await empty(t);
    const dying = await store.more();
    let calls = 0;
    dying.before = () => {
      if (++calls === 2) throw new Error("crash");
    };
    await assert.rejects(importStore(dying, document, OPTIONS), /crash/);
    await refused(importStore(store, document, OPTIONS), "CONFLICT", /another import is running/);
    await dying.stop();
    await importStore(store, document, { ...OPTIONS, documentId: "d2", force: true });
    assert.deepEqual(await contents(store), document.nodes);
  });

  it("whose place another one took stops", async (t) => {
    const { document } = await full(t);
    const store = await empty(t);
    const thief = await store.more();
    let calls = 0;
    store.before = async () => {
      if (++calls === 2) await thief.commit([{ op: "set", path: "/import", data: "theirs" }]);
    };
    await refused(importStore(store, document, OPTIONS), "CONFLICT", /took over/);
  });
});

describe("documents", () => {
  it("that are none, or not whole, are refused with everything that is wrong", async (t) => {
    const { document } = await full(t);
    const change = (nodes: Record<string, unknown>): unknown => ({
      ...document,
      nodes: { ...document.nodes, ...nodes },
    });
    const wrong: readonly [unknown, RegExp][] = [
      [null, /format: midotrace-store expected/],
      [[], /format/],
      [{ ...document, format: "x" }, /format/],
      [{ ...document, version: 2 }, /version: 1 expected, not 2/],
      [{ ...document, nodes: [] }, /nodes: an object expected/],
      [{ ...document, storeId: "x" }, /storeId: \S+ expected/],
      [change({ "/store": "{" }), /nodes.\/store: malformed data/],
      [change({ "/store": '{"data":{"id":"x","version":2},"version":"1"}' }), /layout 2 is later/],
      [change({ "/bridges/x/ports/y": "" }), /its parent \/bridges\/x\/ports is missing/],
      [change({ "/bridges/x": 5 }), /nodes.\/bridges\/x: a text expected/],
      [change({ "/unknown": "" }), /no path of a node/],
      [change({ bridges: "" }), /no path of a node/],
      [change({ "/import": "" }), /no path of a node/],
      [change({ "/hosts/x/alive": "" }), /no path of a node/],
    ];
    for (const [value, message] of wrong)
      assert.throws(() => parseStoreDocument(value), { code: "VALIDATION", message }, String(message));
  });

  it("with problems of content are known before anything is written", async (t) => {
    const { document } = await full(t);
    const nodes = { ...document.nodes };
    for (const path of Object.keys(nodes)) if (path.startsWith("/tunnel_keys/")) delete nodes[path];
    const { findings } = await inspectTree(treeOf({ ...document, nodes }));
    assert.ok(
      findings.some((f) => f.includes("tunnel key")),
      findings.join("\n"),
    );
  });
});

/** A store that takes but little in one transaction, so that the importer's batches are cut into many commits of its own. */
function small(inner: WatchedStore): NsdbStore {
  return Object.assign(Object.create(inner) as NsdbStore, {
    commit: async (ops: readonly NsdbOp[]) => {
      const [fence, ...rest] = ops;
      if (ops.length < 30 || fence?.op !== "check") return inner.commit(ops);
      for (let i = 0; i < rest.length; i += 25) await inner.commit([fence, ...rest.slice(i, i + 25)]);
    },
  });
}
