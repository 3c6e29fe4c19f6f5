import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { openEmbeddedStore } from "#adapters/nsdb-embedded";
import { SeededRandom } from "#core/base";
import { applyDocument, Nsdb, type NsdbStore } from "#core/nsdb";
import { VirtualTime } from "../../support/virtual-time.ts";
import { EXAMPLE } from "../nsdb/documents.ts";
import { type Ran, midotrace } from "./support.ts";

interface Scene {
  /** In a folder of its own that goes with the test. */
  readonly path: (name: string) => string;
  readonly store: (name: string) => string;
  /** Opens the store for as long as `work` takes. */
  readonly using: <T>(name: string, work: (store: NsdbStore, nsdb: Nsdb) => Promise<T>) => Promise<T>;
}

function scene(t: TestContext): Scene {
  const folder = mkdtempSync(join(tmpdir(), "midotrace-store-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = (name: string): string => join(folder, name);
  const store = (name: string): string => `file:${path(name)}`;
  return {
    path,
    store,
    using: async (name, work) => {
      const opened = openEmbeddedStore(store(name));
      await opened.start();
      try {
        return await work(opened, new Nsdb(opened, new SeededRandom(1), new VirtualTime()));
      } finally {
        await opened.stop();
      }
    },
  };
}

async function example(s: Scene, name: string): Promise<void> {
  await s.using(name, async (_store, nsdb) => {
    await nsdb.initialize();
    await applyDocument(nsdb, EXAMPLE);
    const [b] = await nsdb.bridges.list();
    assert.ok(b);
    await nsdb.traces.create({ name: "t", deviceType: "BRIDGE", deviceId: b.id, condition: {}, enabled: true });
  });
}

const ended = (ran: Ran, code: number, says: RegExp): void => {
  assert.equal(ran.code, code, `${ran.out}${ran.err}`);
  assert.match(code === 2 || ran.out === "" ? ran.err : ran.out, says);
};

test("store check: sound, unsound, empty, as JSON", async (t) => {
  const s = scene(t);
  await example(s, "a");
  ended(
    await midotrace(["store", "check", "--store", s.store("a")]),
    0,
    /^no problem in \d+ nodes: 2 bridges, 1 router, 5 ports, 3 chains, .*1 trace\n$/,
  );
  await s.using("a", async (store) => {
    const [key] = await store.children("/tunnel_keys");
    await store.commit([
      { op: "delete", path: `/tunnel_keys/${key}` },
      { op: "create", path: "/stray", data: "" },
      { op: "set", path: "/locks/apply", data: "x" },
    ]);
  });
  const bad = await midotrace(["store", "check", "--store", s.store("a")]);
  ended(bad, 1, /^\/stray is not known$/m);
  assert.match(bad.out, /^\/locks\/apply holds data, where none is expected$/m);
  assert.match(bad.out, /^tunnel key 1 is not of port /m);
  assert.match(bad.out, /^4 problems in \d+ nodes/m);
  const json = await midotrace(["store", "check", "--store", s.store("a"), "--json"]);
  assert.equal(json.code, 1);
  const report = JSON.parse(json.out) as { findings: string[]; objects: Record<string, number>; stable: boolean };
  assert.equal(report.findings.length, 4);
  assert.equal(report.objects["bridges"], 2);
  assert.equal(report.stable, true);
  ended(await midotrace(["store", "check", "--store", s.store("none")]), 1, /^the store is empty/);
  ended(await midotrace(["store", "check"], { MIDOTRACE_STORE: s.store("a") }), 1, /4 problems/);
  ended(await midotrace(["store", "check"]), 2, /store check needs --store URL/);
  ended(await midotrace(["store", "check", "--store", "nonsense"]), 2, /nonsense/);
});

test("store export and import: the same store elsewhere", async (t) => {
  const s = scene(t);
  await example(s, "a");
  const file = s.path("a.json");
  const made = await midotrace(["store", "export", "--store", s.store("a"), "-o", file]);
  assert.equal(made.code, 0, made.err);
  assert.match(made.err, /^\d+ nodes of store [0-9a-f-]{36} in /);
  assert.deepEqual(
    readdirSync(s.path(".")).filter((name) => name.startsWith("a.json")),
    ["a.json"],
    "no temporary file is left",
  );
  ended(
    await midotrace(["store", "import", "--store", s.store("b"), "-i", file]),
    0,
    /^\d+ nodes created, 0 changed, 0 deleted, in \d+ transactions\nthe store is now \S+\nno problem in/,
  );
  const again = await midotrace(["store", "export", "--store", s.store("b")]);
  const [first, second] = [JSON.parse(readFileSync(file, "utf8")), JSON.parse(again.out)] as { nodes: object }[];
  assert.deepEqual(second?.nodes, first?.nodes);
  ended(await midotrace(["store", "import", "--store", s.store("b"), "-i", file]), 1, /not empty.*--force/);
  const forced = await midotrace(["store", "import", "--store", s.store("b"), "-i", file, "--force", "--json"]);
  assert.equal(forced.code, 0, forced.err);
  const report = JSON.parse(forced.out) as { created: number; check: { findings: string[] } };
  assert.deepEqual([report.created, report.check.findings], [0, []]);
});

test("store import: another identity is said, and documents with problems are refused unless forced", async (t) => {
  const s = scene(t);
  await example(s, "a");
  await s.using("b", (_store, nsdb) => nsdb.initialize());
  const file = s.path("a.json");
  await midotrace(["store", "export", "--store", s.store("a"), "-o", file]);
  const document = JSON.parse(readFileSync(file, "utf8")) as { storeId: string; nodes: Record<string, string> };
  const other = document.storeId.replaceAll(/\w/g, "e");
  document.nodes["/store"] = (document.nodes["/store"] ?? "").replace(document.storeId, other);
  document.storeId = other;
  delete document.nodes["/tunnel_keys/1"];
  writeFileSync(file, JSON.stringify(document));
  const refused = await midotrace(["store", "import", "--store", s.store("b"), "-i", file]);
  ended(refused, 1, /has problems; --force imports it as it is:\n {2}.*tunnel key 1/);
  await s.using("b", async (store) => assert.deepEqual(await store.children("/bridges"), []));
  const forced = await midotrace(["store", "import", "--store", s.store("b"), "-i", file, "--force"]);
  ended(forced, 1, /it was \S+: agents and servers that ran on that must be started anew/);
  assert.match(forced.out, /2 problems in/);
});

test("store commands: what cannot be read or written", async (t) => {
  const s = scene(t);
  await example(s, "a");
  const into = ["store", "import", "--store", s.store("b")];
  ended(await midotrace(into), 2, /store import needs -i FILE/);
  ended(await midotrace([...into, "-i", s.path("none")]), 1, /cannot read .*none/);
  writeFileSync(s.path("x"), "{");
  ended(await midotrace([...into, "-i", s.path("x")]), 1, /x is not JSON/);
  writeFileSync(s.path("x"), "{}");
  ended(await midotrace([...into, "-i", s.path("x")]), 1, /format: midotrace-store expected/);
  ended(await midotrace(["store", "export", "--store", s.store("a"), "-o", s.path("no/x")]), 1, /cannot write/);
  ended(await midotrace(["store", "export", "--store", s.store("none")]), 1, /never initialized/);
  await s.using("a", async () => {
    ended(await midotrace(["store", "check", "--store", s.store("a")]), 1, /in use by this process/);
  });
});
