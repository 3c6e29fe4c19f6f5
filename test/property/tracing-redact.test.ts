import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import {
  assembleFlowTrace,
  DROP_REASONS,
  type DropReason,
  type FlowTrace,
  type PlacedSegment,
  redactFlowTrace,
  renderFlowTrace,
  type Step,
  toPublic,
  type TraceSegment,
} from "#core/tracing";
import { egressSegment, expected, H2, H3, ingressSegment, RED, START_MS } from "../support/tracing-example.ts";
import { EVERY_STEP } from "../support/tracing-steps.ts";

const FOREIGN = ["", "tenant-blue", "tenant-provider"];
const bodies = Object.values(EVERY_STEP).map(([step]) => step);
const HIDDEN = new Set(["flow", "state-sent", "tunnel-sent", "tunnel-received", "verdict", "steps-lost"]);

const text = fc.string({ minLength: 1, maxLength: 8 }).map((s) => `SECRET ${s}`);
const foreignStep: fc.Arbitrary<Step> = fc
  .record({
    body: fc.constantFrom(...bodies),
    owner: fc.constantFrom(...FOREIGN),
    name: text,
    atMs: fc.integer({ min: START_MS, max: START_MS + 10_000 }),
  })
  .map(({ body, owner, name, atMs }) => ({ ...body, owner, device: { ...body.device, name, id: name }, seq: 1, atMs }));

/** Two steps of others in one place: all differs but that both are the switch's or both a device's. */
const foreignPair = fc.tuple(foreignStep, foreignStep).filter(([a, b]) => isSwitch(a) === isSwitch(b));
const isSwitch = (s: Step): boolean => s.device.type === "host";

const ownStep: fc.Arbitrary<Step> = fc
  .record({
    body: fc.constantFrom(...bodies.filter((b) => b.device.type !== "host" && !HIDDEN.has(b.kind))),
    atMs: fc.integer({ min: START_MS, max: START_MS + 10 }),
  })
  .map(({ body, atMs }) => ({ ...body, owner: RED, seq: 1, atMs }));

/** Where own (true) and foreign (false) steps stand; two fillings of the foreign places. */
const twins = fc
  .array(fc.boolean(), { maxLength: 12 })
  .chain((pattern) =>
    fc.tuple(
      fc.tuple(...pattern.map((own) => (own ? ownStep.map((s) => [s, s] as const) : foreignPair))),
      fc.tuple(...pattern.map(() => fc.integer({ min: 1, max: 3 }))),
    ),
  );

const reason = fc.constantFrom(...(Object.keys(DROP_REASONS) as DropReason[]));
const verdict = fc.constantFrom("delivered", "dropped", "rejected", "consumed", "unknown" as const);

function numbered(steps: readonly Step[]): Step[] {
  return steps.map((s, i) => ({ ...s, seq: i + 1 }));
}

/** Repeats the foreign ones: how many there are in a row is not shown either. */
const side = (pairs: readonly (readonly [Step, Step])[], times: readonly number[], which: 0 | 1): Step[] =>
  numbered(
    pairs.flatMap((p, i) => {
      const step = p[which];
      return step.owner === RED || which === 0 ? [step] : Array.from({ length: times[i] ?? 1 }, () => step);
    }),
  );

const scene = fc.record({
  first: twins,
  second: twins,
  verdicts: fc.tuple(verdict, verdict),
  reasons: fc.tuple(reason, reason),
  ingress: fc.boolean(),
  reported: fc.boolean(),
});

it("two flow traces that differ only in steps of others look the same to a tenant, to the byte", () => {
  fc.assert(
    fc.property(scene, ({ first, second, verdicts, reasons, ingress, reported }) => {
      const make = (which: 0 | 1): FlowTrace => {
        const at = {
          verdict: verdicts[0],
          dropReason: reasons[which],
          expects: [expected(H2, "h2"), expected(H3, "h3")],
        };
        const segments: TraceSegment[] = [];
        const end = { verdict: verdicts[1], dropReason: reasons[which] };
        if (ingress) segments.push(ingressSegment({ ...at, cookie: which, steps: side(...first, which) }));
        if (reported || !ingress) segments.push(egressSegment(H2, "h2", 1, { ...end, steps: side(...second, which) }));
        const trace = assembleFlowTrace(segments, { nowMs: START_MS + 9_000 });
        assert.ok(trace !== null);
        // What the verdict of the whole is, the tenant may know: it is the same in both.
        return { ...trace, verdict: "dropped", dropReason: reasons[which], why: `SECRET ${which}` };
      };
      const views = ([0, 1] as const).map((w) => redactFlowTrace(make(w), { admin: false, tenantId: RED }));
      const [a, b] = views.map((v) => JSON.stringify(v));
      assert.equal(a, b);
      assert.doesNotMatch(a ?? "", /SECRET|owner|tenant-blue|tap1|"h[123]"/);
      assert.doesNotMatch(renderFlowTrace(views[0] as never, { colour: false, width: 80 }), /SECRET/);
    }),
    { numRuns: 500 },
  );
});

it("the owner never leaves, not even for an administrator", () => {
  const trace = assembleFlowTrace([ingressSegment(), egressSegment()], { nowMs: START_MS });
  assert.ok(trace !== null);
  const json = JSON.stringify(toPublic(trace));
  assert.doesNotMatch(json, /owner|tenant-/);
  const steps = toPublic(trace).segments.flatMap((s) => s.steps);
  assert.ok(steps.every((s) => s.withheld === undefined && s.text.length > 0));
  assert.deepEqual(
    toPublic(trace).segments.map((s) => s.steps.length),
    trace.segments.map((s: PlacedSegment) => s.steps.length),
  );
});

it("a tenant sees their own steps, aliases for hosts, and only requests on their devices", () => {
  const trace = assembleFlowTrace([ingressSegment(), egressSegment()], { nowMs: START_MS });
  assert.ok(trace !== null);
  const red = redactFlowTrace(trace, { admin: false, tenantId: RED });
  assert.deepEqual(
    red.segments.map((s) => [s.hostId, s.hostName, s.cookie]),
    [
      ["host-1", "host 1", null],
      ["host-2", "host 2", null],
    ],
  );
  assert.deepEqual(red.key, trace.key);
  assert.deepEqual(red.traceRequestIds, trace.traceRequestIds);
  assert.deepEqual(
    red.segments[0]?.steps.map((s) => s.seq),
    red.segments[0]?.steps.map((_, i) => i + 1),
  );
  const blue = redactFlowTrace(trace, { admin: false, tenantId: "tenant-blue" });
  assert.deepEqual([blue.key, blue.traceRequestIds], [null, []]);
  assert.equal(blue.why, "Delivered to port blue-vm2 on host 2.");
  const nobody = redactFlowTrace(trace, { admin: false, tenantId: "" });
  assert.ok(nobody.segments.every((s) => s.steps.every((x) => x.withheld === true)));
  const blind = redactFlowTrace(trace, { admin: false, tenantId: RED, seesRequest: () => false });
  assert.deepEqual(blind.traceRequestIds, []);
  assert.ok(blind.segments.every((s) => s.steps.every((x) => x.withheld === true || x.kind !== "trace-matched")));
});

it("infrastructure is withheld even when the step stands on a device of the viewer", () => {
  const own = Object.values(EVERY_STEP).map(
    ([step], i): Step => ({
      ...step,
      owner: RED,
      device: { type: "port", id: "p", name: "red-vm1" },
      seq: i + 1,
      atMs: START_MS,
    }),
  );
  const trace = assembleFlowTrace([ingressSegment({ steps: own })], { nowMs: START_MS });
  assert.ok(trace !== null);
  const view = redactFlowTrace(trace, { admin: false, tenantId: RED });
  const seen = view.segments.flatMap((s) => s.steps.flatMap((x) => (x.withheld === true ? [] : [x])));
  assert.deepEqual(
    seen.map((s) => s.kind).toSorted(),
    own
      .map((s) => s.kind)
      .filter((kind) => !HIDDEN.has(kind))
      .toSorted(),
  );
  assert.ok(!seen.some((step) => step.kind === "waited" && ("what" in step || step.text.includes("10.0.2.20"))));
  for (const step of seen)
    for (const field of ["hostId", "hostName", "interface", "ofport", "tunnelIp", "token", "owner"])
      assert.ok(!(field in step), `${step.kind} shows ${field}`);
});

it("a drop on a device of the viewer says why, without what its detail tells of hosts and tunnels", () => {
  const [drop] = EVERY_STEP.drop;
  const at = { ...drop, owner: RED, seq: 1, atMs: START_MS };
  const view = (reason: DropReason): string => {
    const steps = [{ ...at, reason, detail: "SECRET" }];
    const trace = assembleFlowTrace([ingressSegment({ steps, verdict: "dropped", dropReason: reason, expects: [] })], {
      nowMs: START_MS,
    });
    assert.ok(trace !== null);
    return JSON.stringify(redactFlowTrace(trace, { admin: false, tenantId: RED }));
  };
  assert.match(view("no-tunnel"), /"dropReason":"no-tunnel"/);
  assert.doesNotMatch(view("no-tunnel"), /SECRET/);
  assert.match(view("no-route"), /SECRET/);
});
