import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { FabricSwitch } from "#adapters/datapath-fabric";
import { decodeCapture } from "#core/packets";
import { DROP_REASONS, type TraceSegment } from "#core/tracing";
import { ingressOf, onCluster, portNamed, stepsOf } from "../support/cluster-kit.ts";
import { type Cluster, type ClusterPlan, routedPlan } from "../support/cluster.ts";

const CAPTURE = new URL("../fixtures/captures/real-kernel.pcap", import.meta.url);
const FRAMES = decodeCapture(new Uint8Array(readFileSync(CAPTURE))).frames.map((f) => f.bytes);
/** Longer than any packet waits for an ARP answer. */
const WAIT_MS = 6_000;

/** The port of red-1 without its VM: the capture plays there. */
function plan(): ClusterPlan {
  const whole = routedPlan();
  return { ...whole, vms: whole.vms.filter((vm) => vm.name !== "red-1") };
}

async function replayPort(c: Cluster): Promise<{ id: string; send: (frame: Uint8Array) => void }> {
  const host = c.switches.get("h1") as FabricSwitch;
  const port = host.attachVm("tap-red-1", { receive: () => undefined });
  await c.settle();
  return { id: (await portNamed(c, "red-1")).id, send: (frame) => port.send(frame) };
}

describe(`the ${FRAMES.length} frames of a real kernel, played into a traced port`, () => {
  it("are each forwarded, absorbed, or dropped with the reason in their trace", async () => {
    const ends = new Map<string, number>();
    await onCluster(plan(), async (c) => {
      const port = await replayPort(c);
      const trace = await c.trace("PORT", port.id, {}, { enabled: false });
      for (const [n, frame] of FRAMES.entries()) {
        // Enabling anew makes every frame the first of its flow, and removes the entries it could meet.
        await c.admin.traces.enable(trace);
        await c.settle();
        const before = ingressOf(c).length;
        port.send(frame);
        await c.settle();
        if (ingressOf(c).length === before) await c.settle(WAIT_MS);
        const segments = ingressOf(c).slice(before);
        assert.equal(segments.length, 1, `frame ${n} has ${segments.length} traces`);
        const segment = segments[0] as TraceSegment;
        assert.deepEqual(segment.requestIds, [trace]);
        assert.equal(stepsOf(segment, "packet-received")[0]?.lengthBytes, frame.length);
        const { verdict, dropReason } = segment;
        const end = dropReason === null ? verdict : `${verdict}: ${dropReason}`;
        ends.set(end, (ends.get(end) ?? 0) + 1);
        if (verdict === "dropped" || verdict === "rejected") {
          assert.ok(dropReason !== null && dropReason in DROP_REASONS, `frame ${n}: ${end}`);
          assert.ok(
            stepsOf(segment, "drop").some((s) => s.reason === dropReason),
            `frame ${n}: no step says why`,
          );
        } else assert.ok(["delivered", "flooded", "consumed"].includes(verdict), `frame ${n}: ${end}`);
        await c.admin.traces.disable(trace);
        await c.settle();
      }
    });
    const total = [...ends.values()].reduce((a, b) => a + b, 0);
    assert.equal(total, FRAMES.length, JSON.stringify([...ends]));
    assert.ok(ends.size >= 3, JSON.stringify([...ends]));
  });

  it("are all accounted for when they come at once: traced, known to a traced flow, or served by an entry", async () => {
    await onCluster(plan(), async (c) => {
      const port = await replayPort(c);
      await c.trace("PORT", port.id, {});
      const host = c.switches.get("h1") as FabricSwitch;
      const agent = c.agent("h1");
      const before = { hits: host.stats().hits, simulated: agent.counters().simulated };
      for (const frame of FRAMES) port.send(frame);
      await c.settle(WAIT_MS);
      const hits = host.stats().hits - before.hits;
      const simulated = agent.counters().simulated - before.simulated;
      assert.ok(hits + simulated >= FRAMES.length, `${hits} by entries, ${simulated} simulated`);
      assert.equal(agent.counters().waiting, 0);
      const traced = ingressOf(c, "h1").filter((s) => s.steps.some((x) => x.kind === "packet-received"));
      assert.ok(traced.length > 40, `${traced.length} flows were traced`);
      for (const s of traced) {
        assert.notEqual(s.verdict, "unknown");
        assert.notEqual(s.verdict, "error");
        if (s.verdict === "dropped" || s.verdict === "rejected") assert.ok(s.dropReason !== null);
      }
    });
  });
});
