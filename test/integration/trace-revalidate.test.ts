import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Condition, DeviceType } from "#core/topology";
import { type Cluster, type ClusterPlan, hostId, ip, routedPlan } from "../support/cluster.ts";
import { ingressOf, onCluster, portNamed, udpFrom, wireOf, wireText } from "../support/cluster-kit.ts";

const GATEWAY = { mac: 0xaccaba000001, ip: "10.0.2.20" };
const RED_3 = { mac: 0x020000000003, ip: "10.0.1.30" };
/** Dynamic ports: VMs do not answer there, so that every flow is a request's. */
const FIRST_PORT = 50_000;

/** The router's filter looks at L4 ports, so that each destination port is a flow of its own. */
function perPortPlan(): ClusterPlan {
  const plan = routedPlan({
    chains: [{ name: "pre", tenant: "red", rules: [{ type: "drop", match: "udp and dst port 9" }] }],
  });
  const routers = plan.topology["routers"] as { name: string }[];
  const bridges = plan.topology["bridges"] as { name: string }[];
  return {
    ...plan,
    topology: {
      ...plan.topology,
      bridges: [...bridges, { name: "other", tenant: "blue", ports: [{ name: "blue-1" }] }],
      routers: routers.map((r) => ({ ...r, inFilter: "pre" })),
    },
  };
}

async function manyFlows(c: Cluster, count: number): Promise<void> {
  await c.during(c.vm("red-1").ping(ip(GATEWAY.ip), { id: 1 }));
  const before = c.agent("h1").counters().flows;
  for (let i = 0; i < count; i++) {
    c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 1000 + (i % 7), dport: FIRST_PORT + i }));
    if (i % 500 === 499) await c.settle(5);
  }
  await c.settle(50);
  assert.equal(c.agent("h1").counters().flows, before + count);
}

/** Enables a trace and tells what that did to h1's flows. */
async function enabling(
  c: Cluster,
  type: DeviceType,
  device: string,
  condition: Condition,
): Promise<{ id: string; revalidated: number; gone: number; invalidated: number }> {
  const before = c.agent("h1").counters();
  const id = await c.trace(type, device, condition);
  const after = c.agent("h1").counters();
  return {
    id,
    revalidated: after.revalidated - before.revalidated,
    gone: before.flows - after.flows,
    invalidated: after.flowsInvalidated - before.flowsInvalidated,
  };
}

describe("a flow that runs untraced when a trace is enabled", () => {
  it("has its next packet traced, and runs by an entry again after that", () =>
    onCluster(routedPlan(), async (c) => {
      const next = async (i: number): Promise<void> => {
        c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 5, dport: FIRST_PORT, payload: new Uint8Array([i]) }));
        await c.settle(20);
      };
      await c.during(c.vm("red-1").ping(ip(GATEWAY.ip), { id: 1 }));
      for (let i = 0; i < 50; i++) await next(i);
      const upcalls = c.switch("h1").stats().upcalls;
      await next(50);
      assert.equal(c.switch("h1").stats().upcalls, upcalls, "the flow runs by its entry");
      await c.trace("ROUTER", await c.deviceNamed("routers", "router"), { nwProto: 17 });
      c.wire.length = 0;
      for (let i = 51; i < 55; i++) await next(i);
      assert.deepEqual(wireText(wireOf(c)), [
        "h1>h2 state",
        "h1>h2 traced",
        "h1>h2 plain",
        "h1>h2 plain",
        "h1>h2 plain",
      ]);
      assert.equal(c.flowTraces().length, 1);
      assert.equal(c.flowTraces()[0]?.completeness.state, "complete");
      assert.equal(c.switch("h1").stats().upcalls, upcalls + 1);
    }));
});

describe("of 10,000 installed flows on a device", () => {
  it("exactly those that could match are revalidated, the others stay, and disabling revalidates none", () =>
    onCluster(perPortPlan(), async (c) => {
      await manyFlows(c, 10_000);
      const router = await c.deviceNamed("routers", "router");
      const range = { nwProto: 17, tpDst: { start: 51_000, end: 51_336 } };
      const done = await enabling(c, "ROUTER", router, range);
      assert.deepEqual({ ...done, id: "" }, { id: "", revalidated: 337, gone: 337, invalidated: 0 });
      const upcalls = c.switch("h1").stats().upcalls;
      for (const dport of [50_999, 51_337, FIRST_PORT, FIRST_PORT + 9_999])
        c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 1000 + ((dport - FIRST_PORT) % 7), dport }));
      await c.settle(50);
      assert.equal(c.switch("h1").stats().upcalls, upcalls, "the neighbours of the range are served by their entries");
      assert.equal(c.segments.length, 0);
      for (const dport of [51_000, 51_336]) {
        c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 1000 + ((dport - FIRST_PORT) % 7), dport }));
        await c.settle(50);
      }
      assert.deepEqual(
        ingressOf(c).map((s) => s.key.dstPort),
        [51_000, 51_336],
      );
      const before = c.agent("h1").counters();
      await c.admin.traces.disable(done.id as never);
      await c.settle();
      const { flows, revalidated, flowsInvalidated } = c.agent("h1").counters();
      assert.deepEqual(
        { flows, revalidated, flowsInvalidated },
        { flows: before.flows, revalidated: before.revalidated, flowsInvalidated: before.flowsInvalidated },
      );
    }));

  it("none are revalidated by enabling on another device, or with a condition that none can match", () =>
    onCluster(perPortPlan(), async (c) => {
      await manyFlows(c, 1_000);
      const nothing = { id: "", revalidated: 0, gone: 0, invalidated: 0 };
      const router = await c.deviceNamed("routers", "router");
      const other = await c.deviceNamed("bridges", "other");
      assert.deepEqual({ ...(await enabling(c, "BRIDGE", other, {})), id: "" }, nothing);
      assert.deepEqual(
        { ...(await enabling(c, "ROUTER", router, { nwProto: 17, tpDst: { start: 9, end: 9 } })), id: "" },
        nothing,
      );
      assert.deepEqual(
        { ...(await enabling(c, "ROUTER", router, { nwDstAddress: "10.0.9.0", nwDstLength: 24 })), id: "" },
        nothing,
      );
      const elsewhere = (await portNamed(c, "blue-1")).id;
      assert.deepEqual({ ...(await enabling(c, "PORT", elsewhere, {})), id: "" }, nothing);
    }));

  it("the entries that answer ARP are revalidated by a trace of the request or of the reply, and by no other", () =>
    onCluster(perPortPlan(), async (c) => {
      await manyFlows(c, 100);
      const router = await c.deviceNamed("routers", "router");
      const web = await c.deviceNamed("bridges", "web");
      // To everybody and to the router alone.
      const answers = 2;
      const arp = { dlType: 0x0806 };
      const reply = { ...arp, nwProto: 2 };
      assert.equal((await enabling(c, "ROUTER", router, reply)).revalidated, 0, "a reply does not enter its router");
      assert.equal((await enabling(c, "BRIDGE", web, { ...arp, dlSrc: "02:00:00:00:00:02" })).revalidated, 0);
      assert.equal((await enabling(c, "BRIDGE", web, reply)).revalidated, answers, "it does enter the bridge");
      await c.during(c.vm("red-1").ping(ip("10.0.1.254"), { id: 2 }));
      assert.equal(
        (await enabling(c, "ROUTER", router, arp)).revalidated,
        0,
        "they are not made while a trace is to see them",
      );
    }));

  it("a second device on the way revalidates by the headers as they are there", () =>
    onCluster(perPortPlan(), async (c) => {
      await manyFlows(c, 1_000);
      const db = await c.deviceNamed("bridges", "db");
      // Behind the router the source MAC is the router port's, not the VM's.
      const asSent = await enabling(c, "BRIDGE", db, { dlSrc: "02:00:00:00:00:01", nwProto: 17 });
      assert.equal(asSent.revalidated, 0);
      const routed = { dlSrc: "ac:ca:ba:00:00:02", nwProto: 17, tpDst: { start: FIRST_PORT, end: FIRST_PORT + 9 } };
      assert.equal((await enabling(c, "BRIDGE", db, routed)).revalidated, 10);
    }));

  it("a trace on a port revalidates the flows that enter by it, not those that leave by it", () =>
    onCluster(perPortPlan(), async (c) => {
      await manyFlows(c, 1_000);
      const out = await portNamed(c, "red-2");
      assert.equal((await enabling(c, "PORT", out.id, { nwProto: 17 })).gone, 0);
      const inside = await portNamed(c, "red-1");
      assert.equal(
        (await enabling(c, "PORT", inside.id, { nwProto: 17, tpDst: { start: 50_100, end: 50_109 } })).revalidated,
        10,
      );
    }));

  it("the same holds for a device that has no filter, and gets a chain for its trace", () =>
    onCluster(perPortPlan(), async (c) => {
      await manyFlows(c, 1_000);
      const web = await c.deviceNamed("bridges", "web");
      const done = await enabling(c, "BRIDGE", web, { nwProto: 17, tpDst: { start: 50_500, end: 50_503 } });
      assert.deepEqual({ ...done, id: "" }, { id: "", revalidated: 4, gone: 4, invalidated: 0 });
      const before = c.agent("h1").counters().flows;
      await c.admin.traces.disable(done.id as never);
      await c.settle();
      assert.equal((await c.admin.bridges.get(web)).inboundFilterId, null, "its chain is gone again");
      assert.equal(c.agent("h1").counters().flows, before);
    }));
});

describe("a flow that does not compare what the condition asks for", () => {
  it("is revalidated, because its packets could match; its next packet is traced only if it does", () =>
    onCluster(routedPlan(), async (c) => {
      await c.during(c.vm("red-1").ping(ip(RED_3.ip), { id: 1 }));
      c.inject("red-1", udpFrom(c, "red-1", RED_3, { sport: 5, dport: FIRST_PORT }));
      await c.settle(50);
      const hits = c.switch("h1").stats().hits;
      c.inject("red-1", udpFrom(c, "red-1", RED_3, { sport: 6, dport: FIRST_PORT + 1 }));
      await c.settle(50);
      assert.equal(c.switch("h1").stats().hits, hits + 1, "one bridge flow serves all ports");
      const web = await c.deviceNamed("bridges", "web");
      const { revalidated } = await enabling(c, "BRIDGE", web, { nwProto: 17, tpDst: { start: 51_000, end: 51_000 } });
      assert.ok(revalidated >= 1);
      c.inject("red-1", udpFrom(c, "red-1", RED_3, { sport: 5, dport: FIRST_PORT }));
      await c.settle(50);
      assert.equal(c.segments.length, 0);
      c.inject("red-1", udpFrom(c, "red-1", RED_3, { sport: 5, dport: 51_000 }));
      await c.settle(50);
      assert.equal(ingressOf(c, "h1").length, 1, "the entry of the other port is not wider than the condition allows");
    }));

  it("is left alone when the fields it does compare already exclude the condition", () =>
    onCluster(routedPlan(), async (c) => {
      await c.during(c.vm("red-1").ping(ip(RED_3.ip), { id: 1 }));
      c.inject("red-1", udpFrom(c, "red-1", RED_3, { sport: 5, dport: FIRST_PORT }));
      await c.settle(50);
      const web = await c.deviceNamed("bridges", "web");
      const { revalidated } = await enabling(c, "BRIDGE", web, { dlSrc: "02:00:00:00:00:99" });
      assert.equal(revalidated, 0);
    }));

  it("a condition with an address group that was never needed before is not taken for one that cannot match", () =>
    onCluster(perPortPlan(), async (c) => {
      const [pre] = await c.admin.chains.list();
      const bySource = { type: "drop", condition: { nwSrcAddress: "10.9.9.9" }, meterName: null } as const;
      await c.admin.rules.create(pre?.id as never, bySource);
      await c.during(c.vm("red-1").ping(ip(GATEWAY.ip), { id: 1 }));
      c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 5, dport: FIRST_PORT }));
      await c.settle(50);
      const group = await c.admin.ipAddrGroups.create({ name: "clients" });
      await c.admin.ipAddrGroups.addAddress(group.id, "10.0.1.10");
      const router = await c.deviceNamed("routers", "router");
      await enabling(c, "ROUTER", router, { dlType: 0x0800, ipAddrGroupSrc: group.id });
      c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 5, dport: FIRST_PORT }));
      await c.settle(50);
      assert.equal(ingressOf(c, "h1").length, 1);
    }));
});

describe("an address group in a condition", () => {
  it("is loaded for the first packet that needs it, also where no other rule is, and its changes are followed", () =>
    onCluster(routedPlan(), async (c) => {
      await c.during(c.vm("red-1").ping(ip(RED_3.ip), { id: 1 }));
      const group = await c.admin.ipAddrGroups.create({ name: "clients" });
      await c.admin.ipAddrGroups.addAddress(group.id, "10.0.1.10");
      const web = await c.deviceNamed("bridges", "web");
      await c.trace("BRIDGE", web, { dlType: 0x0800, nwProto: 17, ipAddrGroupSrc: group.id });
      const packet = async (sport: number): Promise<void> => {
        c.inject("red-1", udpFrom(c, "red-1", RED_3, { sport, dport: FIRST_PORT }));
        await c.settle(50);
      };
      await packet(1);
      assert.equal(ingressOf(c, "h1").length, 1);
      await c.admin.ipAddrGroups.removeAddress(group.id, "10.0.1.10");
      await c.settle();
      await packet(2);
      assert.equal(ingressOf(c, "h1").length, 1);
      await c.admin.ipAddrGroups.addAddress(group.id, "10.0.1.10");
      await c.settle();
      await packet(2);
      assert.equal(ingressOf(c, "h1").length, 2, "its flow ran untraced meanwhile");
    }));
});

describe("the other hosts", () => {
  it("revalidate their own flows by the same rule", () =>
    onCluster(perPortPlan(), async (c) => {
      await c.during(c.vm("red-2").ping(ip("10.0.1.10"), { id: 1 }));
      const back = { mac: 0xaccaba000002, ip: "10.0.1.10" };
      for (let i = 0; i < 100; i++) c.inject("red-2", udpFrom(c, "red-2", back, { sport: 1, dport: FIRST_PORT + i }));
      await c.settle(50);
      const before = { h1: c.agent("h1").counters(), h2: c.agent("h2").counters() };
      const range = { nwProto: 17, tpDst: { start: FIRST_PORT, end: FIRST_PORT + 9 } };
      await c.trace("ROUTER", await c.deviceNamed("routers", "router"), range);
      assert.equal(c.agent("h2").counters().revalidated - before.h2.revalidated, 10);
      assert.equal(c.agent("h1").counters().revalidated, before.h1.revalidated);
      assert.equal(c.agent("h1").counters().flows, before.h1.flows);
      assert.equal((await c.admin.hosts.get(hostId(2))).name, "h2");
    }));
});
