import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { AgentReports } from "#apps/api";
import { MAX_SEGMENTS_BODY_BYTES, segmentsBody } from "#core/api-contract";
import { Collector } from "../../src/apps/api/collector.ts";
import { egressSegment, H1, H2, ingressSegment } from "../support/tracing-example.ts";
import { flowId, requestId } from "../support/tracing-samples.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { type Answer, at, type Rig, send, startRig } from "./api-support.ts";

const JSON_TYPE = { "content-type": "application/json" };

describe("POST /midonet-api/trace-segments", () => {
  let rig: Rig;
  let sequence = 0;
  before(async () => {
    rig = await startRig({ collect: { host: "127.0.0.1", port: 0 } });
  });
  after(() => rig.stop());

  const deliver = (segments: readonly unknown[], more: Record<string, unknown> = {}): Promise<Answer> =>
    rig.ask("POST", "/trace-segments", {
      headers: JSON_TYPE,
      body: { hostId: H1, bootId: "boot", sequence: ++sequence, segments, lost: [], ...more },
    });
  const one = (n: number, more: object = {}): Record<string, unknown> => ({
    ...ingressSegment({ segmentId: `${H1}/b/${n}`, cookie: n, flowTraceId: flowId(n), hostId: H1 }),
    ...more,
  });
  const metric = async (line: string): Promise<number> => {
    const text = (await send(`${rig.url}/metrics`, "GET")).text;
    return Number(
      text
        .split("\n")
        .find((l) => l.startsWith(line))
        ?.slice(line.length),
    );
  };

  /** A trace request that the example's segments are of. */
  const request = async (): Promise<string> => {
    const id = requestId(0xe1);
    await rig.nsdb.initialize();
    if ((await rig.nsdb.traces.list()).some((t) => t.id === id)) return id;
    const bridge = await rig.make("/bridges", { name: "b", tenantId: "red" });
    await rig.make("/traces", { id, name: "t", deviceType: "BRIDGE", deviceId: bridge, condition: "icmp", limit: 1 });
    return id;
  };
  /** A server whose trace store knows what agents said. */
  const lateRig = async () => {
    const time = new VirtualTime();
    const agentReports = new AgentReports(time);
    const traceStore = new MemoryTraceStore({ clock: time, caughtUpMs: (id) => agentReports.caughtUpMs(id) });
    const log = { info: () => undefined, error: () => undefined };
    const collector = new Collector(traceStore, log, agentReports);
    let n = 0;
    const deliver = (hostId: string, segments: readonly unknown[], more: object = {}): Promise<unknown> =>
      collector.take(segmentsBody.parse({ hostId, bootId: "b", sequence: ++n, segments, lost: [], ...more }));
    return { traceStore, deliver, time, stop: () => traceStore.stop?.() };
  };

  it("takes segments of a host, each once", async () => {
    const answer = await deliver([one(1), one(2)]);
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.json, { accepted: 2, duplicates: 0, refused: [] });
    assert.deepEqual((await deliver([one(2), one(3)])).json, { accepted: 1, duplicates: 1, refused: [] });
    assert.equal((await rig.traceStore.flows(requestId(0xe1), { limit: 10 })).flows.length, 3);
    assert.equal((await rig.traceStore.flow(flowId(1)))?.segments[0]?.hostId, H1);
  });

  it("joins what two hosts deliver", async () => {
    await deliver([one(10)]);
    const egress = egressSegment(H2, "h2", 1, { segmentId: `${H2}/b/1`, flowTraceId: flowId(10) });
    await deliver([egress], { hostId: H2 });
    assert.deepEqual(
      (await rig.traceStore.flow(flowId(10)))?.segments.map((s) => s.hostId),
      [H1, H2],
    );
  });

  it("says which segments it will never take, and takes the others", async () => {
    const answer = await deliver([one(20, { verdict: "guessed" }), one(21), null, one(22, { hostId: H2 })]);
    assert.equal(answer.status, 200);
    assert.equal(at(answer.json, "accepted"), 1);
    const refused = at(answer.json, "refused") as {
      index: number;
      segmentId: string | null;
      violations: { property: string }[];
    }[];
    assert.deepEqual(
      refused.map((r) => [r.index, r.segmentId, r.violations[0]?.property]),
      [
        [0, `${H1}/b/20`, "verdict"],
        [2, null, ""],
        [3, `${H1}/b/22`, "hostId"],
      ],
    );
    assert.equal(await rig.traceStore.flow(flowId(20)), null);
    assert.ok(await rig.traceStore.flow(flowId(21)));
  });

  it("hears of losses once for each delivery, however often that comes", async () => {
    const lost = [
      { count: 3, why: "full" },
      { count: 2, why: "too long" },
    ];
    const before = await metric("midotrace_api_trace_segments_lost_total ");
    const again = sequence + 1;
    for (let i = 0; i < 3; i++) await deliver([], { lost, sequence: again });
    assert.equal(await metric("midotrace_api_trace_segments_lost_total "), before + 5);
    await deliver([], { lost, sequence: again - 1 });
    assert.equal(await metric("midotrace_api_trace_segments_lost_total "), before + 5, "older ones too");
    await deliver([], { lost, sequence: 1, bootId: "another run" });
    await deliver([], { lost, sequence: again + 1 });
    assert.equal(await metric("midotrace_api_trace_segments_lost_total "), before + 15);
    sequence = again + 1;
  });

  it("takes a loss that has an id once, also from the next run of a killed agent", async () => {
    const loss = { count: 4, why: "killed", cause: "killed", id: "loss 1", requestIds: [], flowTraceIds: [flowId(25)] };
    const before = await metric("midotrace_api_trace_segments_lost_total ");
    await deliver([], { lost: [loss], bootId: "run 1", sequence: 1 });
    await deliver([], {
      lost: [loss, { ...loss, id: "loss 2", cause: "of later versions" }],
      bootId: "run 2",
      sequence: 1,
    });
    assert.equal(await metric("midotrace_api_trace_segments_lost_total "), before + 8);
  });

  it("takes two copies of a delivery that overlap as one", async () => {
    const before = await metric("midotrace_api_trace_segments_lost_total ");
    const more = { lost: [{ count: 1, why: "full" }], bootId: "hasty", sequence: 1 };
    const answers = await Promise.all([deliver([one(26)], more), deliver([one(26)], more)]);
    assert.deepEqual(
      answers.map((a) => [at(a.json, "accepted"), at(a.json, "duplicates")]),
      [
        [1, 0],
        [0, 1],
      ],
    );
    assert.equal(await metric("midotrace_api_trace_segments_lost_total "), before + 1);
  });

  it("shows how far the clock of each host is ahead, and orders nothing by it", async () => {
    const sentAtMs = rig.time.nowMs();
    const egress = egressSegment(H2, "h2", 1, { segmentId: `${H2}/b/27`, flowTraceId: flowId(27), startedAtMs: 1 });
    await deliver([egress], { hostId: H2, bootId: "h2 clock", sentAtMs: sentAtMs + 300_000 });
    await deliver([one(27)], { sentAtMs: sentAtMs - 300_000 });
    const answer = await rig.ask("GET", `/traces/${await request()}/flows/${flowId(27)}`);
    const segments = at(answer.json, "segments") as { hostId: string; clockOffsetMs: number; detail: string }[];
    assert.deepEqual(
      segments.map((s) => [s.hostId, s.clockOffsetMs, s.detail]),
      [
        [H1, -300_000, "full"],
        [H2, 300_000, "full"],
      ],
    );
    assert.equal(at(answer.json, "verdict"), "delivered");
  });

  it("tells what is late from what is missing by whether its host has been heard since", async () => {
    const reason = async (n: number): Promise<unknown> =>
      (await late.flow(flowId(n)))?.completeness.missing.map((m) => m.reason);
    const { traceStore: late, deliver: tell, time, stop } = await lateRig();
    await tell(H1, [one(28)]);
    assert.deepEqual(await reason(28), ["awaited"]);
    await time.advance(6_000);
    assert.deepEqual(await reason(28), ["late"]);
    await tell(H2, [], { waiting: 3 });
    assert.deepEqual(await reason(28), ["late"], "it has something for us yet");
    await tell(H2, [], { waiting: 0 });
    assert.deepEqual(await reason(28), ["segment-missing"]);
    await stop();
  });

  it("a flow trace whose egress host lost segments says so", async () => {
    await deliver([], { hostId: H2, lost: [{ count: 1, why: "full" }], bootId: "h2" });
    await deliver([one(30)]);
    rig.time.jumpWallClock(60_000);
    const missing = (await rig.traceStore.flow(flowId(30)))?.completeness.missing;
    assert.deepEqual(
      missing?.map((m) => [m.hostId, m.reason]),
      [[H2, "segments-lost"]],
    );
  });

  it("refuses an envelope that is wrong, with the fields, and takes nothing of it", async () => {
    const answer = await deliver([one(40)], { bootId: 7, lost: [{ count: -1, why: "x" }] });
    assert.equal(answer.status, 400);
    assert.deepEqual(
      (at(answer.json, "violations") as { property: string }[]).map((v) => v.property),
      ["bootId", "lost[0].count"],
    );
    assert.equal(await rig.traceStore.flow(flowId(40)), null);
    for (const [body, status] of [
      ["{", 400],
      ["[]", 400],
      ["", 400],
    ] as const)
      assert.equal((await rig.ask("POST", "/trace-segments", { headers: JSON_TYPE, body })).status, status);
    const xml = await rig.ask("POST", "/trace-segments", { headers: { "content-type": "text/xml" }, body: "{}" });
    assert.equal(xml.status, 415);
    assert.equal((await rig.ask("GET", "/trace-segments")).status, 405);
  });

  it("bounds the body", async () => {
    const body = `{"x":"${"y".repeat(MAX_SEGMENTS_BODY_BYTES)}"}`;
    assert.equal((await rig.ask("POST", "/trace-segments", { headers: JSON_TYPE, body })).status, 413);
  });

  it("counts what it took", async () => {
    const before = await metric('midotrace_api_trace_segments_total{result="accepted"} ');
    await deliver([one(50), one(50), one(51, { cookie: -1 })]);
    assert.equal(await metric('midotrace_api_trace_segments_total{result="accepted"} '), before + 1);
    assert.ok((await metric('midotrace_api_trace_segments_total{result="duplicate"} ')) >= 2);
    assert.ok((await metric('midotrace_api_trace_segments_total{result="refused"} ')) >= 4);
  });

  it("has an address of its own, where nothing else is served", async () => {
    const url = rig.server.collectUrl;
    assert.ok(url !== null && url !== rig.url);
    const body = { hostId: H1, bootId: "boot", sequence: ++sequence, segments: [one(60)], lost: [] };
    const answer = await send(`${url}/midonet-api/trace-segments`, "POST", { headers: JSON_TYPE, body });
    assert.deepEqual(answer.json, { accepted: 1, duplicates: 0, refused: [] });
    assert.equal((await send(`${url}/healthz`, "GET")).status, 200);
    assert.equal((await send(`${url}/readyz`, "GET")).status, 200);
    assert.equal((await send(`${url}/metrics`, "GET")).status, 200, "for who watches the hosts");
    for (const path of ["/midonet-api", "/midonet-api/bridges", "/midonet-api/traces", "/"])
      assert.equal((await send(url + path, "GET")).status, 404, path);
    assert.equal((await send(`${url}/midonet-api/topology`, "POST", { body: {} })).status, 404);
  });
});
