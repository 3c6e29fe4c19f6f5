import assert from "node:assert/strict";
import { it } from "node:test";
import {
  assembleFlowTrace,
  type DropReason,
  type PlacedSegment,
  redactFlowTrace,
  type Step,
  type StepBody,
  toPublic,
} from "#core/tracing";
import { egressSegment, ingressSegment, RED, START_MS } from "../support/tracing-example.ts";
import { EVERY_STEP } from "../support/tracing-steps.ts";

const HIDDEN = new Set(["flow", "state-sent", "tunnel-sent", "tunnel-received", "too-big", "verdict", "steps-lost"]);

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

it("a tenant sees their own steps, names of their own for hosts, and only requests on their devices", () => {
  const trace = assembleFlowTrace([ingressSegment(), egressSegment()], { nowMs: START_MS });
  assert.ok(trace !== null);
  const red = redactFlowTrace(trace, { admin: false, tenantId: RED });
  assert.deepEqual(
    red.segments.map((s) => [s.hostId, s.hostName, s.cookie]),
    [["host-1", "host 1", null]],
  );
  assert.equal(red.why, "Delivered beyond your devices.");
  assert.deepEqual(red.key, trace.key);
  assert.deepEqual(red.traceRequestIds, trace.traceRequestIds);
  assert.deepEqual(
    red.segments[0]?.steps.map((s) => s.seq),
    red.segments[0]?.steps.map((_, i) => i + 1),
  );
  const blue = redactFlowTrace(trace, { admin: false, tenantId: "tenant-blue" });
  assert.deepEqual([blue.key, blue.traceRequestIds], [null, []]);
  assert.deepEqual(
    blue.segments.map((s) => [s.hostId, s.role, s.steps.length]),
    [
      ["host-1", "ingress", 2],
      ["host-2", "egress", 1],
    ],
  );
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
      ...("chainOwner" in step ? { chainOwner: RED } : {}),
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
  const decided = seen.find((s) => s.kind === "chain-end");
  assert.match(decided?.text ?? "", /decided by a rule of a chain that is not yours/);
  for (const step of seen)
    for (const field of ["hostId", "hostName", "interface", "ofport", "tunnelIp", "token", "owner", "chainOwner"])
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

it("rules of a chain of somebody else are withheld, though the device is the viewer's; the end of the filter is not made up", () => {
  const device = { type: "port" as const, id: "p", name: "red-vm1" };
  const at = { device, owner: RED, atMs: START_MS };
  const chain = { chainId: "c", chainOwner: "tenant-provider", chainName: "SECRET" };
  const own = { chainId: "d", chainOwner: RED, chainName: "mine" };
  const rule = { kind: "rule" as const, ruleId: "r", position: 1, ruleType: "drop", matched: true };
  const bodies: StepBody[] = [
    { ...at, kind: "port-in", of: device, header: {} },
    { ...at, ...own, kind: "chain-start", stage: "port-in", ruleCount: 1 },
    { ...at, ...own, ...rule, ruleType: "accept" },
    {
      ...at,
      ...own,
      kind: "chain-end",
      stage: "port-in",
      result: "accept",
      decidedBy: "rule 1 of chain mine",
      deciderOwner: RED,
    },
    { ...at, ...chain, kind: "chain-start", stage: "pre-bridging", ruleCount: 2 },
    { ...at, ...chain, ...rule, condition: "SECRET" },
    {
      ...at,
      ...chain,
      kind: "chain-end",
      stage: "pre-bridging",
      result: "drop",
      decidedBy: "rule 1 of chain SECRET",
      deciderOwner: "tenant-provider",
    },
    { ...at, kind: "drop", reason: "filter-drop", detail: "a filter of port red-vm1" },
  ];
  const steps = bodies.map((b, i): Step => ({ ...b, seq: i + 1, atMs: START_MS }));
  const segment = ingressSegment({ steps, verdict: "dropped", dropReason: "filter-drop", expects: [] });
  const trace = assembleFlowTrace([segment], { nowMs: START_MS });
  assert.ok(trace !== null);
  const view = redactFlowTrace(trace, { admin: false, tenantId: RED });
  assert.doesNotMatch(JSON.stringify(view), /SECRET|provider/);
  assert.deepEqual(
    view.segments[0]?.steps.map((x) => (x.withheld === true ? "withheld" : x.kind)),
    ["port-in", "chain-start", "rule", "chain-end", "withheld", "drop"],
  );
  assert.equal(view.why, "Dropped at port red-vm1 on host 1: a rule of type drop matched (a filter of port red-vm1).");
});

it("a jump to a chain of somebody else is one withheld step, whether that chain has rules or not", () => {
  const device = { type: "bridge" as const, id: "b", name: "red-net" };
  const own = { device, owner: RED, chainId: "d", chainOwner: RED, chainName: "mine" };
  const theirs = { device, owner: RED, chainId: "c", chainOwner: "tenant-provider", chainName: "SECRET" };
  const rule = { kind: "rule" as const, ruleId: "r", position: 1, matched: true };
  const seen = (...inside: StepBody[]): string => {
    const steps = [
      { ...own, ...rule, ruleType: "jump" },
      { ...theirs, kind: "chain-jump" as const, ruleCount: inside.length },
      ...inside,
      { ...own, kind: "chain-return" as const, position: 1 },
    ].map((b, i): Step => ({ ...b, seq: i + 1, atMs: START_MS }));
    const trace = assembleFlowTrace([ingressSegment({ steps, expects: [] })], { nowMs: START_MS });
    assert.ok(trace !== null);
    return JSON.stringify(redactFlowTrace(trace, { admin: false, tenantId: RED }));
  };
  const empty = seen();
  assert.equal(seen({ ...theirs, ...rule, ruleType: "return" }), empty);
  assert.match(empty, /\(jump\) matched.*"withheld":true.*Back in chain mine after its rule 1/);
});
