import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BridgeId, ChainId, RouterId } from "#core/base";
import { type Cluster, type ClusterPlan, hostId, ip, routedPlan } from "../support/cluster.ts";
import { assertComplete, ingressOf, onCluster, stepsOf, udpFrom } from "../support/cluster-kit.ts";

const GATEWAY = { mac: 0xaccaba000001, ip: "10.0.2.20" };
const SILENT = 50_000;
const DB = ip("10.0.2.20");

const router = (c: Cluster): Promise<string> => c.deviceNamed("routers", "router");

async function pings(c: Cluster, first: number, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const [answer] = await c.during(c.vm("red-1").ping(DB, { id: first + i }));
    assert.equal(answer?.kind, "reply");
  }
  await c.settle(100);
}

async function conversations(c: Cluster, firstPort: number, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const answer = await c.during(c.vm("red-1").udp(DB, 7, new Uint8Array([i]), { srcPort: firstPort + i }));
    assert.equal(answer.kind, "reply");
  }
  await c.settle(100);
}

/** The traced flows that entered at each host. */
const traced = (c: Cluster): Record<string, number> => ({
  h1: ingressOf(c, "h1").length,
  h2: ingressOf(c, "h2").length,
});

/** The router has an infilter with ordinary rules, so that there is a chain to edit. */
const filteredPlan = (): ClusterPlan => {
  const plan = routedPlan({
    chains: [{ name: "pre", tenant: "red", rules: [{ type: "drop", match: "tcp and dst port 23" }] }],
  });
  const routers = plan.topology["routers"] as { name: string }[];
  return { ...plan, topology: { ...plan.topology, routers: routers.map((r) => ({ ...r, inFilter: "pre" })) } };
};

async function chainNamed(c: Cluster, name: string): Promise<ChainId> {
  const chain = (await c.admin.chains.list()).find((x) => x.name === name);
  assert.ok(chain !== undefined);
  return chain.id;
}

/** Not by protocol alone: nwProto 1 is also the operation of an ARP request. */
const echoes = { dlType: 0x0800, nwProto: 1 } as const;
const requestsOnly = { ...echoes, nwSrcAddress: "10.0.1.10" } as const;

describe("a limit of 10", () => {
  it("traces exactly 10 of 20 UDP conversations at each ingress host", () =>
    onCluster(routedPlan(), async (c) => {
      await c.trace("ROUTER", await router(c), { nwProto: 17 }, { limit: 10n });
      await conversations(c, 20_000, 20);
      assert.deepEqual(traced(c), { h1: 10, h2: 10 });
      assertComplete(c.flowTraces());
      assert.deepEqual([...new Set(c.flowTraces().map((t) => t.segments.length))], [2]);
    }));

  it("traces exactly 10 of 20 separate pings at each of the two hosts", () =>
    onCluster(routedPlan(), async (c) => {
      await c.trace("ROUTER", await router(c), echoes, { limit: 10n });
      await pings(c, 100, 20);
      assert.deepEqual(traced(c), { h1: 10, h2: 10 });
      assertComplete(c.flowTraces());
    }));

  it("counts anew at each enabling, not only at the second", () =>
    onCluster(routedPlan(), async (c) => {
      const id = await c.trace("ROUTER", await router(c), requestsOnly, { limit: 2n });
      for (let round = 1; round <= 4; round++) {
        await pings(c, 100 * round, 3);
        assert.deepEqual(traced(c), { h1: 2 * round, h2: 0 });
        await c.admin.traces.disable(id);
        await c.settle();
        await c.admin.traces.enable(id);
        await c.settle();
      }
    }));

  it("traces one more ping after disabling and enabling: 11 in all", () =>
    onCluster(routedPlan(), async (c) => {
      const id = await c.trace("ROUTER", await router(c), requestsOnly, { limit: 10n });
      await pings(c, 100, 20);
      assert.deepEqual(traced(c), { h1: 10, h2: 0 });
      await c.admin.traces.disable(id);
      await c.settle();
      await pings(c, 200, 1);
      assert.deepEqual(traced(c), { h1: 10, h2: 0 });
      await c.admin.traces.enable(id);
      await c.settle();
      await pings(c, 201, 1);
      assert.deepEqual(traced(c), { h1: 11, h2: 0 });
    }));

  it("counts anew when the agent hears of disabling and enabling at one moment", () =>
    onCluster(routedPlan(), async (c) => {
      const id = await c.trace("ROUTER", await router(c), requestsOnly, { limit: 10n });
      await pings(c, 100, 12);
      await Promise.all([c.admin.traces.disable(id), c.admin.traces.enable(id)]);
      await c.settle();
      await pings(c, 200, 1);
      assert.deepEqual(traced(c), { h1: 11, h2: 0 });
    }));

  it("is not started anew by a PUT that changes nothing, also where the PUT says enabled again", () =>
    onCluster(routedPlan(), async (c) => {
      const id = await c.trace("ROUTER", await router(c), requestsOnly, { limit: 10n });
      await pings(c, 100, 7);
      const now = await c.admin.traces.get(id);
      const { name, condition, limit, deviceId, deviceType } = now;
      await c.admin.traces.update(id, { name, condition, limit, deviceId, deviceType, enabled: true });
      await c.admin.traces.enable(id);
      await c.settle();
      await pings(c, 200, 7);
      assert.deepEqual(traced(c), { h1: 10, h2: 0 });
      await c.admin.traces.update(id, { enabled: true });
      await c.settle();
      await pings(c, 300, 3);
      assert.deepEqual(traced(c), { h1: 10, h2: 0 });
    }));

  it("is not started anew by edits of the chain: rules added, removed, and the infilter changed", () =>
    onCluster(filteredPlan(), async (c) => {
      const chain = await chainNamed(c, "pre");
      await c.trace("ROUTER", await router(c), requestsOnly, { limit: 10n });
      await pings(c, 100, 3);
      const rule = await c.admin.rules.create(chain, { type: "accept", condition: { nwProto: 1 }, meterName: null });
      await c.settle();
      await pings(c, 200, 3);
      await c.admin.rules.delete(rule.id);
      await c.settle();
      await pings(c, 300, 2);
      const other = await c.admin.chains.create({ name: "other" });
      await c.admin.routers.update((await router(c)) as RouterId, { inboundFilterId: other.id });
      await c.settle();
      await pings(c, 400, 20);
      assert.deepEqual(traced(c), { h1: 10, h2: 0 });
    }));

  it("is exact when the agent's store session expires in the middle", () =>
    onCluster(
      routedPlan(),
      async (c) => {
        await c.trace("ROUTER", await router(c), echoes, { limit: 10n });
        await pings(c, 100, 6);
        await c.session("h1").expire();
        await c.settle(500);
        await pings(c, 200, 6);
        await c.session("h2").expire();
        await c.settle(500);
        await pings(c, 300, 6);
        assert.deepEqual(traced(c), { h1: 10, h2: 10 });
      },
      { problemsExpected: true },
    ));

  it("an agent whose session expired says everything again: nothing is flooded that was known before", () =>
    onCluster(routedPlan(), async (c) => {
      const web = (await c.deviceNamed("bridges", "web")) as BridgeId;
      await pings(c, 100, 1);
      await c.during(c.vm("red-3").ping(ip("10.0.1.10"), { id: 1 }));
      const macs = async (): Promise<string[]> => (await c.admin.state.macs(web, 0)).map((m) => m.mac).toSorted();
      const before = await macs();
      assert.ok(before.includes("02:00:00:00:00:01"));
      await c.session("h1").expire();
      await c.settle(500);
      assert.deepEqual(await macs(), before);
      assert.ok(await c.admin.state.isAlive(hostId(1)), "the host is alive again");
      await c.trace("BRIDGE", web, requestsOnly, { limit: 10n });
      await c.during(c.vm("red-1").ping(ip("10.0.1.30"), { id: 2 }));
      const [back] = await c.during(c.vm("red-3").ping(ip("10.0.1.10"), { id: 3 }));
      assert.equal(back?.kind, "reply");
      await c.settle(100);
      assert.deepEqual(
        ingressOf(c, "h1").map((s) => stepsOf(s, "bridge-decision")[0]?.decision),
        ["unicast", "unicast"],
      );
      assert.deepEqual(stepsOf(ingressOf(c, "h1")[0], "mac-learned"), []);
    }));

  it("is exact for 20 pings that all wait for one ARP answer", () =>
    onCluster(routedPlan(), async (c) => {
      await c.trace("ROUTER", await router(c), requestsOnly, { limit: 10n });
      // Known to the sender, not to the router.
      await c.during(c.vm("red-1").ping(ip("10.0.1.1"), { id: 1 }));
      assert.deepEqual(traced(c), { h1: 1, h2: 0 });
      const answers = await c.during(
        Promise.all(Array.from({ length: 20 }, (_, i) => c.vm("red-1").ping(DB, { id: 500 + i }))),
      );
      assert.ok(answers.every(([a]) => a?.kind === "reply"));
      await c.settle(100);
      assert.deepEqual(traced(c), { h1: 10, h2: 0 });
      const waits = ingressOf(c, "h1").map((s) => stepsOf(s, "waited").filter((w) => w.waitedFor === "arp").length);
      assert.deepEqual(waits, [0, ...Array.from({ length: 9 }, () => 1)], "each waited once and was counted once");
    }));
});

describe("a flow is traced once while it lives", () => {
  it("a UDP conversation of 200 packets over 10 minutes is one flow trace", () =>
    onCluster(filteredPlan(), async (c) => {
      await c.trace("ROUTER", await router(c), { nwProto: 17 }, { limit: 10n });
      for (let i = 0; i < 200; i++) {
        c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 4000, dport: SILENT, payload: new Uint8Array([i]) }));
        await c.settle(3_000);
      }
      assert.deepEqual(traced(c), { h1: 1, h2: 0 });
      assert.equal(c.got("red-2").filter((f) => f.length === 43).length, 200, "all were delivered");
    }));

  it("a ping of 200 packets over 10 minutes is two flow traces, one for each direction", () =>
    onCluster(filteredPlan(), async (c) => {
      await c.trace("ROUTER", await router(c), echoes, { limit: 10n });
      const answers = await c.during(c.vm("red-1").ping(DB, { id: 9, count: 200, intervalMs: 3_000 }), 700_000);
      assert.equal(answers.filter((a) => a.kind === "reply").length, 200);
      await c.settle(100);
      assert.deepEqual(traced(c), { h1: 1, h2: 1 });
    }));

  it("stays one flow when an edit of the chain invalidates its entry again and again", () =>
    onCluster(filteredPlan(), async (c) => {
      const chain = await chainNamed(c, "pre");
      await c.trace("ROUTER", await router(c), {}, { limit: 10n });
      const dropRule = { type: "drop", condition: { nwProto: 6 }, meterName: null } as const;
      await c.during(c.vm("red-1").ping(DB, { id: 9 }));
      const before = ingressOf(c, "h1").length;
      let invalidated = c.agent("h1").counters().flowsInvalidated;
      for (let i = 0; i < 10; i++) {
        c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 4000, dport: SILENT, payload: new Uint8Array([i]) }));
        await c.during(c.vm("red-1").ping(DB, { id: 9 }));
        await c.settle(5_000);
        const rule = await c.admin.rules.create(chain, dropRule);
        await c.settle(5_000);
        await c.admin.rules.delete(rule.id);
        await c.settle(5_000);
        const now = c.agent("h1").counters().flowsInvalidated;
        assert.ok(now > invalidated, "the edit did invalidate");
        invalidated = now;
      }
      assert.equal(ingressOf(c, "h1").length, before + 1, "the UDP conversation, once; the ping was traced before");
    }));

  it("a flow that goes on does not cover those that begin after it, with and without entry", () =>
    onCluster(filteredPlan(), async (c) => {
      const chain = await chainNamed(c, "pre");
      await c.trace("ROUTER", await router(c), { dlType: 0x0800 }, { limit: 10n });
      await pings(c, 9, 1);
      await pings(c, 9, 1);
      await pings(c, 10, 1);
      assert.deepEqual(traced(c), { h1: 2, h2: 2 }, "the second ping is a flow of its own");
      const udp = async (sport: number): Promise<void> => {
        c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport, dport: SILENT }));
        await c.settle(100);
      };
      await udp(4_000);
      await c.admin.rules.create(chain, { type: "drop", condition: { nwProto: 6 }, meterName: null });
      await c.settle();
      await udp(4_000);
      await udp(4_001);
      assert.deepEqual(traced(c), { h1: 4, h2: 2 }, "and so is the second conversation");
    }));

  it("is a new flow after its entry has idled out", () =>
    onCluster(routedPlan(), async (c) => {
      await c.trace("ROUTER", await router(c), { nwProto: 17 }, { limit: 10n });
      for (let i = 0; i < 3; i++) {
        c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 4000, dport: SILENT, payload: new Uint8Array([i]) }));
        await c.settle(61_000);
      }
      assert.deepEqual(traced(c), { h1: 3, h2: 0 });
    }));

  it("a ping without entry is a new flow 60 s after its last packet, and not before", () =>
    onCluster(routedPlan(), async (c) => {
      await c.trace("ROUTER", await router(c), requestsOnly, { limit: 10n });
      await pings(c, 9, 1);
      await c.settle(55_000);
      await pings(c, 9, 1);
      assert.deepEqual(traced(c), { h1: 1, h2: 0 });
      await c.settle(61_000);
      await pings(c, 9, 1);
      assert.deepEqual(traced(c), { h1: 2, h2: 0 });
    }));

  it("first and whole packets of one conversation are one flow", () =>
    onCluster(routedPlan(), async (c) => {
      await c.trace("ROUTER", await router(c), { nwProto: 17 }, { limit: 10n });
      const whole = udpFrom(c, "red-1", GATEWAY, { sport: 4000, dport: SILENT });
      c.inject("red-1", whole);
      await c.settle(100);
      const first = whole.slice();
      first[20] = 0x20;
      c.inject("red-1", first);
      await c.settle(100);
      assert.deepEqual(traced(c), { h1: 1, h2: 0 });
    }));
});

describe("limits at the edge", () => {
  it("0 traces nothing", () =>
    onCluster(routedPlan(), async (c) => {
      await c.trace("ROUTER", await router(c), {}, { limit: 0n });
      await pings(c, 100, 3);
      await conversations(c, 20_000, 3);
      assert.equal(c.segments.length, 0);
    }));

  it("1 traces one flow, and its trace is as whole as any: the match is among its steps", () =>
    onCluster(routedPlan(), async (c) => {
      const id = await c.trace("ROUTER", await router(c), requestsOnly, { limit: 1n });
      await pings(c, 100, 5);
      const traces = c.flowTraces();
      assert.equal(traces.length, 1);
      assertComplete(traces);
      assert.deepEqual(
        stepsOf(traces[0]?.segments[0], "trace-matched").map((s) => s.requestId),
        [id],
      );
    }));

  it("the last flow within a limit of 10 says where it matched, as the first does", () =>
    onCluster(routedPlan(), async (c) => {
      await c.trace("ROUTER", await router(c), { nwProto: 17 }, { limit: 10n });
      await conversations(c, 20_000, 12);
      assert.deepEqual(
        ingressOf(c, "h1").map((s) => stepsOf(s, "trace-matched").length),
        Array.from({ length: 10 }, () => 1),
      );
    }));

  it("an unlimited request (the largest 64-bit limit) traces every flow", () =>
    onCluster(routedPlan(), async (c) => {
      await c.trace("ROUTER", await router(c), { nwProto: 17 });
      await conversations(c, 20_000, 30);
      assert.deepEqual(traced(c), { h1: 30, h2: 30 });
    }));
});

describe("several requests", () => {
  const perRequest = (c: Cluster, id: string): number =>
    ingressOf(c).filter((s) => s.requestIds.includes(id as never)).length;

  it("two on one device each count for themselves, and share the flow traces that both match", () =>
    onCluster(routedPlan(), async (c) => {
      const three = await c.trace("ROUTER", await router(c), requestsOnly, { limit: 3n });
      const seven = await c.trace("ROUTER", await router(c), requestsOnly, { limit: 7n });
      await pings(c, 100, 20);
      assert.equal(perRequest(c, three), 3);
      assert.equal(perRequest(c, seven), 7);
      assert.deepEqual(traced(c), { h1: 7, h2: 0 });
      assert.deepEqual(
        ingressOf(c).map((s) => stepsOf(s, "trace-matched").length),
        [2, 2, 2, 1, 1, 1, 1],
      );
    }));

  it("one on the bridge and one on the router match one packet: two ids, one flow trace", () =>
    onCluster(routedPlan(), async (c) => {
      const onBridge = await c.trace("BRIDGE", await c.deviceNamed("bridges", "web"), requestsOnly);
      const onRouter = await c.trace("ROUTER", await router(c), requestsOnly);
      await pings(c, 100, 1);
      const traces = c.flowTraces();
      assert.equal(traces.length, 1);
      assertComplete(traces);
      assert.deepEqual(traces[0]?.traceRequestIds, [onBridge, onRouter]);
      for (const s of traces[0].segments) assert.deepEqual(s.requestIds, [onBridge, onRouter], s.role);
      assert.deepEqual(
        stepsOf(traces[0].segments[0], "trace-matched").map((s) => s.requestId),
        [onBridge, onRouter],
      );
    }));

  it("the flow of a second request that is enabled later is traced for it, though the first has traced it", () =>
    onCluster(routedPlan(), async (c) => {
      const first = await c.trace("ROUTER", await router(c), requestsOnly, { limit: 5n });
      await pings(c, 100, 2);
      const second = await c.trace("ROUTER", await router(c), requestsOnly, { limit: 5n });
      await pings(c, 100, 2);
      assert.deepEqual(
        ingressOf(c).map((s) => s.requestIds),
        [[first], [first], [second], [second]],
      );
    }));

  it("a request whose device, condition and limit are changed goes on counting where it was", () =>
    onCluster(routedPlan(), async (c) => {
      const id = await c.trace("ROUTER", await router(c), requestsOnly, { limit: 5n });
      await pings(c, 100, 5);
      await c.admin.traces.update(id, { limit: 8n });
      await c.settle();
      await pings(c, 200, 10);
      assert.deepEqual(traced(c), { h1: 8, h2: 0 });
      await c.admin.traces.update(id, { limit: 20n, condition: { nwProto: 17 } });
      await c.settle();
      await pings(c, 300, 3);
      assert.deepEqual(traced(c), { h1: 8, h2: 0 }, "the new condition is followed");
      await conversations(c, 20_000, 3);
      assert.deepEqual(traced(c), { h1: 11, h2: 3 });
    }));
});
