import { after, before, describe } from "node:test";
import { startZookeeper, type ZookeeperEnsemble, zookeeperMissing } from "#adapters/testbed";
import type { NsdbPair } from "../support/nsdb-contract-kit.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { endSession, identityBehind, nextState, store, unlessThere } from "../support/zookeeper-kit.ts";
import { nsdbContract } from "./nsdb.ts";

let chroots = 0;

/** Two sessions on an ensemble, a new root for them, and session a's connection in the test's hands. */
async function pair(ensemble: ZookeeperEnsemble): Promise<NsdbPair> {
  const [first, last] = [ensemble.servers[0], ensemble.servers.at(-1)];
  if (first === undefined || last === undefined) throw new Error("no server");
  const proxy = new TcpProxy(first.host, first.ports.client);
  await proxy.start();
  const root = `/contract/t${++chroots}`;
  const a = store(`zookeeper://127.0.0.1:${proxy.port}${root}`);
  const b = store(`zookeeper://${last.host}:${last.ports.client}${root}`);
  await a.start();
  await b.start();
  const disconnect = async (): Promise<void> => {
    const known = nextState(a, "disconnected");
    proxy.mode = "refuse";
    proxy.cut();
    await known;
  };
  const reconnect = async (): Promise<void> => {
    const known = nextState(a, "connected");
    proxy.mode = "pass";
    await known;
  };
  return {
    a,
    b,
    disconnectA: disconnect,
    reconnectA: reconnect,
    expireA: async () => {
      const session = identityBehind(proxy);
      await disconnect();
      await endSession(first.host, first.ports.client, session);
      await reconnect();
    },
    close: async () => {
      await a.stop();
      await b.stop();
      await proxy.stop();
    },
  };
}

for (const servers of [1, 3] as const) {
  describe(`ZooKeeper, servers: ${servers}`, { skip: unlessThere(zookeeperMissing()) }, () => {
    let ensemble: ZookeeperEnsemble;
    before(async () => {
      ensemble = await startZookeeper({ servers });
    });
    after(async () => {
      await ensemble?.stop();
    });
    nsdbContract(servers === 1 ? "ZooKeeper, one server" : "ZooKeeper, sessions on two of three servers", () =>
      pair(ensemble),
    );
  });
}
