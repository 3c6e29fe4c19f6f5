import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type FlowFilter, redactFlowTrace, type TraceKey, type TraceSegment, type Viewer } from "#core/tracing";
import {
  BRIDGE,
  droppedSegment,
  egressSegment,
  expected,
  H1,
  H2,
  ingressSegment,
  RED,
  ROUTER,
  START_MS,
  VM1,
} from "../support/tracing-example.ts";
import { flowId, PING, requestId } from "../support/tracing-samples.ts";
import type { MakeTraceStore, TraceStoreUnderTest } from "./trace-store.ts";

const REQUEST = requestId(0xe1);
const OTHER = requestId(0xe2);
const TENANT: Viewer = { admin: false, tenantId: RED };
const STRANGER: Viewer = { admin: false, tenantId: "tenant-green" };
const BLUE: Viewer = { admin: false, tenantId: "tenant-blue" };
const UDP: TraceKey = { ...PING, networkProto: 17, srcPort: 4_000, dstPort: 53 };

const numbered = (n: number): Partial<TraceSegment> => ({
  segmentId: `h1 1 ${n}`,
  flowTraceId: flowId(n),
  startedAtMs: START_MS + n * 60_000,
});
/** Two parts: delivered at the other host. */
const delivered = (n: number, more: Partial<TraceSegment> = {}): TraceSegment[] => [
  ingressSegment({ ...numbered(n), expects: [expected(H2, "h2", 5, n)], ...more }),
  egressSegment(H2, "h2", n, { segmentId: `h2 1 ${n}`, flowTraceId: flowId(n) }),
];
const dropped = (n: number, more: Partial<TraceSegment> = {}): TraceSegment =>
  droppedSegment({ ...numbered(n), ...more });

/** What can be asked of every implementation of TraceStore. */
export function traceStoreQueries(name: string, make: MakeTraceStore): void {
  const on = (what: string, body: (t: TraceStoreUnderTest) => Promise<void>): void => {
    it(what, async () => {
      const t = await make({ maxFlows: 100, maxEvents: 100 });
      try {
        await body(t);
      } finally {
        await t.close();
      }
    });
  };

  describe(`queries of a trace store: ${name}`, () => {
    on("filter by everything that a flow has", async ({ store }) => {
      const web = { ...UDP, networkDst: "10.0.9.9", dstPort: 8_080 };
      await store.add([...delivered(1), dropped(2), dropped(3, { key: web }), ...delivered(4, { key: UDP })]);
      await store.add([ingressSegment({ ...numbered(5), expects: [expected(H2, "h2", 5, 5)] })]);
      const found = async (filter: FlowFilter, viewer?: Viewer): Promise<number[]> => {
        const asked = { ...filter, ...(viewer === undefined ? {} : { viewer }) };
        const { flows } = await store.flows(REQUEST, { limit: 10, ...asked });
        return flows.map((f) => Number.parseInt(f.trace.flowTraceId.slice(-4), 16));
      };
      const cases: readonly (readonly [FlowFilter, number[]])[] = [
        [{}, [5, 4, 3, 2, 1]],
        [{ verdict: "delivered" }, [4, 1]],
        [{ dropReason: "filter-drop" }, [3, 2]],
        [{ dropReason: "no-route" }, []],
        [{ completeness: "unknown" }, [5]],
        [{ completeness: "complete", verdict: "dropped" }, [3, 2]],
        [{ host: "h2" }, [4, 1]],
        [{ host: H1 }, [5, 4, 3, 2, 1]],
        [{ device: ROUTER.id }, [5, 4, 1]],
        [{ device: BRIDGE.name }, [5, 4, 3, 2, 1]],
        [{ device: "host h1" }, []],
        [{ address: "10.0.9.9" }, [3]],
        [{ address: "10.0.9.9", l4Port: 8_080 }, [3]],
        [{ l4Port: 8_080, address: "10.0.1.10" }, [3]],
        [{ l4Port: 8_080, verdict: "delivered" }, []],
        [{ address: "10.0.1.10", device: ROUTER.id }, [5, 4, 1]],
        [{ l4Port: 7 }, []],
        [{ l4Port: 53 }, [5, 4, 3, 2, 1]],
        [{ sinceMs: START_MS + 2 * 60_000, untilMs: START_MS + 4 * 60_000 }, [3, 2]],
        [{ sinceMs: START_MS + 4 * 60_000, verdict: "delivered" }, [4]],
        [{ untilMs: START_MS + 2 * 60_000, address: "10.0.1.10" }, [1]],
        [{ sinceMs: START_MS + 900 * 60_000 }, []],
      ];
      for (const [filter, expectedFlows] of cases) {
        assert.deepEqual(await found(filter), expectedFlows, JSON.stringify(filter));
        const { paths } = await store.paths(REQUEST, { limit: 10, ...filter });
        const counted = paths.reduce((sum, p) => sum + p.count, 0);
        assert.equal(counted, expectedFlows.length, `paths with ${JSON.stringify(filter)}`);
      }
      await assert.rejects(found({ address: "10.0.0" }), { code: "VALIDATION" });
      await assert.rejects(store.paths(REQUEST, { limit: 0 }), { code: "VALIDATION" });
    });

    on("pages with a filter as without, forwards and backwards", async ({ store }) => {
      for (let n = 1; n <= 12; n++) await store.add(n % 3 === 0 ? [dropped(n)] : delivered(n));
      for (const filter of [{ verdict: "delivered" }, { l4Port: 53, verdict: "delivered" }] as const) {
        const seen: string[] = [];
        let before: string | undefined;
        for (;;) {
          const page = await store.flows(REQUEST, { limit: 3, ...filter, ...(before === undefined ? {} : { before }) });
          seen.push(...page.flows.map((f) => f.trace.flowTraceId));
          if (!page.more) break;
          before = page.flows.at(-1)?.cursor;
        }
        assert.deepEqual(seen, [11, 10, 8, 7, 5, 4, 2, 1].map(flowId));
        const newer = await store.flows(REQUEST, { limit: 2, after: before ?? "", ...filter });
        assert.deepEqual([newer.flows.map((f) => f.trace.flowTraceId), newer.more], [[flowId(7), flowId(5)], true]);
      }
    });

    on("group flows into paths, with counts, times and the newest as sample", async ({ store }) => {
      for (const n of [1, 2, 4]) await store.add(delivered(n));
      await store.add([dropped(3), dropped(5, { key: UDP })]);
      const { paths, more } = await store.paths(REQUEST, { limit: 10 });
      assert.equal(more, false);
      assert.deepEqual(
        paths.map((p) => [p.verdict, p.dropReason, p.count, p.firstSeenMs, p.lastSeenMs, p.sample]),
        [
          ["delivered", null, 3, START_MS + 60_000, START_MS + 240_000, flowId(4)],
          ["dropped", "filter-drop", 2, START_MS + 180_000, START_MS + 300_000, flowId(5)],
        ],
      );
      const [first] = paths;
      assert.deepEqual(
        first?.hops.map((h) => [h.hostName, h.role, h.devices.map((d) => ("name" in d ? d.name : "?"))]),
        [
          ["h1", "ingress", ["red-vm1", "red-net", "provider-router", "blue-vm2"]],
          ["h2", "egress", ["blue-vm2"]],
        ],
      );
      assert.match(paths[1]?.why ?? "", /rule 2 \(drop\) of chain red-in/);
      const short = await store.paths(REQUEST, { limit: 1 });
      assert.deepEqual([short.paths.length, short.more], [1, true]);
      assert.deepEqual(await store.paths(OTHER, { limit: 1 }), { paths: [], more: false });
    });

    on("count a flow once, however its path changes while its parts come", async ({ store, advance }) => {
      const [ingress, egress] = delivered(1);
      assert.ok(ingress !== undefined && egress !== undefined);
      await store.add([egress]);
      await store.add([ingress]);
      await store.add([ingressSegment({ ...numbered(2), expects: [expected(H2, "h2", 5, 2)] })]);
      advance(10_000);
      await store.settle();
      const { paths } = await store.paths(REQUEST, { limit: 10 });
      assert.deepEqual(
        new Map(paths.map((p) => [p.verdict, p.count])),
        new Map([
          ["delivered", 1],
          ["unknown", 1],
        ]),
      );
      const partial = await store.flows(REQUEST, { limit: 9, completeness: "partial" });
      assert.deepEqual(
        partial.flows.map((f) => f.trace.flowTraceId),
        [flowId(2)],
        "what became overdue is found as such",
      );
    });

    on("show a tenant paths of its own devices only, which what is withheld does not tell apart", async ({ store }) => {
      const [ingress, egress] = delivered(1);
      assert.ok(ingress !== undefined && egress !== undefined);
      // Another route at somebody else's router.
      const elsewhere = ingress.steps.map((x) =>
        x.device.id === ROUTER.id ? { ...x, device: { ...x.device, id: `${x.device.id}9`, name: "other-router" } } : x,
      );
      await store.add([ingress, egress]);
      await store.add(delivered(2, { steps: elsewhere }));
      assert.equal((await store.paths(REQUEST, { limit: 10 })).paths.length, 2);
      const { paths } = await store.paths(REQUEST, { limit: 10, viewer: TENANT });
      assert.deepEqual(
        paths.map((p) => p.count),
        [2],
      );
      const text = JSON.stringify(paths);
      for (const secret of ["router", "blue", H1, H2, '"h1"']) assert.ok(!text.includes(secret), `${secret}: ${text}`);
      assert.match(text, /red-net.*"withheld":true/);
    });

    on("answer a tenant's filters from what the tenant sees", async ({ store }) => {
      // Behind the tenant's devices the destination is rewritten, and dropped for want of a route.
      const [ingress] = delivered(1);
      assert.ok(ingress !== undefined);
      const rewritten = ingress.steps.map((x) =>
        x.kind === "rewrite" ? { ...x, after: { ...x.after, nwDst: "192.0.2.77" } } : x,
      );
      const foreignDrop = {
        device: ROUTER,
        owner: "tenant-provider",
        kind: "drop",
        reason: "no-route",
        detail: "",
      } as const;
      const steps = [...rewritten.slice(0, 14), { ...foreignDrop, seq: 15, atMs: START_MS }];
      await store.add([{ ...ingress, steps, verdict: "dropped", dropReason: "no-route", expects: [] }, dropped(2)]);
      const count = async (filter: FlowFilter, viewer?: Viewer): Promise<number[]> => {
        const asked = { limit: 10, ...filter, ...(viewer === undefined ? {} : { viewer }) };
        const { flows } = await store.flows(REQUEST, asked);
        const { paths } = await store.paths(REQUEST, asked);
        return [flows.length, paths.reduce((sum, p) => sum + p.count, 0)];
      };
      const secrets: FlowFilter[] = [
        { address: "192.0.2.77" },
        { dropReason: "no-route" },
        { device: ROUTER.id },
        { host: H1 },
      ];
      for (const filter of secrets) {
        assert.notDeepEqual(await count(filter), [0, 0], JSON.stringify(filter));
        assert.deepEqual(await count(filter, TENANT), [0, 0], `${JSON.stringify(filter)} for the tenant`);
      }
      assert.deepEqual(await count({ address: PING.networkSrc ?? "" }, TENANT), [2, 2]);
      assert.deepEqual(await count({ dropReason: "filter-drop", device: VM1.id }, TENANT), [1, 1]);
      for (const viewer of [STRANGER, BLUE])
        assert.deepEqual(await count({ address: PING.networkSrc ?? "" }, viewer), [0, 0]);
    });

    on("sum up requests", async ({ store }) => {
      await store.add([...delivered(1), dropped(2), dropped(3, { requestIds: [REQUEST, OTHER] })]);
      assert.deepEqual(await store.summaries([OTHER, requestId(1), REQUEST]), [
        { requestId: OTHER, flows: 1, lastFlowAtMs: START_MS + 180_000, verdicts: { dropped: 1 } },
        { requestId: requestId(1), flows: 0, lastFlowAtMs: null, verdicts: {} },
        { requestId: REQUEST, flows: 3, lastFlowAtMs: START_MS + 180_000, verdicts: { delivered: 1, dropped: 2 } },
      ]);
      const [mine] = await store.summaries([REQUEST], TENANT);
      assert.equal(mine?.flows, 3);
      await store.forgetRequest(REQUEST);
      assert.equal((await store.summaries([REQUEST]))[0]?.flows, 0);
    });

    on("link the two directions of a conversation", async ({ store, advance }) => {
      const back: TraceKey = { ...PING, networkSrc: PING.networkDst, networkDst: PING.networkSrc };
      await store.add(delivered(1));
      await store.add([
        dropped(2, { key: back, requestIds: [OTHER] }),
        dropped(3, { key: { ...back, srcPort: 8, dstPort: 8 } }),
      ]);
      const { counterparts } = await store.about(flowId(1));
      assert.deepEqual(counterparts, [{ flowTraceId: flowId(2), requestIds: [OTHER] }]);
      assert.deepEqual(
        (await store.about(flowId(2))).counterparts.map((c) => c.flowTraceId),
        [flowId(1)],
      );
      // The same addresses on other devices are somebody else's.
      const elsewhere = droppedSegment().steps.map((x) => ({ ...x, device: { ...x.device, id: `${x.device.id}9` } }));
      await store.add([dropped(4, { key: back, steps: elsewhere })]);
      advance(600_000);
      await store.add([dropped(5, { key: back })]);
      assert.deepEqual(
        (await store.about(flowId(1))).counterparts.map((c) => c.flowTraceId),
        [flowId(2)],
        "neither on other devices nor later",
      );
      await store.forgetRequest(OTHER);
      assert.deepEqual((await store.about(flowId(1))).counterparts, []);
    });

    on("give flows as they came, whatever became of the topology since", async ({ store }) => {
      const segments = delivered(1);
      await store.add(segments);
      const trace = await store.flow(flowId(1));
      assert.deepEqual(
        trace?.segments.map((s) => s.steps),
        segments.map((s) => s.steps),
      );
      assert.ok(trace !== null);
      assert.match(
        JSON.stringify(redactFlowTrace(trace, { admin: true, tenantId: "" })),
        /did not match: dst port wanted 80/,
      );
    });
  });
}
