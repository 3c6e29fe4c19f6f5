import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FLOW_STATE_KEY, isTracedKey } from "#core/flows";
import { readU24At } from "../support/underlay.ts";
import { Cluster, ip, routedPlan } from "../support/cluster.ts";

describe("a ping between two hosts through the router, traced on the router", () => {
  it("gives two flow traces, each complete from exactly two hosts under one id", async () => {
    const c = await new Cluster(routedPlan()).start();
    try {
      const router = await c.deviceNamed("routers", "router");
      const first = await c.during(c.vm("red-1").ping(ip("10.0.2.20"), { id: 1 }));
      assert.equal(first[0]?.kind, "reply");
      assert.equal(c.segments.length, 0, "nothing is traced before a trace is enabled");
      await c.trace("ROUTER", router, { nwProto: 1 });
      c.wire.length = 0;
      const answers = await c.during(c.vm("red-1").ping(ip("10.0.2.20"), { id: 7 }));
      assert.equal(answers[0]?.kind, "reply");
      await c.settle(100);
      const traces = c.flowTraces();
      assert.equal(traces.length, 2);
      for (const t of traces) {
        assert.equal(t.completeness.state, "complete", JSON.stringify(t.completeness));
        assert.equal(t.verdict, "delivered");
        assert.deepEqual(t.segments.map((s) => s.role).toSorted(), ["egress", "ingress"]);
        assert.equal(new Set(t.segments.map((s) => s.hostId)).size, 2);
      }
      const keys = c.wire.map((d) => readU24At(d.bytes));
      const state = keys.indexOf(FLOW_STATE_KEY);
      assert.ok(
        state >= 0 && isTracedKey(keys[state + 1] as number),
        `state message, then the packet: ${keys.join(" ")}`,
      );
      assert.equal(c.segments.filter((s) => s.hostName === "h3").length, 0, "a third host saw nothing");
      assert.deepEqual(c.problems, []);
    } finally {
      await c.stop();
    }
  });
});

describe("MidoNet's functional scenario: egress matching", () => {
  it("nwProto 1 means ping: the receiver's ARP for its gateway is no flow", async () => {
    const c = await new Cluster(routedPlan()).start();
    try {
      const trace = await c.trace("ROUTER", await c.deviceNamed("routers", "router"), { nwProto: 1 });
      await c.settle(5_000);
      assert.equal(c.flowTraces().length, 0);
      // The receiver asks ARP for its gateway, by sending to it something that is not ICMP.
      await c.during(c.vm("red-2").udp(ip("10.0.2.1"), 9, new Uint8Array(4), { timeoutMs: 100 }));
      assert.equal(c.flowTraces().length, 0);
      const [answer] = await c.during(c.vm("red-1").ping(ip("10.0.2.20")));
      assert.equal(answer?.kind, "reply");
      await c.settle(5_000);
      const traces = c.flowTraces();
      assert.equal(traces.length, 2);
      for (const t of traces) {
        assert.deepEqual(t.traceRequestIds, [trace]);
        assert.equal(t.completeness.state, "complete");
        assert.equal(new Set(t.segments.map((s) => s.hostId)).size, 2);
      }
    } finally {
      await c.stop();
    }
  });
});
