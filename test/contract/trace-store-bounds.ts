import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FlowEvent, Step, TraceSegment } from "#core/tracing";
import { droppedSegment, egressSegment, expected, H2, ingressSegment, START_MS } from "../support/tracing-example.ts";
import { flowId, requestId } from "../support/tracing-samples.ts";
import type { MakeTraceStore, TraceStoreBounds, TraceStoreUnderTest } from "./trace-store.ts";

const REQUEST = requestId(0xe1);
const OTHER = requestId(0xe2);

const one = (n: number, more: Partial<TraceSegment> = {}): TraceSegment =>
  droppedSegment({ segmentId: `h1 1 ${n}`, flowTraceId: flowId(n), startedAtMs: START_MS + n, ...more });
/** Of another tenant, by another request. */
const others = (n: number): TraceSegment => {
  const steps = droppedSegment().steps.map((x): Step => {
    const step = { ...x, owner: "tenant-blue" };
    return step.kind === "trace-matched" ? { ...step, requestId: OTHER } : step;
  });
  return one(n, { steps, requestIds: [OTHER] });
};

/** What every implementation of TraceStore keeps, what it lets go, and what is still there after a restart. */
export function traceStoreBounds(name: string, make: MakeTraceStore): void {
  const on = (
    what: string,
    bounds: Partial<TraceStoreBounds>,
    body: (t: TraceStoreUnderTest) => Promise<void>,
  ): void => {
    it(what, async (context) => {
      const t = await make({ maxFlows: 1_000, maxEvents: 100, ...bounds });
      try {
        if (what.startsWith("after a restart") && t.again === undefined) context.skip("the data goes with the store");
        else await body(t);
      } finally {
        await t.close();
      }
    });
  };
  const kept = async ({ store }: TraceStoreUnderTest, id = REQUEST): Promise<string[]> =>
    (await store.flows(id, { limit: 1_000 })).flows.map((f) => f.trace.flowTraceId);

  describe(`bounds of a trace store: ${name}`, () => {
    on("say of a flow that was thrown out that it is expired, and do not take it back", { maxFlows: 2 }, async (t) => {
      for (let n = 1; n <= 3; n++) await t.store.add([one(n)]);
      assert.equal((await t.store.about(flowId(1))).state, "expired");
      assert.equal((await t.store.about(flowId(2))).state, "kept");
      assert.equal((await t.store.about(flowId(9))).state, "unknown");
      assert.deepEqual(await t.store.add([one(1, { segmentId: "late" })]), { changed: [], duplicates: 1 });
      assert.equal(await t.store.flow(flowId(1)), null);
    });

    on("hold while flows come without a pause, in batches of any size", { maxFlows: 40 }, async (t) => {
      let n = 0;
      for (const size of [1, 7, 90, 3, 200, 41, 1]) {
        await t.store.add(Array.from({ length: size }, () => one(++n)));
        const [summary] = await t.store.summaries([REQUEST]);
        assert.ok((summary?.flows ?? 0) <= 40, `${summary?.flows} flows after ${n}`);
      }
      assert.deepEqual(
        await kept(t),
        Array.from({ length: 40 }, (_, i) => flowId(n - i)),
      );
      const { paths } = await t.store.paths(REQUEST, { limit: 10 });
      assert.deepEqual([paths.length, paths[0]?.count, t.store.evicted], [1, 40, n - 40]);
    });

    on("are those of each tenant", { maxFlows: 3 }, async (t) => {
      await t.store.add([others(1), others(2)]);
      for (let n = 3; n <= 9; n++) await t.store.add([one(n)]);
      assert.deepEqual(await kept(t), [flowId(9), flowId(8), flowId(7)]);
      assert.deepEqual(await kept(t, OTHER), [flowId(2), flowId(1)]);
    });

    on("bound the bytes", { maxBytes: 6_000 }, async (t) => {
      for (let n = 1; n <= 60; n++) await t.store.add([one(n)]);
      const some = await kept(t);
      assert.ok(some.length >= 2 && some.length < 40, `${some.length} flows in 6000 bytes`);
      assert.equal(some[0], flowId(60));
    });

    on("bound the age", { maxAgeMs: 60_000 }, async (t) => {
      await t.store.add([one(1), one(2)]);
      t.advance(50_000);
      await t.store.add([one(3)]);
      await t.store.settle();
      assert.equal((await kept(t)).length, 3);
      t.advance(20_000);
      await t.store.settle();
      assert.deepEqual(await kept(t), [flowId(3)]);
      assert.equal((await t.store.about(flowId(1))).state, "expired");
      assert.equal(t.store.evicted, 2);
    });

    on("spare what is pinned, and bound the pins", { maxFlows: 2, maxPins: 2, maxAgeMs: 60_000 }, async (t) => {
      await t.store.add([one(1)]);
      await t.store.pin(flowId(1), true);
      await t.store.pin(flowId(1), true);
      for (let n = 2; n <= 5; n++) await t.store.add([one(n)]);
      assert.deepEqual(await kept(t), [flowId(5), flowId(4), flowId(1)]);
      assert.equal((await t.store.about(flowId(1))).pinned, true);
      assert.equal((await t.store.flows(REQUEST, { limit: 9 })).flows.at(-1)?.pinned, true);
      await t.store.pin(flowId(4), true);
      await assert.rejects(t.store.pin(flowId(5), true), { code: "CONFLICT" });
      await assert.rejects(t.store.pin(flowId(77), true), { code: "NOT_FOUND" });
      t.advance(120_000);
      await t.store.settle();
      assert.deepEqual(await kept(t), [flowId(4), flowId(1)]);
      await t.store.pin(flowId(1), false);
      await t.store.settle();
      assert.deepEqual(await kept(t), [flowId(4)]);
    });

    on("remove a request's flows in small steps that nobody sees", {}, async (t) => {
      const both = { requestIds: [REQUEST, OTHER] };
      await t.store.add(Array.from({ length: 700 }, (_, i) => one(i + 1, i % 2 === 0 ? {} : both)));
      await t.store.forgetRequest(REQUEST);
      assert.deepEqual(await kept(t), []);
      assert.equal(await t.store.flow(flowId(1)), null);
      assert.deepEqual((await t.store.flow(flowId(2)))?.traceRequestIds, [OTHER]);
      for (let i = 0; i < 3; i++) await t.store.settle();
      assert.equal((await t.store.about(flowId(699))).state, "unknown", "nothing of it is left");
      assert.equal((await kept(t, OTHER)).length, 350);
      assert.equal((await t.store.paths(OTHER, { limit: 9 })).paths[0]?.count, 350);
      assert.deepEqual(await t.store.paths(REQUEST, { limit: 9 }), { paths: [], more: false });
    });

    on("take concurrent deliveries of one flow's parts, each once", {}, async (t) => {
      const parts = Array.from({ length: 30 }, (_, i): TraceSegment[] => [
        ingressSegment({ segmentId: `i${i}`, flowTraceId: flowId(i), expects: [expected(H2, "h2", 5, i)] }),
        egressSegment(H2, "h2", i, { segmentId: `e${i}`, flowTraceId: flowId(i) }),
      ]);
      const twice = [...parts.flat(), ...parts.flat()];
      const added = await Promise.all(twice.map((s) => t.store.add([s])));
      assert.equal(
        added.reduce((sum, a) => sum + a.duplicates, 0),
        60,
      );
      const { flows } = await t.store.flows(REQUEST, { limit: 100, verdict: "delivered" });
      assert.equal(flows.length, 30);
      assert.ok(flows.every((f) => f.trace.segments.length === 2));
    });

    on("after a restart everything is there, and event ids go on", { maxFlows: 5 }, async (t) => {
      const events: FlowEvent[] = [];
      t.store.subscribe(null, (e) => events.push(e));
      for (let n = 1; n <= 4; n++) await t.store.add([one(n)]);
      await t.store.pin(flowId(2), true);
      const before = { flows: await kept(t), paths: await t.store.paths(REQUEST, { limit: 9 }) };
      const again = await (t.again as () => Promise<typeof t.store>)();
      assert.deepEqual(
        { flows: await kept({ ...t, store: again }), paths: await again.paths(REQUEST, { limit: 9 }) },
        before,
      );
      assert.equal((await again.about(flowId(2))).pinned, true);
      // The first store, where it hears of the other's, is told of what comes next, too.
      const last = events.at(-1)?.id ?? 0;
      assert.equal(again.lastEventId(), last);
      const replay = await again.since(null, events[1]?.id ?? 0);
      assert.deepEqual([replay.gap, replay.events.map((e) => e.flowTraceId)], [false, [flowId(3), flowId(4)]]);
      assert.deepEqual(await again.add([one(3), one(9)]), { changed: [flowId(9)], duplicates: 1 });
      assert.ok(last > 0 && again.lastEventId() > last);
    });
  });
}
