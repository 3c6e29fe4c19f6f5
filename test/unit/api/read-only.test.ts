import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import { type MidotraceError, SeededRandom } from "#core/base";
import { Nsdb, SYSTEM_STATE } from "#core/nsdb";
import { ApiServer } from "#apps/api";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { ReadOnly } from "../../../src/apps/api/read-only.ts";
import { eventually } from "../../support/nsdb-eventually.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

/** Of a server: its state, how often its store was asked, and a second server's view of the same store. */
async function servers(t: TestContext) {
  const server = new EmbeddedNsdb("memory:");
  await server.start();
  t.after(() => server.stop());
  const [mine, theirs] = [server.session(), server.session()];
  await mine.start();
  await theirs.start();
  const nsdb = new Nsdb(mine, new SeededRandom(1), new VirtualTime());
  const other = new Nsdb(theirs, new SeededRandom(2), new VirtualTime());
  await nsdb.initialize();
  const asked = t.mock.method(mine, "getMany");
  const readOnly = new ReadOnly(nsdb);
  const begin = async (): Promise<void> => {
    await mine.watch(SYSTEM_STATE, readOnly);
    await readOnly.begin();
  };
  return { mine, nsdb, other, readOnly, begin, questions: () => asked.mock.callCount() };
}

const set = (nsdb: Nsdb, availability: "READONLY" | "READWRITE") => nsdb.systemState.update({ availability });

test("READONLY is asked for once, until the store tells of a change, whoever made it", async (t) => {
  const { nsdb, other, readOnly, begin, questions } = await servers(t);
  assert.equal(await readOnly.isSet(), false);
  assert.equal(await readOnly.isSet(), false);
  assert.equal(questions(), 2, "before changes are told, each time");

  await begin();
  for (let n = 0; n < 5; n++) assert.equal(await readOnly.isSet(), false);
  assert.equal(questions(), 3);

  await set(nsdb, "READONLY");
  assert.equal(await readOnly.isSet(), true, "known when the change is answered");
  await set(other, "READWRITE");
  await eventually(async () => assert.equal(await readOnly.isSet(), false));
});

test("an answer that was on its way when READONLY changed is not kept", async (t) => {
  const { nsdb, readOnly, begin } = await servers(t);
  await begin();
  const early = readOnly.isSet();
  await set(nsdb, "READONLY");
  await early;
  assert.equal(await readOnly.isSet(), true);
});

test("while the store is away nobody knows whether READONLY is set, and afterwards it is asked anew", async (t) => {
  const { mine, other, readOnly, begin } = await servers(t);
  await begin();
  assert.equal(await readOnly.isSet(), false);
  mine.disconnect();
  await assert.rejects(readOnly.isSet(), (error: MidotraceError) => error.code === "STORE_UNAVAILABLE");
  await set(other, "READONLY");
  mine.reconnect();
  await eventually(async () => assert.equal(await readOnly.isSet(), true));
  await mine.expire();
  await set(other, "READWRITE");
  await eventually(async () => assert.equal(await readOnly.isSet(), false));
});

test("a server that is started again knows what was changed while it was stopped", async (t) => {
  const { mine, other } = await servers(t);
  const server = new ApiServer({
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    store: mine,
    traceStore: new MemoryTraceStore({ clock: systemClock }),
    log: { info: () => {}, error: () => {} },
    host: "127.0.0.1",
    port: 0,
  });
  t.after(() => server.stop());
  const make = async (): Promise<number> => {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ name: "b", tenantId: "t" });
    return (await fetch(`${server.url}/midonet-api/bridges`, { method: "POST", headers, body })).status;
  };
  await server.start();
  assert.deepEqual([await make(), await make()], [201, 201]);
  await server.stop();
  await set(other, "READONLY");
  await server.start();
  assert.equal(await make(), 503);
  await set(other, "READWRITE");
  await eventually(async () => assert.equal(await make(), 201));
});
