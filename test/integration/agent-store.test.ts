import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Agent } from "#apps/agent";
import { type Cluster, hostId, ip, routedPlan } from "../support/cluster.ts";
import { ingressOf, onCluster } from "../support/cluster-kit.ts";

const DB = ip("10.0.2.20");

async function ping(c: Cluster, id: number): Promise<string | undefined> {
  const [answer] = await c.during(c.vm("red-1").ping(DB, { id }));
  return answer?.kind;
}

/** A fourth host's agent, not started, on a session of its own. */
async function fourthHost(c: Cluster) {
  const store = c.store.session();
  await store.start();
  const logged: string[] = [];
  const agent = new Agent({
    hostId: hostId(4),
    hostName: "h4",
    store,
    datapath: c.fabric.addHost("h4", ip("192.0.2.4")),
    clock: c.time,
    scheduler: c.time,
    random: c.random,
    sink: { segment: () => {}, lost: () => {} },
    log: (_level, message) => void logged.push(message),
  });
  return { store, agent, logged };
}

describe("an agent whose store is away", () => {
  it("waits at its start, says what for, and starts when the store answers", () =>
    onCluster(routedPlan(), async (c) => {
      const { store, agent, logged } = await fourthHost(c);
      store.disconnect();
      const state = { started: false };
      const starting = agent.start().finally(() => {
        state.started = true;
      });
      await c.time.advance(10_000);
      assert.equal(state.started, false);
      assert.deepEqual(agent.waitingFor()[0], "the network state database");
      assert.ok(logged.includes("waiting for the network state database"));
      store.reconnect();
      await c.during(starting);
      assert.deepEqual(agent.waitingFor(), []);
      assert.equal(await c.admin.state.isAlive(hostId(4)), true);
      await agent.stop();
      await store.stop();
    }));

  it("stopped while it waits, it does not start any more", () =>
    onCluster(routedPlan(), async (c) => {
      const { store, agent } = await fourthHost(c);
      store.disconnect();
      const starting = agent.start();
      await c.time.advance(2_500);
      await agent.stop();
      await c.during(starting);
      store.reconnect();
      await c.settle();
      assert.equal(await c.admin.state.isAlive(hostId(4)), false);
      await store.stop();
    }));

  it("goes on forwarding established and new flows meanwhile", () =>
    onCluster(
      routedPlan(),
      async (c) => {
        assert.equal(await ping(c, 1), "reply");
        for (const session of c.sessions.values()) session.disconnect();
        assert.equal(await ping(c, 2), "reply");
        await c.time.advance(60_000);
        assert.equal(await ping(c, 3), "reply");
        for (const session of c.sessions.values()) session.reconnect();
        await c.settle(2_000);
        assert.equal(await ping(c, 4), "reply");
      },
      { problemsExpected: true },
    ));

  it("announces host and ports again after a lost session, also when the connection breaks again in between", () =>
    onCluster(
      routedPlan(),
      async (c) => {
        const session = c.session("h2");
        const port = await c.deviceNamed("ports", "red-2").catch(() => null);
        const lost = session.expire();
        session.disconnect();
        await lost.catch(() => undefined);
        await c.settle(3_000);
        session.reconnect();
        await c.settle(3_000);
        assert.equal(await c.admin.state.isAlive(hostId(2)), true);
        assert.deepEqual(c.agent("h2").waitingFor(), []);
        if (port !== null) assert.deepEqual(await c.admin.state.activeHosts(port as never), [hostId(2)]);
        assert.equal(await ping(c, 9), "reply");
      },
      { problemsExpected: true },
    ));

  it("a trace enabled while one agent was cut off is armed there when it is back, and its limit is not exceeded", () =>
    onCluster(
      routedPlan(),
      async (c) => {
        const router = await c.deviceNamed("routers", "router");
        assert.equal(await ping(c, 19), "reply");
        c.session("h1").disconnect();
        await c.trace("ROUTER", router, { nwProto: 1, nwSrcAddress: "10.0.1.10" }, { limit: 2n });
        assert.equal(await ping(c, 20), "reply");
        assert.equal(ingressOf(c, "h1").length, 0);
        c.session("h1").reconnect();
        await c.settle(2_000);
        for (let id = 21; id < 26; id++) assert.equal(await ping(c, id), "reply");
        assert.equal(ingressOf(c, "h1").length, 2);
      },
      { problemsExpected: true },
    ));
});
