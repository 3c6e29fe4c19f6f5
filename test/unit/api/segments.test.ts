import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readSegment, segmentsBody } from "#core/api-contract";
import type { TraceSegment } from "#core/tracing";
import { routedPlan } from "../../support/cluster.ts";
import { onCluster, udpFrom } from "../../support/cluster-kit.ts";
import { H1, ingressSegment } from "../../support/tracing-example.ts";
import { EVERY_STEP } from "../../support/tracing-steps.ts";
import { id } from "../../support/tracing-samples.ts";

const overTheWire = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** As the type has it: the samples give ports of steps a `type`, which a port has not. */
function plain(segment: TraceSegment): TraceSegment {
  const bare = (at: string, value: unknown): unknown => {
    if (Array.isArray(value)) return value.map((v) => bare(at, v));
    if (typeof value !== "object" || value === null) return value;
    const kept = Object.entries(value).filter(([k]) => !(k === "type" && ["inPort", "outPort", "port"].includes(at)));
    return Object.fromEntries(kept.map(([k, v]) => [k, bare(k, v)]));
  };
  return bare("", segment) as TraceSegment;
}

/** What is wrong with a segment that was changed, by field. */
function wrong(change: (s: Record<string, unknown>) => void): Record<string, string> {
  const value = overTheWire(ingressSegment({ hostId: H1 })) as Record<string, unknown>;
  change(value);
  const read = readSegment(value);
  assert.equal(read.ok, false);
  return Object.fromEntries(read.ok ? [] : read.violations.map((v) => [v.property, v.message]));
}

describe("trace segments on the wire", () => {
  it("of every kind of step, with every field it can have, are read as they were written", () => {
    const steps = Object.values(EVERY_STEP).map(([body], i) => ({ ...body, seq: i + 1, atMs: 1.5 }));
    const segment = plain(ingressSegment({ hostId: H1, steps }));
    assert.deepEqual(readSegment(overTheWire(segment)), { ok: true, segment });
  });

  it("of real agents are read as they were written", () =>
    onCluster(routedPlan(), async (c) => {
      const router = await c.deviceNamed("routers", "router");
      const web = await c.deviceNamed("bridges", "web");
      await c.trace("ROUTER", router, {});
      await c.trace("BRIDGE", web, {});
      const gateway = 0xaccaba000001;
      const sent = [
        [gateway, "10.0.2.20"],
        [gateway, "203.0.113.9"],
        [0xffffffffffff, "10.0.1.255"],
      ] as const;
      for (const [mac, ip] of sent) c.inject("red-1", udpFrom(c, "red-1", { mac, ip }, { sport: 4_000, dport: 53 }));
      await c.settle(10_000);
      assert.ok(c.segments.length >= 5, `${c.segments.length}`);
      for (const segment of c.segments) assert.deepEqual(readSegment(overTheWire(segment)), { ok: true, segment });
    }));

  it("leave out what a later version added", () => {
    const segment = plain(ingressSegment({ hostId: H1 }));
    const later = overTheWire(segment) as { steps: object[] };
    const read = readSegment({ ...later, colour: "red", steps: later.steps.map((s) => ({ ...s, colour: "red" })) });
    assert.deepEqual(read, { ok: true, segment });
  });

  it("are refused with every wrong field named", () => {
    const fields: [keyof TraceSegment, unknown][] = [
      ["segmentId", ""],
      ["segmentId", "x".repeat(201)],
      ["flowTraceId", "nonsense"],
      ["requestIds", ["nonsense"]],
      ["hostId", "h1"],
      ["hostName", 7],
      ["role", "transit"],
      ["cookie", -1],
      ["cookie", 1.5],
      ["startedAtMs", "yesterday"],
      ["key", null],
      ["stepsLost", null],
      ["verdict", "guessed"],
      ["dropReason", "because"],
      ["expects", {}],
      ["arrival", "somewhere"],
      ["packet", { originalLength: 1, bytes: "not base64" }],
      ["packet", { originalLength: -1, bytes: "" }],
      ["steps", Array.from({ length: 1_001 }, () => 0)],
    ];
    for (const [field, value] of fields) {
      const named = Object.keys(wrong((s) => (s[field] = value)));
      assert.ok(
        named.every((n) => n === field || n.startsWith(`${field}[`) || n.startsWith(`${field}.`)) && named.length > 0,
        `${field}: ${named.join()}`,
      );
    }
    // An agent of an earlier release keeps no packets.
    for (const field of Object.keys(ingressSegment()).filter((name) => name !== "packet")) {
      assert.deepEqual(Object.keys(wrong((s) => delete s[field])), [field]);
    }
  });

  it("name the wrong field of a step, and all kinds where the kind is none", () => {
    const step = (s: Record<string, unknown>, n: number): Record<string, unknown> =>
      (s["steps"] as Record<string, unknown>[])[n] as Record<string, unknown>;
    assert.deepEqual(Object.keys(wrong((s) => (step(s, 0)["header"] = { ethSrc: 7, nwTtl: -1 }))), [
      "steps[0].header.ethSrc",
      "steps[0].header.nwTtl",
    ]);
    assert.deepEqual(Object.keys(wrong((s) => delete step(s, 1)["device"])), ["steps[1].device"]);
    assert.match(
      wrong((s) => (step(s, 2)["kind"] = "teleported"))["steps[2].kind"] ?? "",
      /^must be one of .*packet-received/,
    );
    assert.match(wrong((s) => (step(s, 2)["kind"] = "constructor"))["steps[2].kind"] ?? "", /^must be one of/);
    for (const nothing of [null, 7, "step"])
      assert.deepEqual(
        wrong((s) => ((s["steps"] as unknown[])[2] = nothing)),
        { "steps[2]": "must be an object" },
      );
    assert.equal(
      Object.keys(wrong((s) => (s["steps"] = Array.from({ length: 500 }, () => 0)))).length,
      10,
      "not all of many",
    );
  });

  it("that are no segments at all are refused alone", () => {
    const body = {
      hostId: H1,
      bootId: "b",
      sequence: 1,
      lost: [],
      segments: [null, 1, "x", [], {}, ingressSegment({ hostId: H1 })],
    };
    const read = segmentsBody.parse(overTheWire(body)).segments;
    assert.deepEqual(
      read.map((r) => r.ok),
      [false, false, false, false, false, true],
    );
    assert.ok(read.every((r) => r.ok || (r.segmentId === null && r.violations.length > 0)));
  });
});

describe("the envelope of a delivery", () => {
  it("is refused as a whole, with every wrong field named", () => {
    const good = { hostId: H1, bootId: "b", sequence: 0, lost: [{ count: 1, why: "full" }], segments: [] };
    assert.ok(segmentsBody.safeParse(good).success);
    const bad: [string, unknown][] = [
      ["hostId", "h1"],
      ["hostId", id(0xa1).toUpperCase()],
      ["bootId", ""],
      ["sequence", -1],
      ["sequence", "1"],
      ["lost", null],
      ["lost", [{ count: 0, why: "" }]],
      ["segments", {}],
      ["segments", Array.from({ length: 501 }, () => ({}))],
    ];
    for (const [field, value] of bad) {
      const parsed = segmentsBody.safeParse({ ...good, [field]: value });
      assert.equal(parsed.success, false, field);
      assert.ok(
        parsed.error?.issues.every((i) => i.path[0] === field),
        field,
      );
    }
  });
});
