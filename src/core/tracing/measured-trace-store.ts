import {
  type Clock,
  type FlowTraceId,
  HistogramsBy,
  metricSource,
  type MetricSource,
  type MetricTable,
  type TraceRequestId,
} from "#core/base";
import type { FlowTrace } from "./flow-trace.ts";
import type { LossAbout } from "./loss.ts";
import type { Viewer } from "./redact.ts";
import type { TraceSegment } from "./segment.ts";
import type {
  Added,
  FlowEvent,
  FlowPage,
  FlowQuery,
  FlowStanding,
  PathPage,
  PathQuery,
  Replay,
  RequestSummary,
  StoreSize,
  TraceStore,
} from "./trace-store.ts";

export const TRACE_STORE_METRICS = {
  midotrace_api_trace_store_seconds: {
    kind: "histogram",
    help: "How long the trace store took to answer; answers only.",
    labels: { operation: "add, lost, flows, paths, flow, pin, summaries, settle or since" },
  },
  midotrace_api_trace_store_failures_total: {
    kind: "counter",
    help: "Questions that the trace store refused, or did not answer.",
  },
  midotrace_api_flow_traces: { kind: "gauge", help: "Flow traces that are kept now, of all tenants." },
  midotrace_api_flow_traces_pinned: { kind: "gauge", help: "Of them, those that are pinned." },
  midotrace_api_flow_traces_bytes: {
    kind: "gauge",
    help: "Bytes of those that are not pinned, without what indexes take.",
  },
  midotrace_api_flow_traces_evicted_total: { kind: "counter", help: "Flow traces thrown out to make room." },
} as const satisfies MetricTable;

/** A trace store with a stop watch. */
export class MeasuredTraceStore implements TraceStore {
  private readonly inner: TraceStore;
  private readonly clock: Clock;
  private readonly seconds = new HistogramsBy("operation");
  private failures = 0;

  constructor(inner: TraceStore, clock: Clock) {
    this.inner = inner;
    this.clock = clock;
  }

  get evicted(): number {
    return this.inner.evicted;
  }

  metrics(): MetricSource {
    // Asked once for the three of them; a store that is away has no size.
    let asked: Promise<StoreSize | null> = Promise.resolve(null);
    const sized = async (of: (size: StoreSize) => number): Promise<number | null> => {
      const size = await asked;
      return size === null ? null : of(size);
    };
    return metricSource(TRACE_STORE_METRICS, {
      midotrace_api_trace_store_seconds: () => this.seconds.reading(),
      midotrace_api_trace_store_failures_total: () => this.failures,
      midotrace_api_flow_traces: () => {
        asked = this.inner.size().catch(() => null);
        return sized((s) => s.flows);
      },
      midotrace_api_flow_traces_pinned: () => sized((s) => s.pinned),
      midotrace_api_flow_traces_bytes: () => sized((s) => s.bytes),
      midotrace_api_flow_traces_evicted_total: () => this.inner.evicted,
    });
  }

  add(segments: readonly TraceSegment[]): Promise<Added> {
    return this.timed("add", () => this.inner.add(segments));
  }

  lost(hostId: string, count: number, because: string, about?: LossAbout): Promise<void> {
    return this.timed("lost", () => this.inner.lost(hostId, count, because, about));
  }

  flows(requestId: TraceRequestId, query: FlowQuery): Promise<FlowPage> {
    return this.timed("flows", () => this.inner.flows(requestId, query));
  }

  paths(requestId: TraceRequestId, query: PathQuery): Promise<PathPage> {
    return this.timed("paths", () => this.inner.paths(requestId, query));
  }

  flow(flowTraceId: FlowTraceId): Promise<FlowTrace | null> {
    return this.timed("flow", () => this.inner.flow(flowTraceId));
  }

  about(flowTraceId: FlowTraceId): Promise<FlowStanding> {
    return this.inner.about(flowTraceId);
  }

  pin(flowTraceId: FlowTraceId, pinned: boolean): Promise<void> {
    return this.timed("pin", () => this.inner.pin(flowTraceId, pinned));
  }

  summaries(requestIds: readonly TraceRequestId[], viewer?: Viewer): Promise<readonly RequestSummary[]> {
    return this.timed("summaries", () => this.inner.summaries(requestIds, viewer));
  }

  size(): Promise<StoreSize> {
    return this.inner.size();
  }

  orphans(): Promise<readonly TraceSegment[]> {
    return this.inner.orphans();
  }

  settle(): Promise<readonly FlowTraceId[]> {
    return this.timed("settle", () => this.inner.settle());
  }

  subscribe(requestId: TraceRequestId | null, listener: (event: FlowEvent) => void): () => void {
    return this.inner.subscribe(requestId, listener);
  }

  since(requestId: TraceRequestId | null, eventId: number): Promise<Replay> {
    return this.timed("since", () => this.inner.since(requestId, eventId));
  }

  lastEventId(): number {
    return this.inner.lastEventId();
  }

  forgetRequest(requestId: TraceRequestId): Promise<void> {
    return this.inner.forgetRequest(requestId);
  }

  private async timed<T>(operation: string, work: () => Promise<T>): Promise<T> {
    const beganMs = this.clock.monotonicMs();
    try {
      const answer = await work();
      this.seconds.observe(operation, (this.clock.monotonicMs() - beganMs) / 1_000);
      return answer;
    } catch (error) {
      this.failures++;
      throw error;
    }
  }
}
