import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { MAX_SEGMENTS_BODY_BYTES } from "#core/api-contract";
import { egressSegment, H1, H2, ingressSegment } from "../support/tracing-example.ts";
import { flowId, requestId } from "../support/tracing-samples.ts";
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
