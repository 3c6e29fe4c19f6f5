import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MidotraceError, SeededRandom } from "#core/base";
import {
  applyDocument,
  BRIDGE,
  checkStore,
  Collectors,
  decode,
  encode,
  initialize,
  PATHS,
  patternOf,
  readRuleList,
  RULE,
  TRACE,
  transact,
  Tx,
} from "#core/nsdb";
import { LIMIT_MAX } from "#core/topology";
import { EXAMPLE } from "./documents.ts";
import { bridge, NO_ID, refused, rigFor, router, trace } from "./rig.ts";

describe("transactions", () => {
  it("that meet at one node take turns: all come through, and few attempts are in vain", async (t) => {
    const { store } = await rigFor(t);
    await store.commit([
      { op: "create", path: "/n", data: "0" },
      { op: "create", path: "/m", data: "0" },
    ]);
    const MANY = 100;
    let attempts = 0;
    const count =
      (path: string) =>
      async (tx: Tx): Promise<void> => {
        attempts++;
        tx.set(path, `${Number(await tx.get(path)) + 1}`);
      };
    // Half of them change both nodes, in either order: nobody waits for whoever waits for them.
    const work = Array.from({ length: MANY }, (_, i) =>
      transact(store, async (tx) => {
        await count(i % 4 === 0 ? "/m" : "/n")(tx);
        if (i % 2 === 0) await count(i % 4 === 0 ? "/n" : "/m")(tx);
      }),
    );
    await Promise.all(work);
    const [n, m] = await store.getMany(["/n", "/m"]);
    assert.deepEqual([n?.data, m?.data], [`${MANY}`, `${MANY / 2}`]);
    assert.ok(attempts < MANY * 6, `${attempts} attempts`);
  });
  it("of which one fails in its turn leave the turn to the next", async (t) => {
    const { store } = await rigFor(t);
    await store.commit([{ op: "create", path: "/n", data: "0" }]);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) =>
        transact(store, async (tx) => {
          const value = Number(await tx.get("/n"));
          if (i % 3 === 0 && value > 0) throw new MidotraceError("VALIDATION", "no");
          tx.set("/n", `${value + 1}`);
        }),
      ),
    );
    const done = outcomes.filter((o) => o.status === "fulfilled").length;
    assert.equal((await store.get("/n"))?.data, `${done}`);
    assert.ok(done >= 13 && done < 20, `${done}`);
  });
  it("see their own writes", async (t) => {
    const { store, otherStore } = await rigFor(t);
    await store.commit([
      { op: "create", path: "/x", data: "0" },
      { op: "create", path: "/x/old", data: "" },
    ]);
    const tx = new Tx(store);
    tx.create("/x/new", "1");
    assert.deepEqual(await tx.children("/x"), ["new", "old"]);
    await tx.delete("/x/old");
    assert.deepEqual(await tx.children("/x"), ["new"]);
    assert.equal(await tx.get("/x/old"), null);
    tx.set("/x/new", "2");
    assert.equal(await tx.get("/x/new"), "2");
    await tx.delete("/x/new");
    assert.equal(await tx.delete("/x/new"), false);
    await tx.get("/x");
    assert.throws(() => tx.create("/x", ""), /exists/);
    assert.throws(() => tx.set("/nope", ""), /not read/);
    await tx.commit();
    assert.deepEqual(await otherStore.children("/x"), []);
  });

  it("check what was read and not written; nothing is sent when nothing changed", async (t) => {
    const { store, otherStore } = await rigFor(t);
    await store.commit([
      { op: "create", path: "/x", data: "a" },
      { op: "create", path: "/y", data: "b" },
    ]);
    const tx = new Tx(store);
    await tx.getMany(["/x", "/y"]);
    tx.set("/x", "a");
    assert.deepEqual(tx.ops(), []);
    assert.equal(tx.dirty, false);
    tx.set("/x", "c");
    assert.deepEqual(
      tx.ops().map((o) => `${o.op} ${o.path}`),
      ["check /y", "set /x"],
    );
    await otherStore.commit([{ op: "set", path: "/y", data: "" }]);
    await assert.rejects(tx.commit(), /BAD_VERSION/);
    assert.equal(await tx.stillValid(), false);
  });

  it("run again when others were faster, and not on what they concluded from the past", async (t) => {
    const { store, otherStore } = await rigFor(t);
    await store.commit([{ op: "create", path: "/n", data: "0" }]);
    let runs = 0;
    const value = await transact(store, async (tx) => {
      const n = Number(await tx.get("/n"));
      if (++runs < 4) await otherStore.commit([{ op: "set", path: "/n", data: String(n + 10) }]);
      if (runs === 2) throw new MidotraceError("NOT_FOUND", "concluded from the past");
      tx.set("/n", String(n + 1));
      return n + 1;
    });
    assert.deepEqual([value, runs, (await store.get("/n"))?.data], [31, 4, "31"]);
  });

  it("a directory that gains a child meanwhile is not deleted behind its back", async (t) => {
    const { store, otherStore } = await rigFor(t);
    await store.commit([
      { op: "create", path: "/d", data: "" },
      { op: "create", path: "/d/a", data: "" },
    ]);
    let runs = 0;
    await transact(store, async (tx) => {
      await tx.deleteTree("/d");
      if (++runs === 1) await otherStore.commit([{ op: "create", path: "/d/b", data: "" }]);
    });
    assert.deepEqual([runs, await store.get("/d")], [2, null]);
  });

  it("a deleted path can be made again", async (t) => {
    const { store } = await rigFor(t);
    await store.commit([{ op: "create", path: "/x", data: "a" }]);
    await transact(store, async (tx) => {
      await tx.delete("/x");
      tx.create("/x", "b");
    });
    assert.equal((await store.get("/x"))?.data, "b");
  });
});

describe("nodes", () => {
  it("initialize is idempotent, also when two servers do it", async (t) => {
    const { store, otherStore, silent } = await rigFor(t);
    const random = new SeededRandom(5);
    await silent(() => initialize(store, random));
    await Promise.all([initialize(store, random), initialize(otherStore, random)]);
  });

  it("every node of a full topology follows a row of PATHS, or is a directory above one", async (t) => {
    const { nsdb, store } = await rigFor(t);
    await applyDocument(nsdb, EXAMPLE);
    const b = await bridge(nsdb);
    const r = await router(nsdb);
    await trace(nsdb, "BRIDGE", b, { enabled: true });
    await trace(nsdb, "ROUTER", r);
    const p = (await nsdb.ports.list()).find((x) => x.hostId !== null);
    assert.ok(p?.hostId);
    await trace(nsdb, "PORT", p);
    await nsdb.state.setAlive(p.hostId);
    await nsdb.state.setPortActive(p.id, p.hostId);
    await nsdb.state.putMac(b.id, { mac: "02:00:00:00:00:01", portId: p.id, vlan: 0 });
    await nsdb.state.putMac(b.id, { mac: "02:00:00:00:00:01", portId: p.id, vlan: 9 });
    const q = await nsdb.ports.createOnBridge(b.id, {});
    await nsdb.bridgeTables.setMac(b.id, { mac: "02:00:00:00:00:01", portId: q.id, vlan: 0 });
    await nsdb.bridgeTables.setArpSeed(b.id, { ip: "10.0.0.1", mac: "02:00:00:00:00:01" });
    await nsdb.systemState.update({ state: "UPGRADE" });
    await nsdb.state.putArp(r.id, { ip: "10.0.0.1", mac: null, lastArpMs: 0, staleMs: 0, expiryMs: 0 });
    const common = { mac: null, mtu: 1, status: 0, type: "Virtual", endpoint: "VM", portType: null, addresses: [] };
    await nsdb.state.putInterface(p.hostId, { name: "e", ...common });
    await new Collectors(store).register({ id: NO_ID, url: "http://192.0.2.1:8181" });
    await store.commit([
      { op: "create", path: "/import", data: "" },
      { op: "create", path: "/import/running", data: "", ephemeral: true },
    ]);
    const seen = new Map<string, boolean>();
    const walk = async (path: string): Promise<void> => {
      const names = await store.children(path);
      const node = await store.get(path);
      const pattern = patternOf(path);
      if (pattern !== null) seen.set(pattern, node?.ephemeral ?? false);
      else assert.equal(node?.data, "", `${path} has data and no row in PATHS`);
      for (const name of names) await walk(path === "/" ? `/${name}` : `${path}/${name}`);
    };
    await walk("/");
    assert.deepEqual(
      [...seen].map(([pattern, e]) => `${pattern} ${e ? "E" : "P"}`).sort(),
      PATHS.map((row) => `${row.pattern} ${row.type}`).sort(),
    );
    await store.commit([
      { op: "delete", path: "/import/running" },
      { op: "delete", path: "/import" },
    ]);
    assert.deepEqual(await checkStore(store), []);
  });

  it("64-bit limits are exact, unknown properties ignored", () => {
    const record = {
      id: NO_ID as never,
      name: "n",
      deviceType: "PORT",
      deviceId: NO_ID,
      condition: { nwProto: 6, tpDst: { start: 80, end: null } },
      creationTimestampMs: 5,
      limit: LIMIT_MAX,
      enabledRule: null,
      enabledChain: null,
    } as const;
    const data = encode(TRACE.read, record, "/traces/x");
    assert.match(data, /"limit":"9223372036854775807"/);
    assert.match(data, /^\{"data":\{.*\},"version":"1"\}$/);
    assert.deepEqual(decode(TRACE.read, data, "/traces/x"), record);
    const newer = data
      .replace('{"data":{', '{"more":[],"data":{"colour":"blue",')
      .replace('"9223372036854775807"', "12");
    assert.deepEqual(decode(TRACE.read, newer, "/traces/x"), { ...record, limit: 12n });
  });

  it("malformed data names the element of a list", () => {
    const data = JSON.stringify({ data: { ruleList: ["a", "b", 3] }, version: "1" });
    assert.throws(() => decode(readRuleList, data, "/p"), /malformed data at \/p: ruleList\[2\]: text expected/);
  });

  for (const [what, data] of [
    ["no JSON", "{"],
    ["no envelope", "[]"],
    ["no data", "{}"],
    ["a missing field", '{"data":{"id":"x"}}'],
    ["a field of another type", '{"data":{"id":"x","tenantId":"","name":5,"adminStateUp":true}}'],
    ["null", "null"],
  ] as const)
    it(`malformed data names the path: ${what}`, async (t) => {
      const { nsdb, store } = await rigFor(t);
      await store.commit([{ op: "create", path: `/bridges/${NO_ID}`, data }]);
      await refused(nsdb.bridges.get(NO_ID), "INTERNAL", new RegExp(`/bridges/${NO_ID}`));
      await refused(nsdb.readTopology(), "INTERNAL", /malformed data at/);
      assert.throws(() => decode(BRIDGE.read, data, "/p"), /malformed data at \/p/);
      assert.throws(() => decode(RULE.read, data, "/p"), /malformed data at \/p/);
    });

  it("checkStore finds what is wrong", async (t) => {
    const { nsdb, store } = await rigFor(t);
    const b = await bridge(nsdb);
    const made = await trace(nsdb, "BRIDGE", b, { enabled: true });
    const node = await store.get(`/bridges/${b.id}`);
    const data = (node?.data ?? "").replace(`"${made.enabledChain}"`, "null");
    await store.commit([{ op: "set", path: `/bridges/${b.id}`, data }]);
    const findings = await checkStore(store);
    assert.ok(
      findings.some((f) => f.includes("is not the infilter")),
      findings.join("\n"),
    );
    assert.ok(findings.some((f) => f.includes("nobody's infilter")));
    assert.ok(findings.some((f) => f.includes("/refs has")));
  });
});
