import assert from "node:assert/strict";
import { it } from "node:test";
import { assembleFlowTrace, type FlowTrace, renderFlowTrace, toPublic, type TraceSegment } from "#core/tracing";
import { egressSegment, H2, ingressSegment, START_MS } from "../../support/tracing-example.ts";

const tree = (ingress: Partial<TraceSegment>, egress: Partial<TraceSegment>): string => {
  const segments = [ingressSegment(ingress), egressSegment(H2, "h2", 1, egress)];
  const trace = assembleFlowTrace(segments, { nowMs: START_MS + 60_000 }) as FlowTrace;
  return renderFlowTrace(toPublic(trace), { colour: false, width: 200 });
};

it("times of hosts whose clocks are known are shown as they were, with the offset where it is large", () => {
  const apart = tree({ clockOffsetMs: -150_000 }, { clockOffsetMs: 150_000, startedAtMs: START_MS + 300_004 });
  assert.match(apart, /host h1 {2}ingress, its clock -150000 ms\n/);
  assert.match(apart, /host h2 {2}egress, \+4 ms, its clock \+150000 ms\n/);
  const close = tree({ clockOffsetMs: 2 }, { clockOffsetMs: -3, startedAtMs: START_MS - 4 });
  assert.match(close, /host h2 {2}egress, \+1 ms\n/);
});

it("where they are not known, as the clocks say", () => {
  assert.match(tree({}, { startedAtMs: START_MS - 9 }), /host h2 {2}egress, -9 ms, clocks differ\n/);
  assert.match(tree({}, { startedAtMs: START_MS + 9 }), /host h2 {2}egress, \+9 ms\n/);
});
