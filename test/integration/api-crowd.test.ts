import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import { startZookeeper, zookeeperMissing } from "#adapters/testbed";
import { checkStore, type NsdbStore, readTopology } from "#core/nsdb";
import { apiOver, Crowd } from "../support/api-crowd.ts";
import { store as zookeeperStore, unlessThere } from "../support/zookeeper-kit.ts";

const CLIENTS = 8;
/** Operations of each client; with MIDOTRACE_LONG=1 they go on for a minute instead. */
const OPERATIONS = 60;
const LONG_MS = process.env["MIDOTRACE_LONG"] === "1" ? 60_000 : null;

/** Two servers with a session each, and a third session that looks at what they leave. */
async function crowdOn(sessions: readonly [NsdbStore, NsdbStore, NsdbStore], seed: number): Promise<void> {
  const [one, two, watcher] = sessions;
  for (const session of sessions) await session.start();
  const log: string[] = [];
  const servers = [await apiOver(one, seed, log), await apiOver(two, seed + 1, log)];
  try {
    const end = LONG_MS === null ? null : performance.now() + LONG_MS;
    const more = (done: number): boolean => (end === null ? done < OPERATIONS : performance.now() < end);
    const report = await new Crowd(servers.map((s) => s.url)).run(CLIENTS, seed, more);
    assert.deepEqual(log, [], "no defect was logged");
    assert.deepEqual(await checkStore(watcher), []);
    const t = await readTopology(watcher);
    assert.ok(report.requests >= CLIENTS * OPERATIONS);
    // What was done was not nothing: most requests were for what was there.
    const done = (status: number): number =>
      Object.entries(report.answers).reduce((sum, [key, n]) => (key.endsWith(` ${status}`) ? sum + n : sum), 0);
    assert.ok(done(201) > report.requests / 8 && done(204) > report.requests / 16, JSON.stringify(report.answers));
    assert.ok(t.bridges.length + t.routers.length + t.traces.length > 0);
  } finally {
    for (const server of servers) await server.stop();
    for (const session of sessions) await session.stop();
  }
}

describe("eight clients of two API servers on one store", () => {
  for (const seed of [1, 100])
    it(`leave an embedded store sound, whatever they do (seed ${seed})`, async () => {
      const server = new EmbeddedNsdb("memory:");
      await server.start();
      try {
        await crowdOn([server.session(), server.session(), server.session()], seed);
      } finally {
        await server.stop();
      }
    });

  it("leave ZooKeeper sound", { skip: unlessThere(zookeeperMissing()) }, async () => {
    const ensemble = await startZookeeper({ servers: 1 });
    try {
      const url = `zookeeper://${ensemble.connectString}/midonet/v1`;
      await crowdOn([zookeeperStore(url), zookeeperStore(url), zookeeperStore(url)], 7);
    } finally {
      await ensemble.stop();
    }
  });
});
