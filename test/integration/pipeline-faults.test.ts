import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Cluster, type ClusterPlan, hostId, ip, routedPlan } from "../support/cluster.ts";
import { GATEWAY, onCluster, routerOf, udpFrom } from "../support/cluster-kit.ts";
import { withDirectory } from "../support/nsdb-temporary.ts";
import { Pipeline } from "../support/pipeline.ts";

const FLOWS = 1_000;
const AT_ONCE = 10;
const H1 = hostId(1);
const H2 = hostId(2);
/** Five minutes apart. */
const AHEAD = { h1: 150_000, h2: -150_000, h3: 0 };

interface Scene {
  readonly c: Cluster;
  readonly p: Pipeline;
}

function onPipeline(queueSegments: number, work: (s: Scene) => Promise<void>): Promise<void> {
  return withDirectory(async (directory) => {
    let p: Pipeline | null = null;
    const plan: ClusterPlan = {
      ...routedPlan(),
      keepForwarding: true,
      parts: (host, session, c) => {
        p ??= new Pipeline(c, directory, { limits: { queueSegments, maxBackoffMs: 1_000 }, ahead: AHEAD });
        const n = Object.keys(AHEAD).indexOf(host) + 1;
        return p.parts(host, hostId(n), session);
      },
    };
    await onCluster(
      plan,
      async (c) => {
        const pipeline = p as unknown as Pipeline;
        await pipeline.register("h3");
        await work({ c, p: pipeline });
        await pipeline.stop();
      },
      { problemsExpected: true },
    );
  });
}

describe("1,000 traced flows, an agent killed, the collector away, the network cut, deliveries repeated", () => {
  it("end as one flow trace each, complete or with its reason, and what is missing adds up to the counted losses", () =>
    onPipeline(120, async ({ c, p }) => {
      const request = await c.trace("ROUTER", await routerOf(c), { nwProto: 17, tpDst: { start: 9, end: 9 } });
      await c.during(c.vm("red-1").udp(ip("10.0.2.20"), 7, new Uint8Array([1]), { srcPort: 19_000 }));
      let used = 0;
      const usedNow = (): number => [...c.agent("h1").limits()].find((l) => l.requestId === request)?.used ?? 0;
      let sport = 20_000;
      const send = (count: number): void => {
        for (let n = 0; n < count; n++) c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: sport++, dport: 9 }));
      };
      let draw = 0;
      p.weather.loseAnswer = () => draw++ % 5 === 2;
      c.fabric.impair({ seed: 4, duplicateRate: 0.02 });
      for (let sent = AT_ONCE; sent <= FLOWS; sent += AT_ONCE) {
        send(AT_ONCE);
        if (sent === 200) p.weather.cut.add("h2");
        if (sent === 300) p.weather.cut.clear();
        // 30 s, ten flows each 600 ms.
        if (sent === 350) p.weather.collector = false;
        if (sent === 850) p.weather.collector = true;
        if (sent === 600) {
          // In the middle of it: packets are simulated, nothing of them is written yet.
          p.stall("h1");
          send(AT_ONCE);
          await c.time.advance(10);
          used = usedNow();
          await p.kill("h1");
          await p.advance(2_000);
          await c.startAgent("h1");
          await c.settle(500);
        }
        await p.advance(600, 300);
      }
      await p.advance(60_000, 1_000);
      assert.equal(p.waiting(), 0, "nothing waits in good weather");
      assert.ok(usedNow() > used && used > 500, `${used} flows before the kill, ${usedNow()} in all`);

      const flows = await p.flows(request);
      const ids = new Set(flows.map((f) => f.flowTraceId));
      assert.equal(ids.size, flows.length, "each once");
      const ingress = flows.filter((f) => f.segments.some((s) => s.role === "ingress"));
      const of = (host: string): number =>
        flows.reduce((sum, f) => sum + f.segments.filter((s) => s.hostId === host).length, 0);
      const orphans = (await p.store.orphans()).length;
      // Host 1: each flow that counted against the limit is there, or counted as lost.
      assert.equal(ingress.length + p.lostBy(H1), usedNow(), JSON.stringify([...p.lost]));
      assert.equal(of(H1), ingress.length);
      // Host 2: each traced packet that came is there, or counted as lost.
      assert.equal(
        of(H2) + orphans + p.lostBy(H2),
        c.agent("h2").counters().tracedArrivals,
        JSON.stringify([...p.lost]),
      );

      const states = new Map<string, number>();
      for (const f of flows) {
        const { state, missing } = f.completeness;
        const reasons = missing.map((m) => `${m.hostName} ${m.reason}`).join();
        states.set(`${state} ${reasons}`, (states.get(`${state} ${reasons}`) ?? 0) + 1);
        if (state === "complete") assert.deepEqual([f.verdict, f.segments[0]?.hostName], ["delivered", "h1"]);
        else assert.ok(missing.length > 0, "with its reason");
        for (const s of f.segments)
          assert.ok(
            Math.abs((s.clockOffsetMs ?? 0) - AHEAD[s.hostName as "h1"]) <= 5,
            `${s.hostName} ${s.clockOffsetMs}`,
          );
      }
      const lost = p.lost.get(H1) ?? {};
      assert.ok((lost["spool-full"] ?? 0) > 50, "the spool was too small for the outage");
      assert.ok((lost.killed ?? 0) > 0 && (lost.killed ?? 0) <= 2 * AT_ONCE, "and some were not even written");
      assert.ok((states.get("complete ") ?? 0) > 300, JSON.stringify([...states]));
      const lostParts = flows.filter((f) => f.completeness.missing.some((m) => m.reason === "segments-lost")).length;
      assert.ok(lostParts > 0, JSON.stringify([...states]));
      assert.ok(p.collector.counters.duplicates > 0, "deliveries came twice");
    }));

  it("lose nothing when the spool has room: also what an agent had not sent when it was killed", () =>
    onPipeline(10_000, async ({ c, p }) => {
      const request = await c.trace("ROUTER", await routerOf(c), { nwProto: 17, tpDst: { start: 9, end: 9 } });
      await c.during(c.vm("red-1").udp(ip("10.0.2.20"), 7, new Uint8Array([1]), { srcPort: 19_000 }));
      p.weather.collector = false;
      for (let n = 0; n < 200; n++) {
        c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport: 20_000 + n, dport: 9 }));
        if (n % 20 === 19) await p.advance(1_000);
      }
      await p.kill("h1");
      await p.kill("h2");
      await p.advance(5_000, 1_000);
      await c.startAgent("h1");
      await c.startAgent("h2");
      p.weather.collector = true;
      await p.advance(30_000, 1_000);
      const flows = await p.flows(request);
      assert.equal(flows.length, 200);
      for (const f of flows) assert.equal(f.completeness.state, "complete", JSON.stringify(f.completeness));
      assert.equal(p.lostBy(H1) + p.lostBy(H2), 0);
    }));
});
