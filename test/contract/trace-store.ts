import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import type { FlowEvent, FlowPage, TraceSegment, TraceStore } from "#core/tracing";
import { egressSegment, expected, H1, H2, H3, ingressSegment, START_MS } from "../support/tracing-example.ts";
import { flowId, requestId, token } from "../support/tracing-samples.ts";
import { traceStoreBounds } from "./trace-store-bounds.ts";
import { traceStoreQueries } from "./trace-store-queries.ts";

/** A store under test with a clock that the test moves. */
export interface TraceStoreUnderTest {
  readonly store: TraceStore;
  readonly advance: (ms: number) => void;
  readonly close: () => Promise<void>;
  /** Another process's store on the same data, or this one after a restart; absent where the data goes with the store. */
  readonly again?: () => Promise<TraceStore>;
}

/** For each tenant, but for the events. */
export interface TraceStoreBounds {
  readonly maxFlows: number;
  readonly maxEvents: number;
  readonly maxBytes?: number;
  readonly maxAgeMs?: number;
  readonly maxPins?: number;
}

export type MakeTraceStore = (bounds: TraceStoreBounds) => Promise<TraceStoreUnderTest>;

/** Flow trace `n`: its own copy to h2. */
const ingress = (n: number, more: Partial<TraceSegment> = {}): TraceSegment =>
  ingressSegment({
    segmentId: `h1 1 ${n}`,
    flowTraceId: flowId(n),
    expects: [expected(H2, "h2", 5, n)],
    startedAtMs: START_MS + n,
    ...more,
  });
const egress = (n: number, more: Partial<TraceSegment> = {}): TraceSegment =>
  egressSegment(H2, "h2", n, { segmentId: `h2 1 ${n}`, flowTraceId: flowId(n), ...more });
const REQUEST = requestId(0xe1);
const OTHER = requestId(0xe2);
const ids = (page: FlowPage): string[] => page.flows.map((f) => f.trace.flowTraceId);
const add = async (store: TraceStore, ...segments: TraceSegment[]): Promise<readonly string[]> =>
  (await store.add(segments)).changed;
const flowIds = (...n: number[]): string[] => n.map((v) => flowId(v));

/** What every implementation of TraceStore does. `make` gives one that keeps `bounds.maxFlows` flow traces. */
export function traceStoreContract(name: string, make: MakeTraceStore): void {
  const on = (
    what: string,
    body: (t: TraceStoreUnderTest) => Promise<void>,
    bounds: TraceStoreBounds = { maxFlows: 100, maxEvents: 100 },
  ): void => {
    it(what, async () => {
      const t = await make(bounds);
      try {
        await body(t);
      } finally {
        await t.close();
      }
    });
  };

  describe(`trace store: ${name}`, () => {
    on("joins segments that come in any order, and takes each once", async ({ store }) => {
      assert.deepEqual(await add(store, egress(1)), [flowId(1)]);
      assert.equal((await store.flow(flowId(1)))?.completeness.state, "unknown");
      assert.deepEqual(await add(store, ingress(1)), [flowId(1)]);
      assert.deepEqual(await add(store, ingress(1)), []);
      const trace = await store.flow(flowId(1));
      assert.deepEqual(
        [trace?.verdict, trace?.completeness.state, trace?.segments.length],
        ["delivered", "complete", 2],
      );
      assert.equal(await store.flow(flowId(2)), null);
    });

    on("pages newest first, stable while flow traces come and grow", async ({ store }) => {
      for (let n = 1; n <= 5; n++) await add(store, ingress(n));
      const first = await store.flows(REQUEST, { limit: 2 });
      assert.deepEqual([ids(first), first.more], [flowIds(5, 4), true]);
      await add(store, ingress(6));
      await add(store, egress(3));
      const before = first.flows.at(-1)?.cursor ?? "";
      const second = await store.flows(REQUEST, { limit: 2, before });
      assert.deepEqual([ids(second), second.more], [flowIds(3, 2), true]);
      const third = await store.flows(REQUEST, { limit: 2, before: second.flows.at(-1)?.cursor ?? "" });
      assert.deepEqual([ids(third), third.more], [flowIds(1), false]);
      assert.deepEqual(ids(await store.flows(REQUEST, { limit: 9, after: before })), flowIds(6, 5));
      assert.deepEqual(ids(await store.flows(REQUEST, { limit: 1, after: before })), flowIds(5));
      assert.deepEqual(ids(await store.flows(OTHER, { limit: 9 })), []);
    });

    on("walking the pages gives each flow trace once", async ({ store }) => {
      for (let n = 1; n <= 17; n++) await add(store, ingress(n));
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 20 }), async (limit) => {
          const seen: string[] = [];
          let before: string | undefined;
          for (;;) {
            const page = await store.flows(REQUEST, before === undefined ? { limit } : { limit, before });
            seen.push(...ids(page));
            if (!page.more) break;
            before = page.flows.at(-1)?.cursor;
          }
          assert.deepEqual(seen, flowIds(...Array.from({ length: 17 }, (_, i) => 17 - i)));
        }),
        { numRuns: 20 },
      );
    });

    on("filters by verdict and by host", async ({ store }) => {
      await add(store, ingress(1));
      await add(store, egress(1));
      await add(store, ingress(2, { verdict: "consumed", expects: [] }));
      assert.deepEqual(ids(await store.flows(REQUEST, { limit: 9, verdict: "consumed" })), flowIds(2));
      assert.deepEqual(ids(await store.flows(REQUEST, { limit: 9, host: "h2" })), flowIds(1));
      assert.deepEqual(ids(await store.flows(REQUEST, { limit: 9, host: H1 })), flowIds(2, 1));
    });

    on("refuses cursors and limits that are none", async ({ store }) => {
      for (const query of [{ limit: 0 }, { limit: 1.5 }, { limit: 1, before: "x" }, { limit: 1, after: "-1" }])
        await assert.rejects(store.flows(REQUEST, query), { code: "VALIDATION" });
    });

    on("joins an orphan when its flow trace is known, whichever comes first", async ({ store }) => {
      const orphan = (n: number): TraceSegment => egress(n, { flowTraceId: null, requestIds: [] });
      assert.deepEqual(await add(store, orphan(1)), []);
      assert.equal((await store.orphans()).length, 1);
      assert.deepEqual(await add(store, ingress(1)), [flowId(1)]);
      assert.equal((await store.flow(flowId(1)))?.segments[1]?.joinedBy, "token");
      await add(store, ingress(2));
      assert.deepEqual(await add(store, orphan(2)), [flowId(2)]);
      assert.deepEqual(await add(store, orphan(2)), []);
      assert.deepEqual(await store.orphans(), []);
    });

    on("leaves an orphan alone that fits two flow traces, and says state-lost", async ({ store, advance }) => {
      await add(store, ingress(1));
      await add(store, ingress(2, { expects: [expected(H2, "h2", 5, 1)] }));
      assert.deepEqual(await add(store, egress(1, { flowTraceId: null, requestIds: [] })), []);
      advance(10_000);
      assert.equal((await store.orphans()).length, 1);
      assert.equal((await store.flow(flowId(1)))?.completeness.missing[0]?.reason, "state-lost");
    });

    on("remembers what hosts say they lost", async ({ store, advance }) => {
      await add(store, ingress(1));
      await store.lost(H2, 3, "the queue was full");
      await store.lost(H3, 3, "the queue was full");
      advance(10_000);
      assert.equal((await store.flow(flowId(1)))?.completeness.missing[0]?.reason, "segments-lost");
    });

    on("tells subscribers of a request what is new and what changed, in order, until they leave", async ({ store }) => {
      const mine: FlowEvent[] = [];
      const all: FlowEvent[] = [];
      store.subscribe(null, () => {
        throw new Error("a bad listener");
      });
      const leave = store.subscribe(OTHER, (e) => mine.push(e));
      store.subscribe(null, (e) => all.push(e));
      await add(store, ingress(1));
      await add(store, ingress(2, { requestIds: [OTHER] }));
      await add(store, egress(2, { requestIds: [OTHER] }));
      await add(store, egress(2, { requestIds: [OTHER] }));
      assert.deepEqual(
        mine.map((e) => [e.flowTraceId, e.change]),
        [
          [flowId(2), "new"],
          [flowId(2), "changed"],
        ],
      );
      leave();
      await add(store, ingress(3, { requestIds: [OTHER] }));
      assert.equal(mine.length, 2);
      const order = all.map((e) => e.id);
      assert.deepEqual(
        order,
        order.toSorted((a, b) => a - b),
      );
      assert.equal(new Set(order).size, 4);
      assert.equal(store.lastEventId(), order.at(-1));
    });

    on("announces that what was awaited is overdue, once", async ({ store, advance }) => {
      await add(store, ingress(1));
      await add(store, ingress(2));
      await add(store, egress(2));
      assert.deepEqual(await store.settle(), []);
      advance(5_000);
      assert.deepEqual(await store.settle(), [flowId(1)]);
      assert.deepEqual(await store.settle(), []);
      assert.equal((await store.flow(flowId(1)))?.completeness.state, "partial");
    });

    on(
      "replays events to one who comes back, and marks a gap when they are gone",
      async ({ store }) => {
        const start = store.lastEventId();
        assert.deepEqual(await store.since(null, start), { gap: false, events: [] });
        await add(store, ingress(1));
        await add(store, ingress(2, { requestIds: [OTHER] }));
        const replay = await store.since(REQUEST, start);
        assert.deepEqual([replay.gap, replay.events.map((e) => e.flowTraceId)], [false, [flowId(1)]]);
        for (let n = 3; n <= 40; n++) await add(store, ingress(n));
        const late = await store.since(null, start);
        assert.equal(late.gap, true);
        assert.ok(late.events.length >= 10 && late.events.length <= 20);
        assert.equal(late.events.at(-1)?.id, store.lastEventId());
        assert.deepEqual(await store.since(null, store.lastEventId()), { gap: false, events: [] });
        assert.equal((await store.since(null, store.lastEventId() + 1)).gap, true);
        assert.equal((await store.since(null, 0)).gap, true);
      },
      { maxFlows: 100, maxEvents: 10 },
    );

    on(
      "throws out the oldest flow trace when full, and counts it",
      async ({ store }) => {
        for (let n = 1; n <= 4; n++) await add(store, ingress(n));
        assert.equal(store.evicted, 1);
        assert.equal(await store.flow(flowId(1)), null);
        assert.deepEqual(ids(await store.flows(REQUEST, { limit: 9 })), flowIds(4, 3, 2));
      },
      { maxFlows: 3, maxEvents: 10 },
    );

    on("forgets a request with the flow traces that nobody else asked for", async ({ store }) => {
      await add(store, ingress(1));
      await add(store, ingress(2, { requestIds: [REQUEST, OTHER] }));
      await store.forgetRequest(REQUEST);
      assert.equal(await store.flow(flowId(1)), null);
      assert.deepEqual((await store.flow(flowId(2)))?.traceRequestIds, [OTHER]);
      assert.deepEqual(ids(await store.flows(REQUEST, { limit: 9 })), []);
      assert.deepEqual(await add(store, egress(1)), []);
      assert.equal(await store.flow(flowId(1)), null);
      await add(store, egress(2, { requestIds: [REQUEST, OTHER] }));
      assert.deepEqual(ids(await store.flows(REQUEST, { limit: 9 })), []);
    });

    on("tells nobody's token from another's", async ({ store }) => {
      await add(store, ingress(1));
      const stranger = { fromIp: "172.16.0.1", tunnelKey: 5, token: token(9), duplicate: false };
      await add(store, egress(1, { flowTraceId: null, requestIds: [], arrival: stranger }));
      assert.equal((await store.flow(flowId(1)))?.segments.length, 1);
      assert.equal((await store.orphans()).length, 1);
    });
  });
  traceStoreQueries(name, make);
  traceStoreBounds(name, make);
}
