import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { Links, stringifyExactJson } from "#core/api-contract";
import type { FlowTraceId, TraceRequestId } from "#core/base";
import {
  capturedPackets,
  ecsDocument,
  flowRecord,
  flowSpans,
  packetCapture,
  shownFlow,
  stepLog,
  stepRecords,
} from "#core/exporting";
import { type FlowTrace, redactFlowTrace, renderFlowTrace, type TraceSegment, type Viewer } from "#core/tracing";
import { jsonLine } from "../../src/adapters/exporters/file/file-wire.ts";
import { hecEvent } from "../../src/adapters/exporters/splunk/hec.ts";
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
const seal = new Seal(() => "a secret of tests");

const FILTERS = [
  "verdict=flooded",
  "verdict=dropped",
  "dropReason=no-route",
  "completeness=partial",
  "device=b2",
  "address=10.0.2.1",
  "l4Port=443",
];

/** Every way by which a flow trace leaves the house; each gives the bytes that a viewer gets. */
export const EXITS: Readonly<Record<string, (at: AtExit) => string | Promise<string>>> = {
  "GET flow": (at) => answerOf(at, "getFlow"),
  "GET flows": (at) => answerOf(at, "listFlows"),
  "GET paths": (at) => answerOf(at, "listPaths"),
  "GET trace_summaries": (at) => answerOf(at, "traceSummaries"),
  ...Object.fromEntries(
    FILTERS.map((filter) => [`GET flows?${filter}`, (at: AtExit) => answerOf(at, "listFlows", filter)]),
  ),
  "event stream": eventsOf,
  "export of flows": ({ trace, viewer }) => {
    const flow = shownFlow(trace, viewer);
    if (flow === null) return "";
    const record = flowRecord(flow, 1);
    return [
      jsonLine(record),
      JSON.stringify(ecsDocument(record)),
      hecEvent(record, null),
      JSON.stringify(flowSpans(record)),
    ].join("\n");
  },
  // Apart from the time, which is that at which the host of the tenant's port got the packet.
  "export of steps": ({ segments, viewer }) =>
    segments
      .flatMap((s) => stepRecords(s, viewer))
      .map((r) => ({ ...r, atMs: 0, id: "", step: r.step.withheld === true ? r.step : { ...r.step, atMs: 0 } }))
      .flatMap((r) => [jsonLine(r), JSON.stringify(ecsDocument(r)), hecEvent(r, null), JSON.stringify(stepLog(r))])
      .join("\n"),
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

const stores = new WeakMap<AtExit, MemoryTraceStore>();

/** Holds the flow trace, long after. */
async function storeOf(at: AtExit): Promise<MemoryTraceStore> {
  const known = stores.get(at);
  if (known !== undefined) return known;
  const time = new VirtualTime();
  const store = new MemoryTraceStore({ clock: time });
  stores.set(at, store);
  await store.add(at.segments);
  await time.advance(LONG_AFTER_MS);
  return store;
}

async function answerOf(
  at: AtExit,
  operation: "getFlow" | "listFlows" | "listPaths" | "traceSummaries",
  filter = "",
): Promise<string> {
  const { viewer, requestId, flowTraceId } = at;
  const traceStore = await storeOf(at);
  const nsdb = {
    traces: { get: () => Promise.resolve({ id: requestId }), list: () => Promise.resolve([{ id: requestId }]) },
  };
  const handlers = traceHandlers({ nsdb, traceStore, seal } as unknown as Parameters<typeof traceHandlers>[0]);
  const links = new Links("http://api/midonet-api");
  const params = { id: requestId, flowTraceId };
  const call = {
    params,
    query: { limit: 10, ...Object.fromEntries(new URLSearchParams(filter)) },
    links,
    viewer,
    body: undefined,
    header: () => undefined,
  };
  const answer = await handlers[operation](call as never);
  return stringifyExactJson(answer.kind === "json" ? answer.value : null);
}
