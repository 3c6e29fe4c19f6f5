import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Cluster, ip, routedPlan } from "../support/cluster.ts";
import {
  assertComplete,
  egressOf,
  GATEWAY,
  ingressOf,
  onCluster,
  routerOf,
  stepsOf,
  udpFrom,
} from "../support/cluster-kit.ts";

const FLOWS = 100;

async function burst(c: Cluster, first: number): Promise<void> {
  // Known neighbours: nothing waits.
  await c.during(c.vm("red-1").udp(ip("10.0.2.20"), 7, new Uint8Array([1]), { srcPort: 19_000 }));
  await c.time.advance(10_000);
  for (let n = 0; n < FLOWS; n++) c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: first + n, dport: 9 }));
  await c.settle(500);
}

const countedOnly = (c: Cluster, host: string): number =>
  c.losses.reduce((sum, l) => sum + (l.hostId === host && l.about?.cause === "budget" ? l.count : 0), 0);

describe("an event budget", () => {
  const plan = { ...routedPlan(), budget: { perHost: 1_000, perRequest: 1_000_000 } };

  it("is stepped down from all steps to the verdict to a count, and each flow is one of the three", () =>
    onCluster(plan, async (c) => {
      const request = await c.trace("ROUTER", await routerOf(c), { nwProto: 17, tpDst: { start: 9, end: 9 } });
      await burst(c, 20_000);
      const ingress = ingressOf(c, "h1");
      const full = ingress.filter((s) => s.detail === undefined);
      const short = ingress.filter((s) => s.detail === "verdict");
      const h1 = ingress[0]?.hostId ?? "";
      assert.ok(full.length > 5 && short.length > 5, `${full.length} full, ${short.length} short`);
      assert.equal(full.length + short.length + countedOnly(c, h1), FLOWS);
      assert.ok(countedOnly(c, h1) > 5);
      const events = ingress.reduce((sum, s) => sum + s.steps.length, 0);
      assert.ok(events >= 1_000 && events < 1_100, `${events} steps of a budget of 1,000`);
      for (const loss of c.losses) assert.deepEqual(loss.about?.requestIds, [request]);
      assert.equal(c.got("red-2").length, FLOWS + 2, "every packet arrived");
      const { traced, tracedShort, tracedOnlyCounted, stepsOmitted, lostBy } = c.agent("h1").counters();
      assert.deepEqual(
        [traced, tracedShort, tracedOnlyCounted],
        [ingress.length, short.length, FLOWS - ingress.length],
      );
      assert.deepEqual(lostBy, { budget: FLOWS - ingress.length });
      const said = short.reduce((sum, s) => sum + (stepsOf(s, "steps-lost")[0]?.count ?? 0), 0);
      assert.deepEqual([said, said > 0], [stepsOmitted, true], "each says how much is left out");
    }));

  it("says so in each flow trace, whose verdict stands", () =>
    onCluster(plan, async (c) => {
      await c.trace("ROUTER", await routerOf(c), { nwProto: 17, tpDst: { start: 9, end: 9 } });
      await burst(c, 20_000);
      const traces = c.flowTraces();
      const short = traces.filter((t) => t.segments[0]?.detail === "verdict");
      for (const t of short) {
        assert.equal(t.completeness.state, "partial");
        assert.ok(t.completeness.missing.some((m) => m.hostName === "h1" && m.reason === "truncated"));
        assert.equal(t.segments[0]?.steps[0]?.kind, "packet-received");
        assert.equal(t.verdict, "delivered");
        assert.match(t.why, /^Delivered to port .*red-2 on host h2/);
      }
      assert.ok(short.length > 5);
      assertComplete(traces.filter((t) => t.segments.every((s) => s.detail === undefined)));
    }));

  it("is stepped up again when there is room", () =>
    onCluster(plan, async (c) => {
      await c.trace("ROUTER", await routerOf(c), { nwProto: 17, tpDst: { start: 9, end: 9 } });
      await burst(c, 20_000);
      assert.notEqual(c.agent("h1").counters().budgetLevel, 0);
      const before = ingressOf(c, "h1").length;
      await c.time.advance(2_000);
      c.agent("h1").counters();
      assert.equal(c.agent("h1").counters().budgetLevel, 0);
      for (let n = 0; n < 5; n++) c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 30_000 + n, dport: 9 }));
      await c.settle(200);
      assert.deepEqual(
        ingressOf(c, "h1")
          .slice(before)
          .map((s) => s.detail),
        Array.from({ length: 5 }, () => undefined),
      );
    }));

  it("of one request leaves the others alone", () =>
    onCluster({ ...routedPlan(), budget: { perHost: 1_000_000, perRequest: 500 } }, async (c) => {
      const router = await routerOf(c);
      await c.trace("ROUTER", router, { nwProto: 17, tpDst: { start: 9, end: 9 } });
      const quiet = await c.trace("ROUTER", router, { nwProto: 17, tpDst: { start: 10, end: 10 } });
      await burst(c, 20_000);
      c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 30_000, dport: 10 }));
      await c.settle(200);
      const other = ingressOf(c, "h1").find((s) => s.requestIds.includes(quiet));
      assert.equal(other?.detail, undefined);
      assert.ok(other !== undefined && countedOnly(c, other.hostId) > 5);
      assert.equal(egressOf(c, "h2").at(-1)?.detail, undefined);
    }));
});
