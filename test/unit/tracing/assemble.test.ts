import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { type AssembleContext, assembleFlowTrace, type FlowTrace, joinOrphan, type TraceSegment } from "#core/tracing";
import {
  droppedSegment,
  egressSegment,
  expected,
  H1,
  H2,
  H3,
  ingressSegment,
  START_MS,
} from "../../support/tracing-example.ts";
import { flowId, requestId } from "../../support/tracing-samples.ts";

const LATER: AssembleContext = { nowMs: START_MS + 60_000 };

function assemble(segments: readonly TraceSegment[], ctx: AssembleContext = LATER): FlowTrace {
  const trace = assembleFlowTrace(segments, ctx);
  assert.ok(trace !== null);
  return trace;
}

const flooded = (): TraceSegment =>
  ingressSegment({ verdict: "flooded", expects: [expected(H2, "h2"), expected(H3, "h3")] });
const h2 = (more: Partial<TraceSegment> = {}): TraceSegment => egressSegment(H2, "h2", 1, more);
const h3 = (more: Partial<TraceSegment> = {}): TraceSegment => egressSegment(H3, "h3", 1, more);
const failed = { verdict: "dropped", dropReason: "port-inactive", steps: [] } as const;
const reasons = (t: FlowTrace): (string | null)[][] => t.completeness.missing.map((m) => [m.hostName, m.reason]);

describe("one flow trace from its segments", () => {
  it("is the same whatever the order, the clocks and the repetitions", () => {
    const all = [flooded(), h2(), h3({ startedAtMs: START_MS - 86_400_000 })];
    const wanted = assemble(all);
    assert.deepEqual(
      wanted.segments.map((s) => s.hostName),
      ["h1", "h2", "h3"],
    );
    assert.equal(wanted.completeness.state, "complete");
    fc.assert(
      fc.property(fc.shuffledSubarray([...all, ...all], { minLength: 6 }), (order) => {
        assert.deepEqual(assemble(order), wanted);
      }),
    );
  });

  it("takes verdict and key from the ingress host", () => {
    const t = assemble([h2({ key: { ...h2().key, srcPort: 99 } }), ingressSegment()]);
    assert.equal(t.verdict, "delivered");
    assert.equal(t.key.srcPort, 7);
    assert.equal(t.startedAtMs, START_MS);
    assert.equal(t.why, "Delivered to port blue-vm2 on host h2.");
  });

  it("names device, rule and chain of a filter that dropped", () => {
    const t = assemble([droppedSegment()]);
    assert.deepEqual([t.verdict, t.dropReason, t.completeness.state], ["dropped", "filter-drop", "complete"]);
    assert.equal(t.why, "Dropped at bridge red-net on host h1: rule 2 (drop) of chain red-in matched.");
  });

  it("is unknown, by the name of the host, while a copy is not accounted for", () => {
    const t = assemble([ingressSegment()]);
    assert.deepEqual([t.verdict, t.dropReason, t.completeness.state], ["unknown", null, "partial"]);
    assert.equal(t.why, "Not known: host h2 has not reported what became of the packet.");
    assert.deepEqual(reasons(t), [["h2", "segment-missing"]]);
  });

  it("is dropped when the egress host dropped the only copy", () => {
    const t = assemble([ingressSegment(), h2(failed)]);
    assert.deepEqual([t.verdict, t.dropReason], ["dropped", "port-inactive"]);
    assert.equal(t.why, "Dropped on host h2.");
  });

  it("is flooded, but says so, when one of several copies was dropped; dropped when all were", () => {
    const some = assemble([flooded(), h2(), h3(failed)]);
    assert.equal(some.verdict, "flooded");
    assert.equal(some.why, "Flooded to port blue-vm2 on host h2; but one copy was dropped on host h3.");
    assert.equal(assemble([flooded(), h2(failed), h3(failed)]).verdict, "dropped");
  });

  it("gives the reason why a host is missing", () => {
    const of = (ctx: Partial<AssembleContext>): unknown => {
      const t = assemble([ingressSegment()], { ...LATER, ...ctx });
      return [t.completeness.state, t.completeness.missing[0]?.reason];
    };
    assert.deepEqual(of({ nowMs: START_MS + 4_999 }), ["unknown", "awaited"]);
    assert.deepEqual(of({ nowMs: START_MS + 5_000 }), ["partial", "segment-missing"]);
    assert.deepEqual(of({ nowMs: 10, sinceMs: 9 }), ["unknown", "awaited"]);
    assert.deepEqual(of({ hostDown: (id) => id === H2 }), ["partial", "host-down"]);
    const lost = { count: 3, because: "the queue was full" };
    assert.deepEqual(of({ lost: [{ ...lost, hostId: H2 }] }), ["partial", "segments-lost"]);
    assert.deepEqual(of({ lost: [{ ...lost, hostId: H3 }] }), ["partial", "segment-missing"]);
    const about = { cause: "spool-full", requestIds: [], flowTraceIds: [flowId(0xf1)] } as const;
    assert.deepEqual(of({ nowMs: START_MS, lost: [{ ...lost, count: 1, hostId: H2, about }] }), [
      "partial",
      "segments-lost",
    ]);
    const others = { ...about, flowTraceIds: [flowId(2)] };
    assert.deepEqual(of({ lost: [{ ...lost, count: 1, hostId: H2, about: others }] }), ["partial", "segment-missing"]);
    assert.deepEqual(of({ lost: [{ ...lost, hostId: H2, about: others }] }), ["partial", "segments-lost"]);
    assert.deepEqual(of({ caughtUpMs: () => null }), ["partial", "late"]);
    assert.deepEqual(of({ caughtUpMs: () => START_MS + 4_999 }), ["partial", "late"]);
    assert.deepEqual(of({ caughtUpMs: () => START_MS + 5_000 }), ["partial", "segment-missing"]);
    assert.deepEqual(of({ orphans: [h2({ flowTraceId: null })] }), ["partial", "state-lost"]);
  });

  it("is partial when steps were lost, though the verdict stands", () => {
    const t = assemble([ingressSegment({ stepsLost: 4 }), h2()]);
    assert.deepEqual([t.verdict, t.completeness.state, reasons(t)], ["delivered", "partial", [["h1", "steps-lost"]]]);
  });

  it("is partial when a host told less, or could not ask the store, though the verdict stands", () => {
    const t = assemble([ingressSegment({ detail: "verdict" }), h2({ storeAway: true })]);
    const said = [
      ["h1", "truncated"],
      ["h2", "store-unreachable"],
    ];
    assert.deepEqual([t.verdict, t.completeness.state, reasons(t)], ["delivered", "partial", said]);
    assert.equal(t.why, "Delivered to port blue-vm2 on host h2.");
  });

  it("names the ingress host whose part is lost, when that host said so", () => {
    const about = { cause: "killed", requestIds: [], flowTraceIds: [flowId(0xf1)] } as const;
    const t = assemble([h2()], { ...LATER, lost: [{ hostId: H1, count: 1, because: "killed", about }] });
    assert.deepEqual([t.completeness.state, reasons(t)], ["unknown", [["h1", "segments-lost"]]]);
  });

  it("knows that it knows nothing without the ingress host", () => {
    const t = assemble([h2()]);
    assert.deepEqual(
      [t.verdict, t.completeness.state, reasons(t)],
      ["unknown", "unknown", [["h1", "ingress-missing"]]],
    );
    assert.equal(t.why, "Not known: the host where the packet entered has not reported; host h2: delivered.");
  });

  it("awaits the ingress host as any other, and knows nothing meanwhile", () => {
    const t = assemble([h2()], { nowMs: 10, sinceMs: 9 });
    assert.deepEqual([t.verdict, t.completeness.state, reasons(t)], ["unknown", "unknown", [["h1", "awaited"]]]);
  });

  it("keeps a duplicate of the underlay, marked, without a say in verdict and completeness", () => {
    const again = h2({ ...failed, segmentId: "h2 1 2", arrival: { ...arrival(h2()), duplicate: true } });
    const t = assemble([again, ingressSegment(), h2()]);
    assert.deepEqual(
      t.segments.map((s) => [s.segmentId, s.duplicate]),
      [
        ["h1 1 1", false],
        ["h2 1 1", false],
        ["h2 1 2", true],
      ],
    );
    assert.deepEqual([t.verdict, t.completeness.state], ["delivered", "complete"]);
  });

  it("lists each request once, and is nothing without an id", () => {
    const t = assemble([ingressSegment(), h2({ requestIds: [requestId(2), requestId(0xe1)] })]);
    assert.deepEqual(t.traceRequestIds, [requestId(0xe1), requestId(2)]);
    assert.equal(assembleFlowTrace([], LATER), null);
    assert.equal(assembleFlowTrace([h2({ flowTraceId: null })], LATER), null);
  });
});

const arrival = (s: TraceSegment): NonNullable<TraceSegment["arrival"]> => {
  assert.ok(s.arrival !== null);
  return s.arrival;
};

describe("an orphan", () => {
  const orphan = h2({ flowTraceId: null, requestIds: [] });

  it("belongs to the one flow trace that sent it, and the answer is whole", () => {
    assert.equal(joinOrphan(orphan, [[ingressSegment()]]), flowId(0xf1));
    const t = assemble([ingressSegment(), orphan]);
    assert.deepEqual([t.verdict, t.completeness.state, t.segments[1]?.joinedBy], ["delivered", "complete", "token"]);
  });

  it("stays one when two sent the same, none did, the copy is reported, or another host sent it", () => {
    const other = ingressSegment({ segmentId: "h3 1 1", hostId: H3, flowTraceId: flowId(2) });
    assert.equal(joinOrphan(orphan, [[ingressSegment()], [other]]), null);
    assert.equal(joinOrphan(orphan, []), null);
    assert.equal(joinOrphan(orphan, [[ingressSegment({ expects: [expected(H2, "h2", 6)] })]]), null);
    assert.equal(joinOrphan(orphan, [[ingressSegment({ expects: [expected(H2, "h2", 5, 2)] })]]), null);
    assert.equal(joinOrphan(orphan, [[ingressSegment({ expects: [expected(H3, "h3")] })]]), null);
    assert.equal(joinOrphan(orphan, [[ingressSegment(), h2()]]), null);
    assert.equal(
      joinOrphan(orphan, [[ingressSegment()]], () => H3),
      null,
    );
    assert.equal(
      joinOrphan(orphan, [[ingressSegment()], [other]], () => H1),
      flowId(0xf1),
    );
    assert.equal(joinOrphan(h2(), [[ingressSegment()]]), null);
  });
});
