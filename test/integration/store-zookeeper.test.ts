import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openEmbeddedStore } from "#adapters/nsdb-embedded";
import { systemClock, systemScheduler } from "#adapters/platform";
import { startZookeeper, type ZookeeperEnsemble, zookeeperMissing } from "#adapters/testbed";
import { type HostId, SeededRandom } from "#core/base";
import {
  applyDocument,
  checkStore,
  exportStore,
  guardIdentity,
  importStore,
  Nsdb,
  type NsdbStore,
  readTopology,
  type StoreDocument,
} from "#core/nsdb";
import { eventually } from "../support/nsdb-eventually.ts";
import { store, unlessThere } from "../support/zookeeper-kit.ts";
import { midotrace } from "../unit/cli/support.ts";
import { EXAMPLE } from "../unit/nsdb/documents.ts";

const PATIENCE_MS = 40_000;

async function example(on: NsdbStore): Promise<Nsdb> {
  const nsdb = new Nsdb(on, new SeededRandom(1), systemClock);
  await nsdb.initialize();
  await applyDocument(nsdb, EXAMPLE);
  const [b] = await nsdb.bridges.list();
  assert.ok(b);
  await nsdb.traces.create({ name: "t", deviceType: "BRIDGE", deviceId: b.id, condition: {}, enabled: true });
  return nsdb;
}

/** Bridges enough for several transactions. */
function enlarged(document: StoreDocument, bridges: number): StoreDocument {
  const nodes: Record<string, string> = { ...document.nodes };
  for (let i = 0; i < bridges; i++) {
    const id = `${String(i).padStart(8, "0")}-0000-4000-8000-000000000000`;
    const name = "x".repeat(250);
    const record = { id, tenantId: "", name, adminStateUp: true, inboundFilterId: null, outboundFilterId: null };
    nodes[`/bridges/${id}`] = JSON.stringify({ data: record, version: "1" });
    for (const child of ["ports", "traces", "mac_ports", "vlans"]) nodes[`/bridges/${id}/${child}`] = "";
  }
  return { ...document, nodes };
}

describe("a store in ZooKeeper", { skip: unlessThere(zookeeperMissing()) }, () => {
  let ensemble: ZookeeperEnsemble;
  let folder = "";
  before(async () => {
    ensemble = await startZookeeper({ servers: 1 });
    folder = mkdtempSync(join(tmpdir(), "midotrace-store-zk-"));
  });
  after(async () => {
    await ensemble?.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const url = (root: string): string => `zookeeper://${ensemble.connectString}${root}`;

  it("moves from a file into ZooKeeper and back by the command line, the same topology and traces", async () => {
    const file = openEmbeddedStore(`file:${join(folder, "a")}`);
    await file.start();
    await example(file);
    const topology = await readTopology(file);
    await file.stop();
    const run = async (...argv: string[]): Promise<string> => {
      const ran = await midotrace(["store", ...argv]);
      assert.equal(ran.code, 0, `${argv.join(" ")}: ${ran.err}${ran.out}`);
      return ran.out;
    };
    const [there, back] = [join(folder, "there.json"), join(folder, "back.json")];
    await run("export", "--store", `file:${join(folder, "a")}`, "-o", there);
    await run("import", "--store", url("/moved"), "-i", there);
    assert.match(await run("check", "--store", url("/moved")), /^no problem in \d+ nodes: 2 bridges/);
    await run("export", "--store", url("/moved"), "-o", back);
    await run("import", "--store", `file:${join(folder, "b")}`, "-i", back);
    const again = openEmbeddedStore(`file:${join(folder, "b")}`);
    await again.start();
    assert.deepEqual(await readTopology(again), topology);
    await again.stop();
  });

  it("a large import takes several transactions; a guarded user sees all of it or nothing", async () => {
    const [importer, other] = [store(url("/large")), store(url("/large"))];
    const guard = guardIdentity(other, { scheduler: systemScheduler });
    await importer.start();
    await guard.start();
    const seen = new Set<number>();
    const enough = new AbortController();
    const looks = (async () => {
      while (!enough.signal.aborted) {
        const names = await guard.children("/bridges").catch(() => null);
        if (names !== null) seen.add(names.length);
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const source = openEmbeddedStore("memory:");
    await source.start();
    await new Nsdb(source, new SeededRandom(1), systemClock).initialize();
    const document = enlarged(await exportStore(source, 0), 2_000);
    const report = await importStore(importer, document, { documentId: "d", nowMs: 0, force: false });
    assert.ok(report.transactions > 4);
    await eventually(async () => assert.ok(seen.has(2_000)), PATIENCE_MS);
    enough.abort();
    await looks;
    assert.deepEqual(
      [...seen].sort((a, b) => a - b),
      [0, 2_000],
    );
    assert.deepEqual(await checkStore(importer), []);
    assert.deepEqual((await exportStore(importer, 0)).nodes, document.nodes);
    await source.stop();
    await guard.stop();
    await importer.stop();
  });

  it("when the ensemble is wiped a guarded user keeps away, until the data is back", async () => {
    const own = await startZookeeper({ servers: 1 });
    try {
      const there = `zookeeper://${own.connectString}/midonet/v1`;
      const options = { sessionTimeoutMs: 2_000 };
      const guard = guardIdentity(store(there, options), { scheduler: systemScheduler });
      const heard: string[] = [];
      guard.onSession((state) => heard.push(state));
      await guard.start();
      const nsdb = await example(guard);
      const [host] = await nsdb.hosts.list();
      const id = host?.id as HostId;
      guard.onSession((state) => {
        if (state === "connected") void nsdb.state.setAlive(id);
      });
      await nsdb.state.setAlive(id);
      let resyncs = 0;
      let told = 0;
      await guard.watch("/bridges", { events: (e) => (told += e.length), resync: () => resyncs++ });
      const backup = await exportStore(guard, 0);
      const [server] = own.servers;
      assert.ok(server);
      await server.kill();
      await server.wipe();
      await server.start();
      await eventually(() => assert.match(guard.problem() ?? "", /no identity, not/), PATIENCE_MS);
      assert.equal(heard.at(-1), "lost");
      await assert.rejects(guard.children("/bridges"), { name: "NsdbUnavailable" });
      const repair = store(there);
      await repair.start();
      await importStore(repair, backup, { documentId: "d", nowMs: 0, force: false });
      await eventually(() => assert.equal(guard.problem(), null), PATIENCE_MS);
      assert.deepEqual([heard.at(-1), resyncs, told], ["connected", 1, 0]);
      assert.equal((await guard.children("/bridges")).length, 2);
      await eventually(async () => assert.ok(await nsdb.state.isAlive(id)), PATIENCE_MS);
      assert.deepEqual(await checkStore(repair), []);
      await repair.stop();
      await guard.stop();
    } finally {
      await own.stop();
    }
  });
});
