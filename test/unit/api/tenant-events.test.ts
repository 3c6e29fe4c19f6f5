import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assembleFlowTrace, type FlowTrace, type TraceSegment } from "#core/tracing";
import { TenantEvents } from "../../../src/apps/api/tenant-events.ts";
import { egressSegment, ingressSegment, RED, START_MS } from "../../support/tracing-example.ts";

const LATER_MS = 60_000;
const traceOf = (nowMs: number, ...segments: TraceSegment[]): FlowTrace => {
  const trace = assembleFlowTrace(segments, { nowMs });
  assert.ok(trace !== null);
  return trace;
};
const whole = traceOf(START_MS, ingressSegment(), egressSegment());

describe("events of a tenant", () => {
  it("tell a flow once nothing is awaited, and again only when it looks different", () => {
    const events = new TenantEvents({ admin: false, tenantId: RED }, false);
    assert.equal(events.dtoOf("new", traceOf(START_MS, ingressSegment())), null);
    const told = events.dtoOf("changed", whole);
    assert.deepEqual([told?.change, told?.flow.verdict], ["new", "delivered"]);
    // A duplicate at a host of others changes nothing for the tenant.
    const again = egressSegment(undefined, undefined, 1, { segmentId: "h2 1 2" });
    assert.equal(events.dtoOf("changed", traceOf(START_MS, ingressSegment(), egressSegment(), again)), null);
    const silent = traceOf(START_MS + LATER_MS, ingressSegment());
    assert.equal(events.dtoOf("changed", silent)?.change, "changed");
  });

  it("go by what the server says when the client has been there before", () => {
    const events = new TenantEvents({ admin: false, tenantId: RED }, true);
    assert.equal(events.dtoOf("changed", whole)?.change, "changed");
  });

  it("of an administrator are all of them", () => {
    const events = new TenantEvents({ admin: true, tenantId: "" }, false);
    assert.equal(events.dtoOf("new", traceOf(START_MS, ingressSegment()))?.flow.verdict, "unknown");
    for (const change of ["new", "changed", "changed"] as const)
      assert.equal(events.dtoOf(change, whole)?.change, change);
  });
});
