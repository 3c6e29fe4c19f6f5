import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openExporter } from "#adapters/exporters";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { composeApi } from "#apps/api";
import type { Scheduler } from "#core/base";
import { flowSpans, flowRecord, stepRecords } from "#core/exporting";
import { assembleFlowTrace, toPublic } from "#core/tracing";
import { apiOptions } from "../support/api-options.ts";
import { opensslMissing, TestAuthority } from "../support/certificates.ts";
import { ElasticsearchReceiver } from "../support/exporters/elasticsearch.ts";
import { LogstashReceiver } from "../support/exporters/logstash.ts";
import { OtlpReceiver } from "../support/exporters/otlp.ts";
import type { Receiver } from "../support/exporters/receiver.ts";
import { SplunkReceiver } from "../support/exporters/splunk.ts";
import { eventually } from "../support/nsdb-eventually.ts";
import { droppedSegment, ingressSegment, START_MS } from "../support/tracing-example.ts";
import { unlessThere } from "../support/zookeeper-kit.ts";

const hasty: Scheduler = { after: (delayMs, task) => systemScheduler.after(delayMs / 20, task) };
/** By their ids. */
const bySpan = (a: readonly unknown[], b: readonly unknown[]): number => String(a[1]).localeCompare(String(b[1]));
const ADMIN = { admin: true, tenantId: "" };
const limits = { paceMs: 1, backoffMs: 1, maxBackoffMs: 5, stopMs: 100_000 };
const quiet = { clock: systemClock, scheduler: hasty, random: systemRandom, log: () => undefined, limits };

/** Exports a segment's steps to a receiver, until it has them. */
async function exported(receiver: Receiver, url = receiver.url(), answerMs = 100_000): Promise<void> {
  const exporter = await openExporter(url, { ...quiet, unit: "steps", limits: { ...limits, answerMs } });
  await exporter.start();
  exporter.segment(ingressSegment());
  await eventually(() => assert.equal(exporter.counters().waiting, 0));
  await exporter.stop();
  assert.deepEqual(exporter.counters().lost, {});
  // Where nothing is confirmed, the last of it is still on its way.
  const all = new Set(stepRecords(ingressSegment(), ADMIN).map((r) => r.id));
  await eventually(() => assert.deepEqual(new Set(receiver.got.ids), all));
  assert.deepEqual(receiver.got.faults, []);
}

describe("exports over TLS", { skip: unlessThere(opensslMissing()), timeout: 60_000 }, () => {
  let directory = "";
  let authority: TestAuthority;
  const files = (name: string) => {
    const { certFile, keyFile } = authority.issue(name, ["DNS:localhost"]);
    return { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") };
  };
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "midotrace-export-tls-"));
    authority = new TestAuthority(directory);
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  for (const [name, make] of [
    ["Elasticsearch", () => new ElasticsearchReceiver({ tls: files("es") })],
    ["Logstash", () => new LogstashReceiver(files("ls"))],
  ] as const) {
    it(`reach ${name} by the authority that the URL names, and nobody else`, async () => {
      const receiver = make();
      await receiver.start();
      try {
        await exported(receiver, `${receiver.url()}?ca=${authority.caFile}`);
        const stranger = await openExporter(receiver.url(), {
          ...quiet,
          unit: "steps",
          limits: { ...limits, stopMs: 1 },
        });
        await stranger.start();
        stranger.segment(ingressSegment());
        await eventually(() => assert.ok(stranger.counters().retries > 0));
        await stranger.stop();
        assert.equal(stranger.counters().delivered, 0);
      } finally {
        await receiver.stop();
      }
    });
  }
});

describe("what targets have of their own", { timeout: 60_000 }, () => {
  it("Splunk: what the indexers lose is sent again; a token without acknowledgement is believed", async () => {
    const receiver = new SplunkReceiver();
    await receiver.start();
    receiver.loseBatches = 1;
    await exported(receiver, receiver.url(), 20_000);
    await receiver.stop();
    const plain = new SplunkReceiver();
    plain.acknowledges = false;
    await plain.start();
    await exported(plain);
    await plain.stop();
  });

  it("Logstash: one connection for all batches, where a receiver never closes", async () => {
    const receiver = new LogstashReceiver();
    await receiver.start();
    try {
      await exported(receiver, `${receiver.url()}?confirm=write`);
      assert.equal(receiver.connections, 1);
    } finally {
      await receiver.stop();
    }
  });

  it("OpenTelemetry: a flow is one trace, as it was made", async () => {
    const receiver = new OtlpReceiver();
    await receiver.start();
    const exporter = await openExporter(receiver.url(), { ...quiet, unit: "flows" });
    await exporter.start();
    const trace = assembleFlowTrace([droppedSegment()], { nowMs: START_MS });
    assert.ok(trace !== null);
    exporter.flow(trace);
    await exporter.stop();
    const made = flowSpans(flowRecord(toPublic(trace), 1));
    assert.deepEqual(
      receiver.spans.map((s) => [s.traceId, s.spanId, s.parentSpanId, s.name, s.error]).toSorted(bySpan),
      made.map((s) => [s.traceId, s.spanId, s.parentSpanId, s.name, s.error]).toSorted(bySpan),
    );
    for (const span of receiver.spans) {
      const origin = made.find((s) => s.spanId === span.spanId);
      assert.deepEqual(span.attributes, origin?.attributes);
      assert.deepEqual(
        span.events.map((e) => e.name),
        origin?.events.map((e) => e.name),
      );
      assert.equal(span.resource["host.id"], origin?.host?.id);
    }
    await receiver.stop();
  });
});

describe("midotrace api --export", { timeout: 60_000 }, () => {
  it("exports the flows that agents deliver, and counts them in its metrics", async () => {
    const receiver = new ElasticsearchReceiver();
    await receiver.start();
    const api = composeApi(apiOptions({ export: [receiver.url()] }), "0", () => undefined);
    await api.start();
    try {
      const segment = droppedSegment({ startedAtMs: Date.now() });
      const body = { hostId: segment.hostId, bootId: "b", sequence: 1, segments: [segment], lost: [] };
      const headers = { "content-type": "application/json" };
      const url = `${api.server.url}/midonet-api/trace-segments`;
      const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
      assert.equal(answer.status, 200, await answer.text());
      await eventually(() => assert.equal(receiver.documents.length, 1));
      const [document] = receiver.documents;
      assert.equal((document?.["midotrace"] as { verdict?: string } | undefined)?.verdict, "dropped");
      const metrics = await (await fetch(`${api.server.url}/metrics`)).text();
      assert.match(metrics, /midotrace_export_delivered_total\{target="elasticsearch:[^"]*"\} 1/);
      assert.deepEqual(receiver.got.faults, []);
    } finally {
      await api.stop();
      await receiver.stop();
    }
  });

  it("refuses what is no target before anything starts", () => {
    assert.throws(() => composeApi(apiOptions({ export: ["kafka://h"] }), "0", () => undefined), /--export: "kafka:"/);
  });
});
