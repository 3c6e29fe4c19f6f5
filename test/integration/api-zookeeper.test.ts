import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openStore } from "#adapters/nsdb-open";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { startZookeeper, type ZookeeperEnsemble, zookeeperMissing, type ZookeeperServer } from "#adapters/testbed";
import { HttpTraceSink } from "#adapters/trace-sink-http";
import { type ApiOptionValues, composeApi } from "#apps/api";
import { Collectors, type NsdbStore } from "#core/nsdb";
import { eventually } from "../support/nsdb-eventually.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { endSession, identityBehind, unlessThere } from "../support/zookeeper-kit.ts";
import { segmentNo } from "../support/sink-rig.ts";
import { H1 } from "../support/tracing-example.ts";
import { at, send } from "./api-support.ts";
import { apiOptions } from "../support/api-options.ts";

const PATIENCE_MS = 30_000;
const SYSTEM = { clock: systemClock, scheduler: systemScheduler, random: systemRandom, log: () => undefined };

describe("an API server on a real ZooKeeper", { skip: unlessThere(zookeeperMissing()) }, () => {
  let ensemble: ZookeeperEnsemble;
  let zk: ZookeeperServer;
  let url = "";
  before(async () => {
    ensemble = await startZookeeper({ servers: 1 });
    zk = ensemble.servers[0] as ZookeeperServer;
    url = `zookeeper://${ensemble.connectString}/midonet/v1?timeout=3000`;
  });
  after(() => ensemble.stop());

  /** URLs of the collectors, as somebody else's session sees them. */
  const registered = (store: NsdbStore): Promise<string[]> =>
    new Collectors(store).list().then(
      (all) => all.map((c) => c.url),
      () => ["the store is away"],
    );

  const optionsFor = (store: string): ApiOptionValues => apiOptions({ store });

  it("listens while ZooKeeper is away, says what it waits for, and comes alive by itself, again and again", async () => {
    await zk.kill();
    const lines: string[] = [];
    const api = composeApi(optionsFor(url), "1", (level, message) => void lines.push(`${level} ${message}`));
    await api.start();
    const agent = openStore(url, SYSTEM);
    const sink = new HttpTraceSink({ ...SYSTEM, hostId: H1, store: agent });
    const ask = (path: string) => send(api.server.url + path, "GET");
    const ready = async (status: number): Promise<void> =>
      eventually(async () => assert.equal((await ask("/readyz")).status, status, lines.join("\n")), PATIENCE_MS);
    try {
      assert.equal((await ask("/healthz")).status, 200);
      const waiting = await ask("/readyz");
      assert.equal(waiting.status, 503);
      assert.match(String(at(waiting.json, "waitingFor.0")), /^the network state database \(.+\)$/);
      const refused = await ask("/midonet-api/bridges");
      assert.deepEqual([refused.status, refused.headers["retry-after"]], [503, "2"]);

      await zk.start();
      await ready(200);
      const made = await send(`${api.server.url}/midonet-api/bridges`, "POST", {
        body: { name: "b", tenantId: "red" },
      });
      assert.equal(made.status, 201);

      await agent.start();
      await sink.start();
      assert.deepEqual(await registered(agent), [api.server.url]);
      await eventually(() => assert.equal(sink.counters().collectors, 1), PATIENCE_MS);

      await zk.kill();
      await ready(503);
      assert.equal((await ask("/midonet-api/bridges")).status, 503);
      sink.segment(segmentNo(1));
      await eventually(() => assert.equal(sink.counters().delivered, 1), PATIENCE_MS);

      await zk.start();
      await ready(200);
      const bridges = await ask("/midonet-api/bridges");
      assert.deepEqual(
        (bridges.json as { name: string }[]).map((b) => b.name),
        ["b"],
      );
      await eventually(async () => assert.deepEqual(await registered(agent), [api.server.url]), PATIENCE_MS);
      await api.stop();
      await eventually(async () => assert.deepEqual(await registered(agent), []), PATIENCE_MS);
    } finally {
      await sink.stop();
      await agent.stop();
      await api.stop();
    }
    assert.deepEqual(
      lines.filter((l) => l.startsWith("error")),
      [],
    );
  });

  it("is registered again when its session was lost", async () => {
    const lines: string[] = [];
    const proxy = new TcpProxy(zk.host, zk.ports.client);
    await proxy.start();
    const throughProxy = `zookeeper://127.0.0.1:${proxy.port}/midonet/v1`;
    const api = composeApi(optionsFor(throughProxy), "1", (_, message) => void lines.push(message));
    await api.start();
    const agent = openStore(url, SYSTEM);
    await agent.start();
    try {
      await eventually(async () => assert.deepEqual(await registered(agent), [api.server.url]), PATIENCE_MS);
      const session = identityBehind(proxy);
      proxy.mode = "refuse";
      proxy.cut();
      await endSession(zk.host, zk.ports.client, session);
      assert.deepEqual(await registered(agent), []);
      proxy.mode = "pass";
      const lost = "session with the network state database: lost";
      await eventually(() => assert.ok(lines.includes(lost), lines.join("\n")), PATIENCE_MS);
      await eventually(
        async () => assert.equal((await send(`${api.server.url}/readyz`, "GET")).status, 200),
        PATIENCE_MS,
      );
      await eventually(async () => assert.deepEqual(await registered(agent), [api.server.url]), PATIENCE_MS);
    } finally {
      await api.stop();
      await agent.stop();
      await proxy.stop();
    }
  });

  it("does not take an emptied ZooKeeper for its own, and says so", async () => {
    const api = composeApi(optionsFor(url), "1", () => undefined);
    await api.start();
    try {
      await eventually(
        async () => assert.equal((await send(`${api.server.url}/readyz`, "GET")).status, 200),
        PATIENCE_MS,
      );
      await zk.kill();
      await zk.wipe();
      await zk.start();
      await eventually(async () => {
        const waiting = await send(`${api.server.url}/readyz`, "GET");
        assert.equal(waiting.status, 503);
        assert.match(String(at(waiting.json, "waitingFor.0")), /emptied|another one/);
      }, PATIENCE_MS);
      assert.equal((await send(`${api.server.url}/midonet-api/bridges`, "GET")).status, 503);
    } finally {
      await api.stop();
    }
  });
});
