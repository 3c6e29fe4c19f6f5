import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openZookeeperStore, type ZookeeperStore } from "#adapters/nsdb-zookeeper";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { startZookeeper, until, type ZookeeperEnsemble, zookeeperMissing } from "#adapters/testbed";
import type { NsdbEvent } from "#core/nsdb";
import { missingPart } from "../support/parts.ts";

const part = { clock: systemClock, scheduler: systemScheduler, random: systemRandom };

describe("a session that is left to its timeout", { skip: missingPart(zookeeperMissing()) }, () => {
  let ensemble: ZookeeperEnsemble;
  let url = "";

  before(async () => {
    ensemble = await startZookeeper({ servers: 1, tickMs: 100 });
    url = `zookeeper://${ensemble.connectString}/leave`;
  });

  after(async () => {
    await ensemble.stop();
  });

  const opened = async (leaveSession: boolean, sessionTimeoutMs: number): Promise<ZookeeperStore> => {
    const store = openZookeeperStore(url, { ...part, leaveSession, sessionTimeoutMs });
    await store.start();
    return store;
  };

  it("keeps its ephemeral nodes, a successor takes them over in one commit, and they outlive the old session", async () => {
    const watcher = await opened(false, 10_000);
    const first = await opened(true, 1_000);
    await first.commit([{ op: "create", path: "/alive", data: "1", ephemeral: true }]);
    const heard: string[] = [];
    await watcher.watch("/alive", {
      events: (events: readonly NsdbEvent[]) => void heard.push(events.map((e) => e.kind).join(" ")),
      resync: () => void heard.push("resync"),
    });
    await first.stop();
    const successor = await opened(false, 10_000);
    assert.equal((await successor.get("/alive"))?.data, "1");
    await successor.commit([
      { op: "delete", path: "/alive" },
      { op: "create", path: "/alive", data: "2", ephemeral: true },
    ]);
    // Another node of a session as short as the first one shows when that one is over.
    const clock = await opened(true, 1_000);
    await clock.commit([{ op: "create", path: "/clock", data: "", ephemeral: true }]);
    await clock.stop();
    await until("the end of a session", 20_000, async () => ((await watcher.get("/clock")) === null ? true : null));
    assert.equal((await watcher.get("/alive"))?.data, "2");
    assert.deepEqual(heard, ["deleted created"], "nobody saw it vanish");
    await successor.stop();
    await until("the closed session's node to go", 5_000, async () =>
      (await watcher.get("/alive")) === null ? true : null,
    );
    await watcher.stop();
  });
});
