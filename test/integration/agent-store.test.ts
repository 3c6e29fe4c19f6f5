import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Agent } from "#apps/agent";
import type { PortId } from "#core/base";
import { GRACE_MS } from "../../src/apps/agent/hearsay.ts";
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

  it("that has lost its session gives the other hosts time to say again what they had said, and no longer", () =>
    onCluster(
      routedPlan(),
      async (c) => {
        const port = (await c.deviceNamed("ports", "red-2")) as PortId;
        assert.equal(await ping(c, 31), "reply");
        c.session("h1").disconnect();
        // As when h2 has lost its session too, and is not back yet.
        c.session("h2").disconnect();
        await c.admin.state.clearPortActive(port, hostId(2));
        c.session("h1").reconnect();
        await c.session("h1").expire();
        await c.settle(1_000);
        assert.equal(await ping(c, 32), "reply");
        await c.time.advance(GRACE_MS);
        assert.notEqual(await ping(c, 33), "reply");
        c.session("h2").reconnect();
        await c.settle(1_000);
        assert.equal(await ping(c, 34), "reply");
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

describe("an agent whose store holds what nobody can read", () => {
  it("starts, and serves what can be read", () =>
    onCluster(routedPlan(), async (c) => {
      const [zone] = await c.admin.tunnelZones.list();
      const tool = c.store.session();
      await tool.start();
      await tool.commit([
        { op: "create", path: `/tunnel_zones/${zone?.id}/memberships/${hostId(9)}`, data: "{" },
        { op: "create", path: `/hosts/${hostId(1)}/vrnMappings/ports/${hostId(9)}`, data: "" },
      ]);
      for (const router of await tool.children("/routers"))
        await tool.commit([{ op: "create", path: `/routers/${router}/arp_table/10.0.2.99`, data: "null" }]);
      await c.killAgent("h1");
      await c.during(c.startAgent("h1"));
      assert.deepEqual(c.agent("h1").waitingFor(), []);
      assert.equal(await ping(c, 1), "reply");
      await tool.stop();
      const problems = c.problems.splice(0);
      assert.ok(problems.length > 0 && problems.every((p) => p.includes("malformed data at")), problems.join("\n"));
    }));
});

describe("what an agent says in the store", () => {
  it("is said again when somebody else took it away", () =>
    onCluster(routedPlan(), async (c) => {
      const tool = c.store.session();
      await tool.start();
      const bound = await c.admin.hosts.bindings(hostId(1));
      const port = bound[0]?.portId as PortId;
      assert.deepEqual(await c.admin.state.activeHosts(port), [hostId(1)]);
      await tool.commit([
        { op: "delete", path: `/ports/${port}/active/${hostId(1)}` },
        { op: "delete", path: `/hosts/${hostId(1)}/alive` },
      ]);
      await c.settle(100);
      assert.deepEqual(await c.admin.state.activeHosts(port), [hostId(1)]);
      assert.equal(await c.admin.state.isAlive(hostId(1)), true);
      await tool.stop();
    }));
});

describe("an agent that is stopped while its switch starts", () => {
  it("does nothing more", () =>
    onCluster(routedPlan(), async (c) => {
      const store = c.store.session();
      await store.start();
      const real = c.fabric.addHost("h4", ip("192.0.2.4"));
      const asked = Promise.withResolvers<void>();
      const ready = Promise.withResolvers<void>();
      let retired = 0;
      const datapath = new Proxy(real, {
        get: (target, name) => {
          if (name === "start")
            return async () => {
              asked.resolve();
              await ready.promise;
            };
          if (name === "retireEarlierFlows") return () => void retired++;
          const value: unknown = Reflect.get(target, name);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
      const agent = new Agent({
        hostId: hostId(4),
        hostName: "h4",
        store,
        datapath,
        clock: c.time,
        scheduler: c.time,
        random: c.random,
        sink: { segment: () => {}, lost: () => {} },
        log: () => {},
      });
      const starting = agent.start();
      await c.during(asked.promise);
      await agent.stop();
      const timers = c.time.pending;
      ready.resolve();
      await starting;
      await c.time.settle();
      assert.equal(retired, 0);
      assert.equal(c.time.pending, timers, "no timer is begun");
      await store.stop();
    }));
});
