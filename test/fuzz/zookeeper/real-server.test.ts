/**
 * A store at work on a real server through a network that changes bytes of what the server says: the process stays up, every
 * operation is settled, and when the network is sound again so is the store.
 * MIDOTRACE_FUZZ_SECONDS (default 5), MIDOTRACE_FUZZ_SEED.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startZookeeper, type ZookeeperEnsemble, zookeeperMissing, type ZookeeperServer } from "#adapters/testbed";
import { SeededRandom } from "#core/base";
import { NsdbTxError, NsdbUnavailable } from "#core/nsdb";
import { create, Recorder, set } from "../../support/nsdb-contract-kit.ts";
import { eventually } from "../../support/nsdb-eventually.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { store, unlessThere } from "../../support/zookeeper-kit.ts";

const seconds = Number(process.env["MIDOTRACE_FUZZ_SECONDS"] ?? 5);
const seed = Number(process.env["MIDOTRACE_FUZZ_SEED"] ?? 20_161_123);

describe("a real server through a network that lies", { skip: unlessThere(zookeeperMissing()) }, () => {
  let ensemble: ZookeeperEnsemble;
  before(async () => {
    ensemble = await startZookeeper({ servers: 1, tickMs: 100 });
  });
  after(async () => {
    await ensemble?.stop();
  });

  it(`for ${seconds} s (seed ${seed})`, async (t) => {
    const random = new SeededRandom(seed);
    const server = ensemble.servers[0] as ZookeeperServer;
    const proxy = new TcpProxy(server.host, server.ports.client);
    await proxy.start();
    const reasons = new Map<string, number>();
    const a = store(`zookeeper://127.0.0.1:${proxy.port}/fuzz`, {
      sessionTimeoutMs: 1000,
      log: (_, message, fields) => {
        if (message !== "disconnected from ZooKeeper") return;
        const reason = String(fields["reason"]).replace(/-?\d+/g, "N");
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      },
    });
    const heard = new Recorder();
    try {
      await a.start();
      await a.commit([create("/n", "0")]);
      let altered = 0;
      proxy.alter = (chunk) => {
        if (random.next() > 0.02 || chunk.length === 0) return chunk;
        altered++;
        const at = Math.floor(random.next() * chunk.length);
        const how = random.next();
        if (how < 0.6) chunk[at] = (chunk[at] as number) ^ (1 << Math.floor(random.next() * 8));
        else if (how < 0.8) return Buffer.concat([chunk.subarray(0, at), Buffer.from([7, 7, 7]), chunk.subarray(at)]);
        else return chunk.subarray(0, at);
        return chunk;
      };
      const endMs = performance.now() + seconds * 1000;
      let settled = 0;
      let failed = 0;
      const worker = async (): Promise<void> => {
        while (performance.now() < endMs) {
          try {
            await Promise.all([
              a.get("/n"),
              a.children("/"),
              a.getMany(["/n", "/none", "/"]),
              a.commit([set("/n", "x".repeat(Math.floor(random.next() * 500)))]),
            ]);
          } catch (error) {
            // A mutated error code may be a refusal; everything else must say that the store does not answer.
            assert.ok(error instanceof NsdbUnavailable || error instanceof NsdbTxError, String(error));
            failed++;
            await sleep(2);
          }
          settled++;
          await a.watch("/n", heard).then(
            (watch) => watch.close(),
            () => {},
          );
        }
      };
      await Promise.all([worker(), worker(), worker()]);
      proxy.alter = null;
      await eventually(() => assert.equal(a.status().state, "connected"), 30_000);
      await eventually(async () => {
        const done = await a.commit([set("/n", "sound")]).then(
          () => true,
          () => false,
        );
        assert.ok(done);
      }, 30_000);
      assert.equal((await a.get("/n"))?.data, "sound");
      t.diagnostic(`${settled} rounds, ${failed} failed, ${altered} chunks altered, ${proxy.accepted} connections`);
      for (const [reason, count] of reasons) t.diagnostic(`${count} × ${reason}`);
      assert.ok(altered > 0 && proxy.accepted > 1);
    } finally {
      proxy.alter = null;
      await a.stop();
      await proxy.stop();
    }
  });
});
