import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { Seal } from "../../../src/apps/api/seal.ts";
import { EventStream, type EventStreamOptions, HEARTBEAT_MS, type StreamSink } from "#apps/api";
import { droppedSegment } from "../../support/tracing-example.ts";
import { flowId, requestId } from "../../support/tracing-samples.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

/** A client that reads only while `open` is true. */
class FakeSink implements StreamSink {
  readonly texts: string[] = [];
  accepting = true;
  finished = false;
  destroyed = false;
  private drained: () => void = () => undefined;
  private closed: () => void = () => undefined;

  write(text: string): boolean {
    this.texts.push(text);
    return this.accepting;
  }

  onDrain(listener: () => void): void {
    this.drained = listener;
  }

  onClose(listener: () => void): void {
    this.closed = listener;
  }

  end(): void {
    this.finished = true;
  }

  destroy(): void {
    this.destroyed = true;
  }

  drain(): void {
    this.accepting = true;
    this.drained();
  }

  close(): void {
    this.closed();
  }

  get names(): string[] {
    return this.texts.map((t) => /^event: (\w+)/m.exec(t)?.[1] ?? t.slice(0, 2));
  }
}

function rig(options: Partial<EventStreamOptions> = {}) {
  const time = new VirtualTime();
  const traceStore = new MemoryTraceStore({ clock: time });
  const sink = new FakeSink();
  let closed = 0;
  const stream = new EventStream(
    sink,
    {
      traceStore,
      scheduler: time,
      traceId: requestId(0xe1),
      viewer: { admin: true, tenantId: "" },
      seal: new Seal(() => "secret"),
      queue: 3,
      lastEventId: null,
      ...options,
    },
    () => closed++,
  );
  const add = async (n: number): Promise<unknown> =>
    await traceStore.add([droppedSegment({ segmentId: `s${n}`, flowTraceId: flowId(n) })]);
  return { time, traceStore, sink, stream, add, closed: () => closed };
}

describe("event stream", () => {
  it("holds events back while the client is behind, and gives each flow's newest state afterwards", async () => {
    const { sink, stream, add } = rig();
    void stream.open();
    sink.accepting = false;
    for (let n = 1; n <= 4; n++) await add(n);
    assert.deepEqual(sink.names, ["re", "flow"]);
    sink.drain();
    await setImmediate();
    assert.deepEqual(sink.names, ["re", "flow", "flow", "flow", "flow"]);
  });

  it("cuts a client that is too far behind, says why, and lets go of everything", async () => {
    const { sink, stream, add, time, closed } = rig();
    void stream.open();
    sink.accepting = false;
    for (let n = 1; n <= 9; n++) await add(n);
    assert.deepEqual(sink.names, ["re", "flow", "end"]);
    assert.match(sink.texts.at(-1) ?? "", /"reason":"slow-client"/);
    assert.ok(sink.finished && !sink.destroyed, "what was written may still go out");
    await time.runUntilIdle();
    assert.ok(sink.destroyed);
    assert.equal(closed(), 1);
    sink.close();
    assert.equal(closed(), 1);
    assert.equal(time.pending, 0);
  });

  it("gives a client that comes back all it missed, however little its queue is", async () => {
    const first = rig();
    void first.stream.open();
    const seen = first.traceStore.lastEventId();
    for (let n = 1; n <= 8; n++) await first.add(n);
    const sink = new FakeSink();
    sink.accepting = false;
    const { traceStore, time } = first;
    const options = {
      traceStore,
      scheduler: time,
      traceId: requestId(0xe1),
      viewer: { admin: true, tenantId: "" },
      seal: new Seal(() => "secret"),
    };
    await new EventStream(sink, { ...options, queue: 1, lastEventId: seen }, () => undefined).open();
    sink.drain();
    await setImmediate();
    assert.equal(sink.names.filter((n) => n === "flow").length, 8);
  });

  it("shows a tenant only what is the tenant's", async () => {
    const { sink, stream, add } = rig({ viewer: { admin: false, tenantId: "somebody-else" } });
    void stream.open();
    await add(1);
    assert.match(sink.texts.at(-1) ?? "", /"withheld":true/);
    assert.ok(!(sink.texts.at(-1) ?? "").includes("red-net"));
  });

  it("stops beating when the client goes", async () => {
    const { sink, stream, time, closed } = rig();
    void stream.open();
    await time.advance(HEARTBEAT_MS * 2);
    assert.equal(sink.texts.filter((t) => t.startsWith(":")).length, 2);
    sink.close();
    assert.deepEqual([time.pending, closed()], [0, 1]);
  });
});
