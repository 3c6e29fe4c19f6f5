import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { FlowExports } from "#apps/api";
import type { Exporter } from "#core/exporting";
import type { FlowTrace } from "#core/tracing";
import { egressSegment, H2, ingressSegment } from "../../support/tracing-example.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

const LONG_MS = 60_000;

/** An exporter that remembers. */
function remembering() {
  const flows: FlowTrace[] = [];
  const calls: string[] = [];
  const exporter: Exporter = {
    name: "test",
    segment: () => assert.fail("flows are exported"),
    flow: (trace) => void flows.push(trace),
    lost: () => undefined,
    gone: () => void calls.push("gone"),
    start: async () => void calls.push("start"),
    stop: async () => void calls.push("stop"),
    counters: () => assert.fail("nobody asks"),
  };
  return { exporter, flows, calls };
}

async function rig() {
  const time = new VirtualTime();
  const traceStore = new MemoryTraceStore({ clock: time });
  const target = remembering();
  const log = { info: () => undefined, error: () => undefined };
  const exports = new FlowExports(traceStore, [target.exporter], log);
  await exports.start();
  return { time, traceStore, exports, ...target };
}

describe("flows are exported", () => {
  it("when every host has reported, once", async () => {
    const { traceStore, flows, exports, calls, time } = await rig();
    await traceStore.add([ingressSegment({ startedAtMs: time.nowMs() })]);
    assert.equal(flows.length, 0, "the other host is awaited");
    await traceStore.add([egressSegment()]);
    assert.deepEqual(
      flows.map((f) => f.completeness.state),
      ["complete"],
    );
    await exports.stop();
    assert.deepEqual(calls, ["start", "stop"]);
  });

  it("when what is missing is overdue, and again when it comes after all", async () => {
    const { traceStore, flows, exports, time } = await rig();
    await traceStore.add([ingressSegment({ startedAtMs: time.nowMs() })]);
    await time.advance(LONG_MS);
    await traceStore.settle();
    assert.deepEqual(
      flows.map((f) => f.completeness.state),
      ["partial"],
    );
    await traceStore.add([egressSegment(H2, "h2", 1)]);
    assert.deepEqual(
      flows.map((f) => f.completeness.state),
      ["partial", "complete"],
    );
    await exports.stop();
  });

  it("by reading them where the event does not bring them, and counted where they are gone", async () => {
    const { traceStore, flows, exports, calls } = await rig();
    const listeners: ((event: never) => void)[] = [];
    const subscribe = (_: null, listener: (event: never) => void) => (listeners.push(listener), () => undefined);
    const ids = { there: ingressSegment().flowTraceId, gone: "00000000-0000-4000-8000-00000000dead" };
    await traceStore.add([ingressSegment(), egressSegment()]);
    flows.length = 0;
    const flow = async (id: string) => (id === ids.there ? traceStore.flow(id as never) : null);
    const target = remembering();
    const other = new FlowExports({ subscribe, flow } as never, [target.exporter], {
      info: () => undefined,
      error: () => undefined,
    });
    await other.start();
    for (const flowTraceId of [ids.there, ids.gone])
      listeners[0]?.({ id: 1, change: "changed", flowTraceId, requestIds: [], trace: null } as never);
    await other.stop();
    assert.equal(target.flows.length, 1);
    assert.deepEqual(target.calls, ["start", "gone", "stop"]);
    await exports.stop();
    assert.deepEqual(calls, ["start", "stop"]);
  });
});
