import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import {
  ECS_FIELDS,
  ecsDocument,
  ecsMappings,
  type ExportRecord,
  flowRecord,
  flowSpans,
  hash64,
  isoTime,
  lossRecord,
  lossSpan,
  type Span,
  stepLog,
  stepRecords,
} from "#core/exporting";
import { assembleFlowTrace, redactFlowTrace, toPublic, type TraceSegment } from "#core/tracing";
import { misfit } from "../../support/exporters/elasticsearch.ts";
import { droppedSegment, egressSegment, H1, H2, ingressSegment, RED, START_MS } from "../../support/tracing-example.ts";
import { EVERY_STEP } from "../../support/tracing-steps.ts";

const ADMIN = { admin: true, tenantId: "" };

function joined(...segments: TraceSegment[]) {
  const trace = assembleFlowTrace(segments, { nowMs: START_MS });
  assert.ok(trace !== null);
  return trace;
}
const recordOf = (...segments: TraceSegment[]) => flowRecord(toPublic(joined(...segments)), 3);
const loss = lossRecord({ atMs: START_MS, count: 4, of: "steps", cause: "full", hostId: null }, "x");

/** `a.b.c` of everything in the document that is a value, `opaque` fields whole. */
function paths(value: object, at = ""): string[] {
  return Object.entries(value).flatMap(([name, v]): string[] => {
    const path = at === "" ? name : `${at}.${name}`;
    const known = Object.hasOwn(ECS_FIELDS, path);
    return known || typeof v !== "object" || v === null ? [path] : paths(v as object, path);
  });
}

/** Every step there is, in one segment. */
const everyStep = (): TraceSegment => {
  const bodies = Object.values(EVERY_STEP).map(([step]) => step);
  return ingressSegment({ steps: bodies.map((b, i) => ({ ...b, seq: i + 1, atMs: START_MS + i })) });
};

describe("ECS documents", () => {
  const some = (): ExportRecord[] => [
    ...stepRecords(everyStep(), ADMIN),
    ...stepRecords(ingressSegment(), { admin: false, tenantId: RED }),
    recordOf(ingressSegment(), egressSegment()),
    recordOf(ingressSegment()),
    recordOf(droppedSegment({ key: { ...ingressSegment().key, networkProto: 6, srcPort: 4000, dstPort: 80 } })),
    loss,
  ];

  it("have the fields of the table, and each field of the table stands in some document", () => {
    const met = new Set(some().flatMap((r) => paths(ecsDocument(r))));
    assert.deepEqual([...met].sort(), Object.keys(ECS_FIELDS).sort());
  });

  it("fit to the mappings of the index template", () => {
    for (const record of some()) assert.equal(misfit(ecsDocument(record), ecsMappings()), null);
  });

  it("say who, where and what in the schema's words", () => {
    const [first] = stepRecords(ingressSegment(), ADMIN);
    const document = ecsDocument(first as ExportRecord);
    assert.deepEqual(document["source"], { mac: "AC-CA-BA-00-00-01", ip: "10.0.1.10" });
    assert.deepEqual(document["network"], { type: "ipv4", transport: "icmp", iana_number: "1" });
    assert.deepEqual(document["host"], { id: H1, name: "h1" });
    assert.equal(document["@timestamp"], new Date(START_MS).toISOString());
    const flow = ecsDocument(recordOf(droppedSegment()));
    const { type, outcome, reason, sequence } = flow["event"] as Record<string, unknown>;
    assert.deepEqual([type, outcome, reason, sequence], [["connection", "denied"], "failure", "filter-drop", 3]);
  });
});

describe("records", () => {
  it("have the context of the blueprint: cookie, flow-trace id, request ids, host", () => {
    for (const record of stepRecords(ingressSegment(), ADMIN)) {
      assert.deepEqual([record.cookie, record.hostId, record.hostName], [17, H1, "h1"]);
      assert.equal(record.flowTraceId, ingressSegment().flowTraceId);
      assert.deepEqual(record.traceRequestIds, ingressSegment().requestIds);
    }
  });

  it("of an orphan have no flow-trace id, and are nothing to tenants", () => {
    const orphan = egressSegment(H2, "h2", 1, { flowTraceId: null, requestIds: [] });
    assert.ok(stepRecords(orphan, ADMIN).every((r) => r.flowTraceId === null));
    assert.deepEqual(stepRecords(orphan, { admin: false, tenantId: "tenant-blue" }), []);
  });

  it("have ids that are the same for the same and differ for what differs", () => {
    const ids = [...stepRecords(ingressSegment(), ADMIN), ...stepRecords(egressSegment(), ADMIN)].map((r) => r.id);
    assert.equal(new Set(ids).size, ids.length);
    assert.equal(recordOf(ingressSegment()).id, recordOf(ingressSegment()).id);
    assert.notEqual(recordOf(ingressSegment()).id, recordOf(ingressSegment(), egressSegment()).id);
  });

  it("hash to 64 bits that hardly ever meet", () => {
    const seen = new Set(Array.from({ length: 100_000 }, (_, i) => hash64(`h1/${i}`)));
    assert.equal(seen.size, 100_000);
    for (const one of seen) {
      assert.match(one, /^[0-9a-f]{16}$/);
      break;
    }
  });

  it("tell the time as the platform does", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799_999 }), (ms) => {
        assert.equal(isoTime(ms), new Date(ms).toISOString());
      }),
    );
    assert.equal(isoTime(Number.NaN), "1970-01-01T00:00:00.000Z");
    assert.equal(isoTime(-5), "1970-01-01T00:00:00.000Z");
  });
});

describe("a flow as a distributed trace", () => {
  const below = (spans: readonly Span[], parent: string | null): Span[] =>
    spans.filter((s) => s.parentSpanId === parent);

  it("is a root, a span per host below it, a span per device below that", () => {
    const spans = flowSpans(recordOf(ingressSegment(), egressSegment()));
    const [root, ...others] = below(spans, null);
    assert.ok(root !== undefined && others.length === 0);
    assert.equal(root.traceId, "000000000000400080000000000000f1");
    const hosts = below(spans, root.spanId);
    assert.deepEqual(
      hosts.map((s) => [s.name, s.host?.name]),
      [
        ["ingress at h1", "h1"],
        ["egress at h2", "h2"],
      ],
    );
    assert.deepEqual(
      below(spans, hosts[0]?.spanId ?? "").map((s) => s.name),
      ["host h1", "port red-vm1", "bridge red-net", "router provider-router", "port blue-vm2", "host h1"],
    );
    assert.equal(new Set(spans.map((s) => s.spanId)).size, spans.length);
    assert.ok(spans.every((s) => s.traceId === root.traceId && s.endMs >= s.startMs && s.error === null));
    const events = spans.flatMap((s) => s.events);
    assert.equal(events.length, ingressSegment().steps.length + egressSegment().steps.length);
  });

  it("marks the drop: the device, its host's part and the flow are errors with the sentence", () => {
    const spans = flowSpans(recordOf(droppedSegment()));
    const failed = spans.filter((s) => s.error !== null).map((s) => s.name);
    assert.deepEqual(failed, ["icmp 10.0.1.10 > 10.0.2.20", "ingress at h1", "bridge red-net"]);
    assert.match(spans[0]?.error ?? "", /rule 2/);
  });

  it("is in the collector's time, whatever the hosts' clocks say", () => {
    const aheadMs = 300_000;
    const late = egressSegment(H2, "h2", 1, {
      clockOffsetMs: aheadMs,
      startedAtMs: START_MS + aheadMs,
      steps: egressSegment().steps.map((s) => ({ ...s, atMs: s.atMs + aheadMs })),
    });
    const [root] = flowSpans(recordOf(ingressSegment(), late));
    assert.ok((root?.endMs ?? 0) - (root?.startMs ?? 0) < 1_000);
  });

  it("has withheld spans for tenants, and nothing in them", () => {
    const flow = redactFlowTrace(joined(ingressSegment(), egressSegment()), { admin: false, tenantId: RED });
    const spans = flowSpans(flowRecord(flow, 1));
    const withheld = spans.filter((s) => s.name === "withheld");
    assert.ok(withheld.length > 0 && withheld.every((s) => s.events.length === 0));
    assert.doesNotMatch(JSON.stringify(spans), /provider|blue|"h1"|"h2"|tap-|172\.16|cookie/);
  });

  it("has its steps beside it as logs of the same trace", () => {
    const [root] = flowSpans(recordOf(ingressSegment()));
    for (const record of stepRecords(ingressSegment(), ADMIN)) {
      const log = stepLog(record);
      assert.deepEqual([log.traceId, log.spanId], [root?.traceId, root?.spanId]);
      assert.equal(log.attributes["midotrace.cookie"], 17);
      assert.equal(log.host?.id, H1);
    }
    assert.match(lossSpan(loss).traceId, /^[0-9a-f]{32}$/);
  });
});
