import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { Links, stringifyExactJson } from "#core/api-contract";
import type { FlowTraceId, TraceRequestId } from "#core/base";
import { capturedPackets, packetCapture } from "#core/exporting";
import { type FlowTrace, redactFlowTrace, renderFlowTrace, type TraceSegment, type Viewer } from "#core/tracing";
import { EventStream } from "../../src/apps/api/event-stream.ts";
import { traceHandlers } from "../../src/apps/api/handlers/traces.ts";
import { Seal } from "../../src/apps/api/seal.ts";
import { VirtualTime } from "./virtual-time.ts";

/** A flow trace that is to leave the house. */
export interface AtExit {
  readonly segments: readonly TraceSegment[];
  readonly requestId: TraceRequestId;
  readonly flowTraceId: FlowTraceId;
  readonly viewer: Viewer;
  /** The segments joined, as whoever exports gets it. */
  readonly trace: FlowTrace;
}

const LONG_AFTER_MS = 60_000;
const seal = new Seal("a secret of tests");

/** Every way by which a flow trace leaves the house; each gives the bytes that a viewer gets. */
export const EXITS: Readonly<Record<string, (at: AtExit) => string | Promise<string>>> = {
  "GET flow": (at) => answerOf(at, "getFlow"),
  "GET flows": (at) => answerOf(at, "listFlows"),
  "event stream": eventsOf,
  "packet.pcapng": ({ trace, viewer }) => Buffer.from(packetCapture(capturedPackets(trace, viewer))).toString("hex"),
  "tree of the command line": ({ trace, viewer }) =>
    renderFlowTrace(redactFlowTrace(trace, viewer), { colour: false, width: 200 }),
};

/** The stream of a client that is there before the first segment; ids apart, of which tenants get none that they can read. */
async function eventsOf({ segments, requestId: traceId, viewer }: AtExit): Promise<string> {
  const time = new VirtualTime();
  const traceStore = new MemoryTraceStore({ clock: time });
  let text = "";
  const sink = {
    write: (t: string) => {
      text += t;
      return true;
    },
    onDrain: () => undefined,
    onClose: () => undefined,
    end: () => undefined,
    destroy: () => undefined,
  };
  const options = { traceStore, scheduler: time, traceId, viewer, queue: 100, lastEventId: null, seal };
  const stream = new EventStream(sink, options, () => undefined);
  await stream.open();
  await traceStore.add(segments);
  await time.advance(LONG_AFTER_MS);
  await traceStore.settle();
  await new Promise(setImmediate);
  stream.end("over");
  return text.replaceAll(/^id: .*$/gm, "").replaceAll(/^: still here$/gm, "");
}

async function answerOf(at: AtExit, operation: "getFlow" | "listFlows"): Promise<string> {
  const { segments, viewer, requestId, flowTraceId } = at;
  const time = new VirtualTime();
  const traceStore = new MemoryTraceStore({ clock: time });
  await traceStore.add(segments);
  await time.advance(LONG_AFTER_MS);
  const nsdb = { traces: { get: () => Promise.resolve({ id: requestId }) } };
  const handlers = traceHandlers({ nsdb, traceStore, seal } as unknown as Parameters<typeof traceHandlers>[0]);
  const links = new Links("http://api/midonet-api");
  const params = { id: requestId, flowTraceId };
  const call = { params, query: { limit: 10 }, links, viewer, body: undefined, header: () => undefined };
  const answer = await handlers[operation](call as never);
  return stringifyExactJson(answer.kind === "json" ? answer.value : null);
}
