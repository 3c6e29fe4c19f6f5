import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseTopologyDocument } from "#core/topology";
import { hostId, ip, routedPlan, vmPlan } from "../support/cluster.ts";
import {
  assertDropped,
  egressOf,
  GATEWAY,
  IPV4,
  onCluster,
  onlyIngress,
  onRouted,
  portNamed,
  routerOf,
  send,
  SILENT,
  stepsOf,
  udpFrom,
  wireOf,
  wireText,
} from "../support/cluster-kit.ts";

describe("every drop has its reason", () => {
  it("hairpin: the destination is on the port the frame came from", () =>
    onRouted(async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "web"), IPV4);
      const own = c.vm("red-1").config;
      await send(c, udpFrom(c, "red-1", { mac: own.mac, ip: "10.0.1.10" }, { sport: 1, dport: SILENT }));
      assertDropped(onlyIngress(c), "destination-on-ingress-port");
    }));

  it("hairpin at a router: a packet goes back out of the port it came by", () =>
    onRouted(async (c) => {
      const outside = await c.admin.ports.createOnRouter(await routerOf(c), {
        name: "outside",
        portAddress: "10.0.9.1",
        networkLength: 24,
        portMac: "ac:ca:ba:00:00:09",
      });
      await c.admin.ports.bind({ portId: outside.id, hostId: hostId(1), interfaceName: "tap-out" });
      await c.admin.routes.create(await routerOf(c), {
        type: "Normal",
        srcNetworkAddr: "0.0.0.0",
        srcNetworkLength: 0,
        dstNetworkAddr: "10.0.9.0",
        dstNetworkLength: 24,
        nextHopPort: outside.id,
        nextHopGateway: null,
        weight: 100,
      } as never);
      const vm = c.plug(vmPlan("out", "h1", "02:00:00:00:00:77", "10.0.9.9", "10.0.9.1"));
      await c.settle(200);
      await c.during(vm.ping(ip("10.0.9.1"), { id: 1 }));
      await c.trace("ROUTER", await routerOf(c), { ...IPV4, nwProto: 17 });
      const count = c.got("out").length;
      c.inject("out", udpFrom(c, "out", { mac: 0xaccaba000009, ip: "10.0.9.9" }, { sport: 1, dport: SILENT }));
      await c.settle(100);
      const segment = onlyIngress(c);
      const arrived = c.got("out").length - count;
      assert.equal(arrived, 1, "routed back to the VM that sent it");
      assert.deepEqual([segment.verdict, segment.dropReason], ["delivered", null]);
    }));

  it("a drop rule, with the failing field of each rule before it", () =>
    onRouted(async (c) => {
      const chain = (await c.admin.chains.create({ name: "pre" })).id;
      const rules = [
        { type: "accept", condition: { nwProto: 6 } },
        { type: "accept", condition: { nwProto: 17, tpDst: { start: 53, end: 53 } } },
        { type: "accept", condition: { nwSrcAddress: "10.0.7.0", nwSrcLength: 24 } },
        { type: "drop", condition: { nwProto: 17 } },
        { type: "accept", condition: {} },
      ] as const;
      for (const [i, rule] of rules.entries()) await c.admin.rules.create(chain, { ...rule, meterName: null }, i + 1);
      await c.admin.routers.update(await routerOf(c), { inboundFilterId: chain });
      await c.settle();
      await c.trace("ROUTER", await routerOf(c), { ...IPV4, nwProto: 17 });
      await send(c, udpFrom(c, "red-1", GATEWAY, { sport: 1, dport: SILENT }));
      const segment = onlyIngress(c);
      assertDropped(segment, "filter-drop");
      assert.deepEqual(
        stepsOf(segment, "rule").map((r) => [r.ruleType, r.matched, r.failedField, r.wanted, r.had]),
        [
          ["accept", false, "nwProto", "6", "17"],
          ["accept", false, "tpDst", "53", "50000"],
          ["accept", false, "nwSrcAddress", "10.0.7.0/24", "10.0.1.10"],
          ["drop", true, undefined, undefined, undefined],
        ],
      );
      const [end] = stepsOf(segment, "chain-end");
      assert.equal(end?.result, "drop");
      const position = stepsOf(segment, "rule").at(-1)?.position;
      assert.equal(end.decidedBy, `rule ${position} of chain pre`);
      assert.equal(
        c.flowTraces()[0]?.why,
        `Dropped at router router on host h1: rule ${position} (drop) of chain pre matched: udp.`,
      );
    }));

  it("a reject rule, which tells the sender", () =>
    onRouted(async (c) => {
      const chain = (await c.admin.chains.create({ name: "pre" })).id;
      await c.admin.rules.create(chain, { type: "reject", condition: { nwProto: 17 }, meterName: null });
      await c.admin.routers.update(await routerOf(c), { inboundFilterId: chain });
      await c.settle();
      await c.trace("ROUTER", await routerOf(c), IPV4);
      const answer = await c.during(c.vm("red-1").udp(ip("10.0.2.20"), 7, new Uint8Array(1)));
      assert.deepEqual(answer.kind === "icmp-error" ? [answer.type, answer.code] : answer.kind, [3, 13]);
      const segment = onlyIngress(c);
      assertDropped(segment, "filter-reject");
      assert.equal(segment.verdict, "rejected");
    }));

  it("no route, which tells the sender", () =>
    onRouted(async (c) => {
      await c.trace("ROUTER", await routerOf(c), IPV4);
      const answer = await c.during(c.vm("red-1").udp(ip("203.0.113.9"), 7, new Uint8Array(1)));
      assert.deepEqual(answer.kind === "icmp-error" ? [answer.type, answer.code] : answer.kind, [3, 0]);
      assertDropped(onlyIngress(c), "no-route");
      assert.equal(stepsOf(onlyIngress(c), "route-lookup")[0]?.route, null);
    }));

  it("a black hole, which tells nobody, and a rejecting route, which does", () =>
    onRouted(async (c) => {
      const add = async (type: "BlackHole" | "Reject", dst: string): Promise<void> => {
        await c.admin.apply(
          parseTopologyDocument({
            routers: [{ name: "router", tenant: "red", routes: [{ type, dst }] }],
          }),
        );
      };
      await add("BlackHole", "198.51.100.0/24");
      await add("Reject", "203.0.113.0/24");
      await c.settle();
      await c.trace("ROUTER", await routerOf(c), IPV4);
      const silent = await c.during(c.vm("red-1").udp(ip("198.51.100.1"), 7, new Uint8Array(1)));
      assert.equal(silent.kind, "timeout");
      assertDropped(onlyIngress(c), "route-blackhole");
      c.segments.length = 0;
      const told = await c.during(c.vm("red-1").udp(ip("203.0.113.1"), 7, new Uint8Array(1)));
      assert.deepEqual(told.kind === "icmp-error" ? [told.type, told.code] : told.kind, [3, 13]);
      assertDropped(onlyIngress(c), "route-reject");
    }));

  it("no tunnel to the destination's host", () =>
    onCluster({ ...routedPlan(), apart: ["h3"] }, async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "web"), IPV4);
      c.inject("red-1", udpFrom(c, "red-1", { mac: 0x020000000003, ip: "10.0.1.30" }, { sport: 1, dport: SILENT }));
      await c.settle(100);
      const segment = onlyIngress(c);
      assertDropped(segment, "no-tunnel");
      assert.equal(segment.verdict, "dropped");
      assert.deepEqual(wireText(wireOf(c)), []);
    }));

  it("the destination port vanished from its host while the packet was under way", () =>
    onRouted(async (c) => {
      await c.trace("ROUTER", await routerOf(c), IPV4);
      c.fabric.impair({ seed: 1, minDelayMs: 80, maxDelayMs: 80 });
      c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 1, dport: SILENT }));
      await c.time.advance(10);
      c.wires.get("red-2")?.detach();
      await c.settle(200);
      const [trace] = c.flowTraces();
      assert.equal(trace?.completeness.state, "complete");
      assert.deepEqual([trace.verdict, trace.dropReason], ["dropped", "port-inactive"]);
      assertDropped(egressOf(c, "h2")[0] as never, "port-inactive");
    }));

  it("the binding vanished from the host while the packet was under way", () =>
    onRouted(async (c) => {
      await c.trace("ROUTER", await routerOf(c), IPV4);
      c.fabric.impair({ seed: 1, minDelayMs: 80, maxDelayMs: 80 });
      c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 1, dport: SILENT }));
      await c.time.advance(10);
      await c.admin.ports.unbind((await portNamed(c, "red-2")).id);
      await c.settle(200);
      const [trace] = c.flowTraces();
      assert.deepEqual(
        [trace?.completeness.state, trace?.verdict, trace?.dropReason],
        ["complete", "dropped", "unknown-tunnel-key"],
      );
    }));

  it("the destination's interface is down before the packet is sent", () =>
    onRouted(async (c) => {
      c.wires.get("red-2")?.setUp(false);
      await c.settle(200);
      await c.trace("ROUTER", await routerOf(c), IPV4);
      await send(c, udpFrom(c, "red-1", GATEWAY, { sport: 1, dport: SILENT }));
      assertDropped(onlyIngress(c), "port-inactive");
    }));
});
