import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FLOW_STATE_KEY, FlowMatch, isPortKey, parseFlowMatch, TRACE_BIT, withTraceBit } from "#core/flows";
import { traceKeyOf } from "#core/tracing";
import { type Cluster, hostId, ip, routedPlan } from "../support/cluster.ts";
import {
  assertComplete,
  ingressOf,
  onCluster,
  portNamed,
  stepsOf,
  udpFrom,
  wireOf,
  wireText,
} from "../support/cluster-kit.ts";

const GATEWAY = { mac: 0xaccaba000001, ip: "10.0.2.20" };
/** A dynamic port: the VM does not answer, so that nothing comes back. */
const SILENT = 50_000;

/** Topology is loaded, neighbours are known, nothing is traced, the tap is empty. */
async function warm(c: Cluster): Promise<void> {
  const answers = await c.during(c.vm("red-1").ping(ip("10.0.2.20"), { id: 1 }));
  assert.equal(answers[0]?.kind, "reply");
  assert.equal(c.segments.length, 0, "nothing is traced before a trace is enabled");
}

describe("a ping between two hosts, traced on the router", () => {
  it("is two flow traces (request, reply), each complete with steps of exactly two hosts under one id", () =>
    onCluster(routedPlan(), async (c) => {
      await warm(c);
      const request = await c.trace("ROUTER", await c.deviceNamed("routers", "router"), { nwProto: 1 });
      const answers = await c.during(c.vm("red-1").ping(ip("10.0.2.20"), { id: 7 }));
      assert.equal(answers[0]?.kind, "reply");
      await c.settle(100);
      const traces = c.flowTraces();
      assert.equal(traces.length, 2);
      assertComplete(traces);
      const ways = traces.map((t) => t.segments.map((s) => `${s.role} ${s.hostName}`));
      assert.deepEqual(ways, [
        ["ingress h1", "egress h2"],
        ["ingress h2", "egress h1"],
      ]);
      for (const t of traces) {
        assert.equal(t.verdict, "delivered");
        assert.deepEqual(t.traceRequestIds, [request]);
        assert.equal(new Set(t.segments.map((s) => s.flowTraceId)).size, 1);
        assert.equal(t.key.srcPort, 7, "the ICMP identifier stands for the ports");
        for (const s of t.segments) assert.equal(stepsOf(s, "verdict").length, 1);
      }
      assert.notEqual(traces[0]?.flowTraceId, traces[1]?.flowTraceId);
    }));

  it("shows on the underlay one state message with key 0xffffff and then the packet with bit 23, each way, and nothing else", () =>
    onCluster(routedPlan(), async (c) => {
      await warm(c);
      const request = await c.trace("ROUTER", await c.deviceNamed("routers", "router"), { nwProto: 1 });
      c.wire.length = 0;
      await c.during(c.vm("red-1").ping(ip("10.0.2.20"), { id: 7 }));
      await c.settle(100);
      const wire = wireOf(c);
      assert.deepEqual(wireText(wire), ["h1>h2 state", "h1>h2 traced", "h2>h1 state", "h2>h1 traced"]);
      const keys = [await portNamed(c, "red-2"), await portNamed(c, "red-1")].map((p) => p.tunnelKey);
      for (const [i, ingress] of ["h1", "h2"].entries()) {
        const [message, packet] = [wire[2 * i], wire[2 * i + 1]];
        assert.ok(message?.state && packet);
        assert.equal(message.vni, FLOW_STATE_KEY);
        assert.equal(packet.vni, withTraceBit(keys[i] as number));
        assert.equal(packet.vni & TRACE_BIT, 0x80_0000);
        const header = new FlowMatch();
        parseFlowMatch(packet.inner, header);
        assert.deepEqual(message.state, {
          senderHostId: hostId(i + 1),
          flowTraceId: ingressOf(c, ingress)[0]?.flowTraceId,
          requestIds: [request],
          token: packet.token,
          tunnelKeys: [keys[i]],
          key: traceKeyOf(header),
        });
      }
    }));

  it("leaves the third host alone: no packet, no state, no flow, no segment", () =>
    onCluster(routedPlan(), async (c) => {
      await warm(c);
      await c.trace("ROUTER", await c.deviceNamed("routers", "router"), { nwProto: 1 });
      c.wire.length = 0;
      const before = c.agent("h3").counters();
      await c.during(c.vm("red-1").ping(ip("10.0.2.20"), { id: 7, count: 3 }));
      await c.settle(6_000);
      const { packetsIn, stateReceived, tracedArrivals, flowsInstalled, traced } = c.agent("h3").counters();
      assert.deepEqual(
        { packetsIn, stateReceived, tracedArrivals, flowsInstalled, traced },
        {
          packetsIn: before.packetsIn,
          stateReceived: 0,
          tracedArrivals: 0,
          flowsInstalled: before.flowsInstalled,
          traced: 0,
        },
      );
      assert.ok(wireOf(c).every((e) => e.to !== "h3" && e.from !== "h3"));
      assert.ok(c.segments.every((s) => s.hostName !== "h3"));
    }));

  it("traces the first packet only: the pings that follow carry no bit and need no state", () =>
    onCluster(routedPlan(), async (c) => {
      await warm(c);
      await c.trace("ROUTER", await c.deviceNamed("routers", "router"), { nwProto: 1 });
      await c.during(c.vm("red-1").ping(ip("10.0.2.20"), { id: 7 }));
      c.wire.length = 0;
      const answers = await c.during(c.vm("red-1").ping(ip("10.0.2.20"), { id: 7, count: 3 }));
      assert.deepEqual(
        answers.map((a) => a.kind),
        ["reply", "reply", "reply"],
      );
      assert.deepEqual([...new Set(wireText(wireOf(c)))], ["h1>h2 plain", "h2>h1 plain"]);
      assert.equal(ingressOf(c).length, 2);
    }));
});

describe("a UDP conversation between two hosts, traced on the router", () => {
  it("installs the flow without the bit at the ingress host, and none at the egress host", () =>
    onCluster(routedPlan(), async (c) => {
      await warm(c);
      await c.trace("ROUTER", await c.deviceNamed("routers", "router"), { nwProto: 17 });
      const key = (await portNamed(c, "red-2")).tunnelKey;
      const before = { h1: c.agent("h1").counters(), h2: c.agent("h2").counters() };
      c.wire.length = 0;
      c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 1111, dport: SILENT }));
      await c.settle(100);
      assert.deepEqual(wireText(wireOf(c)), ["h1>h2 state", "h1>h2 traced"]);
      assert.equal(c.agent("h1").counters().flowsInstalled, before.h1.flowsInstalled + 1);
      assert.equal(c.agent("h2").counters().flowsInstalled, before.h2.flowsInstalled, "the egress installed no flow");
      assert.equal(c.agent("h2").counters().flows, before.h2.flows);
      assert.equal(c.agent("h2").counters().tracedArrivals, 1);
      const [flow] = stepsOf(ingressOf(c, "h1")[0], "flow");
      assert.ok(flow !== undefined);
      assert.ok(flow.actions.includes(`set tunnel key 0x${key.toString(16)} to 192.0.2.2`), flow.actions.join("; "));
      assert.match(flow.match ?? "", /1111/);
      const egress = c.segments.find((s) => s.role === "egress");
      assert.equal(stepsOf(egress, "flow")[0]?.match, null, "the egress segment says that it installed none");
    }));

  it("sends the next packet of the flow by the installed entry, with the plain key and without state", () =>
    onCluster(routedPlan(), async (c) => {
      await warm(c);
      await c.trace("ROUTER", await c.deviceNamed("routers", "router"), { nwProto: 17 });
      const key = (await portNamed(c, "red-2")).tunnelKey;
      c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 1111, dport: SILENT }));
      await c.settle(100);
      const upcalls = c.switch("h1").stats().upcalls;
      c.wire.length = 0;
      for (let i = 0; i < 3; i++) {
        c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 1111, dport: SILENT, payload: new Uint8Array([i]) }));
        await c.settle(20);
      }
      assert.deepEqual(
        wireOf(c).map((e) => e.vni),
        [key, key, key],
      );
      assert.equal(c.switch("h1").stats().upcalls, upcalls, "served by the entry: the agent saw none of them");
      assert.equal(c.segments.length, 2);
      assert.equal(c.got("red-2").length >= 4, true);
    }));

  it("hands the traced packet to the VM once, byte for byte as the untraced one", () =>
    onCluster(routedPlan(), async (c) => {
      await warm(c);
      const frame = udpFrom(c, "red-1", GATEWAY, { sport: 2222, dport: SILENT });
      c.inject("red-1", frame);
      await c.settle(100);
      const untraced = c.got("red-2").at(-1);
      await c.trace("ROUTER", await c.deviceNamed("routers", "router"), { nwProto: 17 });
      const count = c.got("red-2").length;
      c.inject("red-1", frame);
      await c.settle(100);
      assert.equal(ingressOf(c).length, 1);
      assert.equal(c.got("red-2").length, count + 1);
      assert.deepEqual(c.got("red-2").at(-1), untraced);
    }));

  it("needs no tunnel and no state when both VMs are on one host", () =>
    onCluster(
      {
        ...routedPlan(),
        vms: routedPlan().vms,
      },
      async (c) => {
        await warm(c);
        const bridge = await c.deviceNamed("bridges", "db");
        const spare = await c.admin.ports.createOnBridge(bridge as never, { name: "red-9" });
        await c.admin.ports.bind({ portId: spare.id, hostId: hostId(1), interfaceName: "tap-red-9" });
        c.plug({
          name: "red-9",
          host: "h1",
          interface: "tap-red-9",
          mac: "02:00:00:00:00:09",
          ip: "10.0.2.9",
          prefixLength: 24,
          gateway: "10.0.2.1",
        });
        await c.settle(200);
        await c.during(c.vm("red-1").ping(ip("10.0.2.9"), { id: 2 }));
        await c.trace("ROUTER", await c.deviceNamed("routers", "router"), { nwProto: 17 });
        c.wire.length = 0;
        c.inject("red-1", udpFrom(c, "red-1", { ...GATEWAY, ip: "10.0.2.9" }, { sport: 3333, dport: SILENT }));
        await c.settle(100);
        const [trace] = c.flowTraces();
        assert.equal(trace?.completeness.state, "complete");
        assert.deepEqual(
          trace.segments.map((s) => s.role),
          ["ingress"],
        );
        assert.equal(stepsOf(trace.segments[0], "delivered").length, 1);
        assert.deepEqual(wireText(wireOf(c)), []);
      },
    ));
});

describe("what the tunnel key may not be taken for", () => {
  it("a VM's own VXLAN with the trace bit or the reserved key is cargo: nobody on the way takes it for tracing", () =>
    onCluster(routedPlan(), async (c) => {
      await warm(c);
      await c.trace("ROUTER", await c.deviceNamed("routers", "router"), { dlType: 0x0806 });
      const count = c.got("red-2").length;
      const before = c.agent("h2").counters();
      for (const vni of [0x80_0001, 0xff_ffff]) {
        const payload = new Uint8Array(60);
        payload.set([8, 0, 0, 0, vni >>> 16, (vni >>> 8) & 255, vni & 255, 0]);
        c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 50_001, dport: 4789, payload }));
        await c.settle(50);
      }
      const after = c.agent("h2").counters();
      assert.deepEqual(
        [after.stateReceived, after.stateMalformed, after.tracedArrivals],
        [before.stateReceived, before.stateMalformed, before.tracedArrivals],
      );
      assert.equal(c.got("red-2").length, count + 2);
      assert.equal(c.segments.length, 0);
    }));

  it("no port of the cluster has a key that looks traced or reserved", () =>
    onCluster(routedPlan(), async (c) => {
      const keys = (await c.admin.ports.list()).map((p) => p.tunnelKey);
      assert.equal(new Set(keys).size, keys.length);
      assert.ok(keys.every(isPortKey), keys.join(" "));
    }));
});

describe("many requests that match one packet", () => {
  it("120 ids do not fit one message: several are sent ahead of the packet, and the egress part has all of them", () =>
    onCluster(routedPlan(), async (c) => {
      await warm(c);
      const router = await c.deviceNamed("routers", "router");
      const ids: string[] = [];
      for (let i = 0; i < 120; i++) {
        const { id } = await c.admin.traces.create({
          name: `t${i}`,
          deviceType: "ROUTER",
          deviceId: router,
          condition: { nwProto: 17 },
          enabled: true,
        });
        ids.push(id);
      }
      await c.settle();
      c.wire.length = 0;
      c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 1111, dport: SILENT }));
      await c.settle(100);
      const kinds = wireOf(c).map((e) => e.kind);
      assert.ok(kinds.length > 2 && kinds.at(-1) === "traced", kinds.join(" "));
      assert.ok(kinds.slice(0, -1).every((k) => k === "state"));
      for (const e of wireOf(c)) assert.ok(e.inner.length <= 1_464, "each fits the underlay's MTU");
      const [trace] = c.flowTraces();
      assert.equal(trace?.completeness.state, "complete");
      for (const s of trace.segments) assert.deepEqual([...s.requestIds].toSorted(), ids.toSorted(), s.role);
    }));
});
