import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import type { FlowEvent, FlowPage, TraceSegment, TraceStore } from "#core/tracing";
import { egressSegment, expected, H1, H2, H3, ingressSegment, START_MS } from "../support/tracing-example.ts";
import { flowId, requestId, token } from "../support/tracing-samples.ts";

/** A store under test with a clock that the test moves. */
export interface TraceStoreUnderTest {
  readonly store: TraceStore;
  readonly advance: (ms: number) => void;
  readonly close: () => void;
}

export interface TraceStoreBounds {
  readonly maxFlows: number;
  readonly maxEvents: number;
}

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
const flowIds = (...n: number[]): string[] => n.map((v) => flowId(v));

/** What every implementation of TraceStore does. `make` gives one that keeps `bounds.maxFlows` flow traces. */
export function traceStoreContract(name: string, make: (bounds: TraceStoreBounds) => TraceStoreUnderTest): void {
  const on = (
    what: string,
    body: (t: TraceStoreUnderTest) => void,
    bounds: TraceStoreBounds = { maxFlows: 100, maxEvents: 100 },
  ): void => {
    it(what, () => {
      const t = make(bounds);
      try {
        body(t);
      } finally {
        t.close();
      }
    });
  };

  describe(`trace store: ${name}`, () => {
    on("joins segments that come in any order, and takes each once", ({ store }) => {
      assert.deepEqual(store.add(egress(1)), [flowId(1)]);
      assert.equal(store.flow(flowId(1))?.completeness.state, "unknown");
      assert.deepEqual(store.add(ingress(1)), [flowId(1)]);
      assert.deepEqual(store.add(ingress(1)), []);
      const trace = store.flow(flowId(1));
      assert.deepEqual(
        [trace?.verdict, trace?.completeness.state, trace?.segments.length],
        ["delivered", "complete", 2],
      );
      assert.equal(store.flow(flowId(2)), null);
    });

    on("pages newest first, stable while flow traces come and grow", ({ store }) => {
      for (let n = 1; n <= 5; n++) store.add(ingress(n));
      const first = store.flows(REQUEST, { limit: 2 });
      assert.deepEqual([ids(first), first.more], [flowIds(5, 4), true]);
      store.add(ingress(6));
      store.add(egress(3));
      const before = first.flows.at(-1)?.cursor ?? "";
      const second = store.flows(REQUEST, { limit: 2, before });
      assert.deepEqual([ids(second), second.more], [flowIds(3, 2), true]);
      const third = store.flows(REQUEST, { limit: 2, before: second.flows.at(-1)?.cursor ?? "" });
      assert.deepEqual([ids(third), third.more], [flowIds(1), false]);
      assert.deepEqual(ids(store.flows(REQUEST, { limit: 9, after: before })), flowIds(6, 5));
      assert.deepEqual(ids(store.flows(REQUEST, { limit: 1, after: before })), flowIds(5));
      assert.deepEqual(ids(store.flows(OTHER, { limit: 9 })), []);
    });

    on("walking the pages gives each flow trace once", ({ store }) => {
      for (let n = 1; n <= 17; n++) store.add(ingress(n));
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 20 }), (limit) => {
          const seen: string[] = [];
          let before: string | undefined;
          for (;;) {
            const page = store.flows(REQUEST, before === undefined ? { limit } : { limit, before });
            seen.push(...ids(page));
            if (!page.more) break;
            before = page.flows.at(-1)?.cursor;
          }
          assert.deepEqual(seen, flowIds(...Array.from({ length: 17 }, (_, i) => 17 - i)));
        }),
        { numRuns: 20 },
      );
    });

    on("filters by verdict and by host", ({ store }) => {
      store.add(ingress(1));
      store.add(egress(1));
      store.add(ingress(2, { verdict: "consumed", expects: [] }));
      assert.deepEqual(ids(store.flows(REQUEST, { limit: 9, verdict: "consumed" })), flowIds(2));
      assert.deepEqual(ids(store.flows(REQUEST, { limit: 9, host: "h2" })), flowIds(1));
      assert.deepEqual(ids(store.flows(REQUEST, { limit: 9, host: H1 })), flowIds(2, 1));
    });

    on("refuses cursors and limits that are none", ({ store }) => {
      for (const query of [{ limit: 0 }, { limit: 1.5 }, { limit: 1, before: "x" }, { limit: 1, after: "-1" }])
        assert.throws(() => store.flows(REQUEST, query), { code: "VALIDATION" });
    });

    on("joins an orphan when its flow trace is known, whichever comes first", ({ store }) => {
      const orphan = (n: number): TraceSegment => egress(n, { flowTraceId: null, requestIds: [] });
      assert.deepEqual(store.add(orphan(1)), []);
      assert.equal(store.orphans().length, 1);
      assert.deepEqual(store.add(ingress(1)), [flowId(1)]);
      assert.equal(store.flow(flowId(1))?.segments[1]?.joinedBy, "token");
      store.add(ingress(2));
      assert.deepEqual(store.add(orphan(2)), [flowId(2)]);
      assert.deepEqual(store.add(orphan(2)), []);
      assert.deepEqual(store.orphans(), []);
    });

    on("leaves an orphan alone that fits two flow traces, and says state-lost", ({ store, advance }) => {
      store.add(ingress(1));
      store.add(ingress(2, { expects: [expected(H2, "h2", 5, 1)] }));
      assert.deepEqual(store.add(egress(1, { flowTraceId: null, requestIds: [] })), []);
      advance(10_000);
      assert.equal(store.orphans().length, 1);
      assert.equal(store.flow(flowId(1))?.completeness.missing[0]?.reason, "state-lost");
    });

    on("remembers what hosts say they lost", ({ store, advance }) => {
      store.add(ingress(1));
      store.lost(H2, 3, "the queue was full");
      store.lost(H3, 3, "the queue was full");
      advance(10_000);
      assert.equal(store.flow(flowId(1))?.completeness.missing[0]?.reason, "segments-lost");
    });

    on("tells subscribers of a request what is new and what changed, in order, until they leave", ({ store }) => {
      const mine: FlowEvent[] = [];
      const all: FlowEvent[] = [];
      store.subscribe(null, () => {
        throw new Error("a bad listener");
      });
      const leave = store.subscribe(OTHER, (e) => mine.push(e));
      store.subscribe(null, (e) => all.push(e));
      store.add(ingress(1));
      store.add(ingress(2, { requestIds: [OTHER] }));
      store.add(egress(2, { requestIds: [OTHER] }));
      store.add(egress(2, { requestIds: [OTHER] }));
      assert.deepEqual(
        mine.map((e) => [e.flowTraceId, e.change]),
        [
          [flowId(2), "new"],
          [flowId(2), "changed"],
        ],
      );
      leave();
      store.add(ingress(3, { requestIds: [OTHER] }));
      assert.equal(mine.length, 2);
      const order = all.map((e) => e.id);
      assert.deepEqual(
        order,
        order.toSorted((a, b) => a - b),
      );
      assert.equal(new Set(order).size, 4);
      assert.equal(store.lastEventId(), order.at(-1));
    });

    on("announces that what was awaited is overdue, once", ({ store, advance }) => {
      store.add(ingress(1));
      store.add(ingress(2));
      store.add(egress(2));
      assert.deepEqual(store.settle(), []);
      advance(5_000);
      assert.deepEqual(store.settle(), [flowId(1)]);
      assert.deepEqual(store.settle(), []);
      assert.equal(store.flow(flowId(1))?.completeness.state, "partial");
    });

    on(
      "replays events to one who comes back, and marks a gap when they are gone",
      ({ store }) => {
        const start = store.lastEventId();
        assert.deepEqual(store.since(null, start), { gap: false, events: [] });
        store.add(ingress(1));
        store.add(ingress(2, { requestIds: [OTHER] }));
        const replay = store.since(REQUEST, start);
        assert.deepEqual([replay.gap, replay.events.map((e) => e.flowTraceId)], [false, [flowId(1)]]);
        for (let n = 3; n <= 40; n++) store.add(ingress(n));
        const late = store.since(null, start);
        assert.equal(late.gap, true);
        assert.ok(late.events.length >= 10 && late.events.length <= 20);
        assert.equal(late.events.at(-1)?.id, store.lastEventId());
        assert.deepEqual(store.since(null, store.lastEventId()), { gap: false, events: [] });
        assert.equal(store.since(null, store.lastEventId() + 1).gap, true);
        assert.equal(store.since(null, 0).gap, true);
      },
      { maxFlows: 100, maxEvents: 10 },
    );

    on(
      "throws out the oldest flow trace when full, and counts it",
      ({ store }) => {
        for (let n = 1; n <= 4; n++) store.add(ingress(n));
        assert.equal(store.evicted, 1);
        assert.equal(store.flow(flowId(1)), null);
        assert.deepEqual(ids(store.flows(REQUEST, { limit: 9 })), flowIds(4, 3, 2));
      },
      { maxFlows: 3, maxEvents: 10 },
    );

    on("forgets a request with the flow traces that nobody else asked for", ({ store }) => {
      store.add(ingress(1));
      store.add(ingress(2, { requestIds: [REQUEST, OTHER] }));
      store.forgetRequest(REQUEST);
      assert.equal(store.flow(flowId(1)), null);
      assert.deepEqual(store.flow(flowId(2))?.traceRequestIds, [OTHER]);
      assert.deepEqual(ids(store.flows(REQUEST, { limit: 9 })), []);
      assert.deepEqual(store.add(egress(1)), []);
      assert.equal(store.flow(flowId(1)), null);
      store.add(egress(2, { requestIds: [REQUEST, OTHER] }));
      assert.deepEqual(ids(store.flows(REQUEST, { limit: 9 })), []);
    });

    on("tells nobody's token from another's", ({ store }) => {
      store.add(ingress(1));
      const stranger = { fromIp: "172.16.0.1", tunnelKey: 5, token: token(9), duplicate: false };
      store.add(egress(1, { flowTraceId: null, requestIds: [], arrival: stranger }));
      assert.equal(store.flow(flowId(1))?.segments.length, 1);
      assert.equal(store.orphans().length, 1);
    });
  });
}
