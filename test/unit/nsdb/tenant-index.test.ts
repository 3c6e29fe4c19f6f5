import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SeededRandom, type TenantId } from "#core/base";
import { checkStore, exportStore, initialize, parseStoreDocument, treeOf, inspectTree } from "#core/nsdb";
import { bridge, ids, NO_ID, rigFor, type Rig, router, TENANT, TENANT_2, trace } from "./rig.ts";

const listed = async (rig: Rig, tenantId: string): Promise<string[]> => ids(await rig.nsdb.traces.list({ tenantId }));

describe("the index of trace requests by tenant", () => {
  it("has the requests on a tenant's bridges, routers and ports, until they are deleted", async (t) => {
    const rig = await rigFor(t);
    const { nsdb, once, sound } = rig;
    const [b, r] = [await bridge(nsdb), await router(nsdb, { tenantId: TENANT_2 })];
    const p = await nsdb.ports.createOnBridge(b.id, {});
    const onBridge = await once(() => trace(nsdb, "BRIDGE", b));
    const onPort = await once(() => trace(nsdb, "PORT", p, { enabled: true }));
    const onRouter = await trace(nsdb, "ROUTER", r);
    assert.deepEqual(await listed(rig, TENANT), ids([onBridge, onPort]));
    assert.deepEqual(await listed(rig, TENANT_2), [onRouter.id]);
    assert.deepEqual(await listed(rig, "nobody"), []);
    assert.deepEqual(ids(await nsdb.traces.list({ tenantId: TENANT, deviceId: p.id })), [onPort.id]);
    assert.deepEqual(await nsdb.traces.list({ tenantId: TENANT_2, deviceId: p.id }), []);
    assert.deepEqual(ids(await nsdb.traces.list({ tenantId: TENANT, enabled: true })), [onPort.id]);
    await once(() => nsdb.traces.update(onRouter.id, { deviceType: "BRIDGE", deviceId: b.id }));
    assert.deepEqual(await listed(rig, TENANT_2), []);
    await once(() => nsdb.ports.delete(p.id));
    assert.deepEqual(await listed(rig, TENANT), ids([onBridge, onRouter]));
    await once(() => nsdb.bridges.delete(b.id));
    assert.deepEqual(await listed(rig, TENANT), []);
    await sound();
  });

  it("follows a device that changes hands, with its ports, in one transaction", async (t) => {
    const rig = await rigFor(t);
    const { nsdb, once, sound } = rig;
    const r = await router(nsdb);
    const p = await nsdb.ports.createOnRouter(r.id, {});
    const both = ids([await trace(nsdb, "ROUTER", r), await trace(nsdb, "PORT", p)]);
    await once(() => nsdb.routers.update(r.id, { tenantId: TENANT_2 }));
    assert.deepEqual([await listed(rig, TENANT), await listed(rig, TENANT_2)], [[], both]);
    await sound();
  });

  for (const name of ["", ".", "..", "%", "a/b", "Größe 7", "x".repeat(255)])
    it(`takes any name of a tenant: ${JSON.stringify(name.slice(0, 10))}`, async (t) => {
      const rig = await rigFor(t);
      const made = await trace(rig.nsdb, "BRIDGE", await bridge(rig.nsdb, { tenantId: name as TenantId }));
      assert.deepEqual(await listed(rig, name), [made.id]);
      await rig.sound();
    });

  it("misses no request that another server makes while the device changes hands", async (t) => {
    const rig = await rigFor(t);
    const { nsdb, other, store } = rig;
    const b = await bridge(nsdb);
    const p = await nsdb.ports.createOnBridge(b.id, {});
    let made = "";
    store.before = async () => {
      store.before = () => {};
      const q = await other.ports.createOnBridge(b.id, {});
      await trace(other, "PORT", p);
      made = (await trace(other, "PORT", q)).id;
    };
    await nsdb.bridges.update(b.id, { tenantId: TENANT_2 });
    assert.notEqual(made, "");
    assert.equal((await listed(rig, TENANT_2)).length, 2);
    await rig.sound();
  });

  it("reads a tenant's own requests, however many there are of others", async (t) => {
    const { nsdb, store } = await rigFor(t);
    const [mine, theirs] = [await bridge(nsdb), await bridge(nsdb, { tenantId: TENANT_2 })];
    const own = await trace(nsdb, "BRIDGE", mine);
    for (let i = 0; i < 30; i++) await trace(nsdb, "BRIDGE", theirs);
    const read: string[] = [];
    const { getMany } = store;
    store.getMany = (paths) => {
      read.push(...paths);
      return getMany(paths);
    };
    await nsdb.traces.list({ tenantId: TENANT });
    assert.deepEqual(read, [`/traces/${own.id}`]);
    read.length = 0;
    const page = await nsdb.traces.page({}, { limit: 5 });
    assert.deepEqual([page.traces.length, page.more, read.length], [5, true, 6]);
  });

  it("comes in pages in the order of the ids", async (t) => {
    const { nsdb } = await rigFor(t);
    const b = await bridge(nsdb);
    for (let i = 0; i < 7; i++) await trace(nsdb, "BRIDGE", b, { enabled: i % 2 === 0 });
    const all = ids(await nsdb.traces.list());
    const seen: string[] = [];
    let marker: string | undefined;
    for (let pages = 1; ; pages++) {
      const { traces, more } = await nsdb.traces.page({ tenantId: TENANT }, { limit: 3, marker });
      seen.push(...traces.map((r) => r.id));
      marker = traces.at(-1)?.id;
      if (more) continue;
      assert.equal(pages, 3);
      break;
    }
    assert.deepEqual(seen, all);
    const enabled = await nsdb.traces.page({ enabled: true }, { limit: 4 });
    assert.deepEqual([enabled.traces.length, enabled.more], [4, false]);
    assert.deepEqual((await nsdb.traces.page({ deviceId: NO_ID }, { limit: 4 })).traces, []);
  });

  it("is made for a store, and for a document, of an earlier version", async (t) => {
    const rig = await rigFor(t);
    const made = await trace(rig.nsdb, "BRIDGE", await bridge(rig.nsdb));
    const document = await exportStore(rig.store, 1);
    const old = Object.fromEntries(Object.entries(document.nodes).filter(([path]) => !path.startsWith("/tenants")));
    const parsed = parseStoreDocument({ ...document, nodes: old });
    assert.deepEqual(parsed.nodes, document.nodes);
    assert.deepEqual((await inspectTree(treeOf(parsed))).findings, []);
    const index = [
      `/tenants/${TENANT}/traces/${made.id}`,
      `/tenants/${TENANT}/traces`,
      `/tenants/${TENANT}`,
      "/tenants",
    ];
    await rig.store.commit(index.map((path) => ({ op: "delete", path })));
    assert.notDeepEqual(await checkStore(rig.store), []);
    await initialize(rig.store, new SeededRandom(1));
    assert.deepEqual(await listed(rig, TENANT), [made.id]);
    await rig.sound();
  });
});
