import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { base64Encode, type TraceRequestId } from "#core/base";
import { decodeCapture } from "#core/packets";
import { ingressSegment } from "../support/tracing-example.ts";
import { flowId, id } from "../support/tracing-samples.ts";
import { applySmallNetwork, type Rig, startRig } from "./api-support.ts";

const FLOWS = 5;

describe("packet captures over REST", { timeout: 20_000 }, () => {
  let rig: Rig;
  let traceId = "";

  before(async () => {
    rig = await startRig();
    const ids = await applySmallNetwork(rig);
    traceId = await rig.make("/traces", { name: "t", deviceType: "ROUTER", deviceId: ids.get("r1") });
    for (let n = 1; n <= FLOWS; n++) {
      const about = { segmentId: `s${n}`, flowTraceId: flowId(n), requestIds: [traceId as TraceRequestId] };
      const packet = { originalLength: 100, bytes: base64Encode(new Uint8Array(20).fill(n)) };
      await rig.traceStore.add([ingressSegment({ ...about, packet })]);
    }
  });
  after(() => rig.stop());

  async function capture(path: string): Promise<{ headers: Headers; marks: (number | undefined)[] }> {
    const answer = await fetch(rig.base + path);
    assert.equal(answer.status, 200, path);
    const { frames, problem } = decodeCapture(new Uint8Array(await answer.arrayBuffer()));
    assert.equal(problem, null);
    for (const frame of frames) assert.equal(frame.originalLength, 100);
    return { headers: answer.headers, marks: frames.map((f) => f.bytes[0]) };
  }

  it("are a file of one flow, and of a request's newest flows, oldest first", async () => {
    const one = await capture(`/traces/${traceId}/flows/${flowId(3)}/packet.pcapng`);
    assert.deepEqual(one.marks, [3]);
    assert.equal(one.headers.get("content-type"), "application/x-pcapng");
    assert.equal(one.headers.get("content-disposition"), `attachment; filename="flow-${flowId(3)}.pcapng"`);
    assert.deepEqual((await capture(`/traces/${traceId}/packets.pcapng`)).marks, [1, 2, 3, 4, 5]);
    assert.deepEqual((await capture(`/traces/${traceId}/packets.pcapng?limit=2`)).marks, [4, 5]);
  });

  it("are not there for flows and requests that are not, and bounded", async () => {
    const status = async (path: string): Promise<number> => (await rig.ask("GET", path)).status;
    assert.equal(await status(`/traces/${traceId}/flows/${flowId(99)}/packet.pcapng`), 404);
    assert.equal(await status(`/traces/${id(1)}/packets.pcapng`), 404);
    assert.equal(await status(`/traces/${traceId}/packets.pcapng?limit=0`), 400);
    const headers = { accept: "application/json" };
    assert.equal((await rig.ask("GET", `/traces/${traceId}/packets.pcapng`, { headers })).status, 406);
  });

  it("never stand in a flow's JSON", async () => {
    const { text } = await rig.ask("GET", `/traces/${traceId}/flows`);
    assert.doesNotMatch(text, /originalLength|"packet":|BQUFBQUF/);
  });
});
