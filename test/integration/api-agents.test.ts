import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { HostId } from "#core/base";
import { type Rig, startRig } from "./api-support.ts";

const H1 = "00000000-0000-4000-8000-0000000000a1" as HostId;
const H2 = "00000000-0000-4000-8000-0000000000a2" as HostId;

describe("GET /midonet-api/agents", () => {
  let rig: Rig;
  before(async () => {
    rig = await startRig();
    await rig.nsdb.initialize();
    await rig.nsdb.hosts.register(H1, "h1");
    await rig.nsdb.hosts.register(H2, "h2");
    await rig.nsdb.state.setAlive(H1);
  });
  after(() => rig.stop());

  it("shows what each agent said last, and which ones nothing is known of", async () => {
    const status = {
      tracesArmed: 3,
      budget: { level: "verdict", eventsPerSecond: 20_000 },
      spool: { segments: 7, bytes: 9_000 },
      lost: { budget: 12, "of later versions": 2 },
    };
    const sentAtMs = rig.time.nowMs() + 61_000;
    const answer = await rig.ask("POST", "/trace-segments", {
      headers: { "content-type": "application/json" },
      body: {
        hostId: H1,
        bootId: "b",
        sequence: 1,
        segments: [],
        lost: [],
        sentAtMs,
        roundTripMs: 2,
        waiting: 0,
        status,
      },
    });
    assert.equal(answer.status, 200, answer.text);
    const agents = (await rig.ask("GET", "/agents")).json;
    assert.deepEqual(agents, [
      {
        hostId: H1,
        hostName: "h1",
        alive: true,
        reportedAtMs: rig.time.nowMs(),
        clockOffsetMs: 61_001,
        tracesArmed: 3,
        budget: { level: "verdict", eventsPerSecond: 20_000 },
        spool: { segments: 7, bytes: 9_000 },
        lost: { budget: 12, other: 2 },
      },
      {
        hostId: H2,
        hostName: "h2",
        alive: false,
        reportedAtMs: null,
        clockOffsetMs: null,
        tracesArmed: null,
        budget: null,
        spool: null,
        lost: {},
      },
    ]);
  });

  it("a status that makes no sense is refused with its field", async () => {
    const answer = await rig.ask("POST", "/trace-segments", {
      headers: { "content-type": "application/json" },
      body: { hostId: H1, bootId: "b", sequence: 2, segments: [], lost: [], status: { tracesArmed: -1 } },
    });
    assert.equal(answer.status, 400);
    assert.match(answer.text, /status\.tracesArmed/);
  });
});
