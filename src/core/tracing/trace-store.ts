import type { FlowTraceId, TraceRequestId } from "#core/base";
import type { FlowFilter } from "./flow-filter.ts";
import type { FlowPath } from "./flow-path.ts";
import type { FlowTrace } from "./flow-trace.ts";
import type { LossAbout } from "./loss.ts";
import type { Viewer } from "./redact.ts";
import type { TraceSegment } from "./segment.ts";
import type { Verdict } from "./verdict.ts";

export interface FlowQuery extends FlowFilter {
  /** 1 or more; at most `MAX_PAGE` are given. */
  readonly limit: number;
  /** Cursor of an entry: only older ones, the newest of them first. */
  readonly before?: string;
  /** Cursor of an entry: only newer ones. Without `before`, the page next to the cursor. */
  readonly after?: string;
  /** Who asks: filters look at what this viewer sees, so that they cannot tell what is withheld. Default: everything. */
  readonly viewer?: Viewer;
}

export interface PathQuery extends FlowFilter {
  /** 1 or more; at most `MAX_PAGE` are given. */
  readonly limit: number;
  /** Whose view the paths are of. Default: everything. */
  readonly viewer?: Viewer;
}

export const MAX_PAGE = 1_000;

export interface FlowEntry {
  /** Place in the order in which flow traces became known; stays the same while the flow trace grows. */
  readonly cursor: string;
  readonly trace: FlowTrace;
  readonly pinned: boolean;
}

export interface FlowPage {
  /** Newest first. */
  readonly flows: readonly FlowEntry[];
  /** There are older flow traces than the last of this page: ask with `before`. */
  readonly more: boolean;
}

/** A path that flows of one request took. */
export interface PathEntry extends FlowPath {
  readonly count: number;
  /** When the first and the last of the flows that took it began, by the clocks of their hosts. */
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  /** One of them, the newest that is kept. */
  readonly sample: FlowTraceId;
}

export interface PathPage {
  /** Those that most flows took first. */
  readonly paths: readonly PathEntry[];
  readonly more: boolean;
}

/** The other direction of a conversation. Which of its requests a viewer may know of decides whether it is shown. */
export interface Counterpart {
  readonly flowTraceId: FlowTraceId;
  readonly requestIds: readonly TraceRequestId[];
}

/** What is known of a flow trace beside its trace. */
export interface FlowStanding {
  /** `expired`: it was thrown out to make room, or for its age. */
  readonly state: "kept" | "expired" | "unknown";
  readonly pinned: boolean;
  /** Oldest first, at most 16. */
  readonly counterparts: readonly Counterpart[];
}

export const MAX_COUNTERPARTS = 16;

export interface RequestSummary {
  readonly requestId: TraceRequestId;
  readonly flows: number;
  /** When the newest began; null without flows. */
  readonly lastFlowAtMs: number | null;
  readonly verdicts: { readonly [V in Verdict]?: number };
}

/** `new`: the first part came; `changed`: another part came, or what was awaited is overdue. */
export interface FlowEvent {
  readonly id: number;
  readonly change: "new" | "changed";
  readonly flowTraceId: FlowTraceId;
  readonly requestIds: readonly TraceRequestId[];
  /** As it was when the event came, so that a stream need not ask for it; null in a replay. */
  readonly trace: FlowTrace | null;
}

/** What is kept, of all tenants. */
export interface StoreSize {
  readonly flows: number;
  readonly pinned: number;
  /** Of those that are not pinned, without what indexes take. */
  readonly bytes: number;
}

/** What became of the segments of one `add`. */
export interface Added {
  /** Flow traces that changed, each once. */
  readonly changed: readonly FlowTraceId[];
  /** Segments that were there before. */
  readonly duplicates: number;
}

export interface Replay {
  /** True: events after the asked one are gone; read the list anew. */
  readonly gap: boolean;
  readonly events: readonly FlowEvent[];
}

/**
 * Where the collector keeps flow traces. A call is done, and kept, when its promise resolves, and has changed nothing when
 * it rejects; listeners are called before that, in order of event ids, which only grow, also over restarts. What a listener
 * throws is swallowed: it can neither stop the store nor the others. Flow traces are bounded, the oldest goes first
 * (`evicted` counts). Every promise rejects with MidotraceError STORE_UNAVAILABLE while the store is away.
 */
export interface TraceStore {
  readonly evicted: number;
  /** All of them or, when it rejects, none. An orphan that nothing explains yet changes no flow trace. */
  add(segments: readonly TraceSegment[]): Promise<Added>;
  /** A host says that it lost reports; the same loss (`about.id`) counts once. */
  lost(hostId: string, count: number, because: string, about?: LossAbout): Promise<void>;
  /** @throws MidotraceError VALIDATION when a cursor or the limit is none. */
  flows(requestId: TraceRequestId, query: FlowQuery): Promise<FlowPage>;
  /** The paths that the flows of a request took. @throws MidotraceError VALIDATION as `flows`. */
  paths(requestId: TraceRequestId, query: PathQuery): Promise<PathPage>;
  flow(flowTraceId: FlowTraceId): Promise<FlowTrace | null>;
  about(flowTraceId: FlowTraceId): Promise<FlowStanding>;
  /**
   * Keeps the flow trace beyond the bounds, or lets it go with the others again.
   * @throws MidotraceError NOT_FOUND; CONFLICT when the tenant has as many pins as it may have.
   */
  pin(flowTraceId: FlowTraceId, pinned: boolean): Promise<void>;
  /** One for each request that is asked for, in that order, with the verdicts that the viewer sees. Default: everything. */
  summaries(requestIds: readonly TraceRequestId[], viewer?: Viewer): Promise<readonly RequestSummary[]>;
  size(): Promise<StoreSize>;
  /** Egress segments whose flow trace nobody knows, oldest first. */
  orphans(): Promise<readonly TraceSegment[]>;
  /** Emits a change for each flow trace whose awaited parts became overdue; to be called about every second. */
  settle(): Promise<readonly FlowTraceId[]>;
  /** Events of one request, or of all (null). The returned function ends it. */
  subscribe(requestId: TraceRequestId | null, listener: (event: FlowEvent) => void): () => void;
  /** The events after `eventId`; 0 or any id from before a restart is a gap. */
  since(requestId: TraceRequestId | null, eventId: number): Promise<Replay>;
  /** Id of the newest event: where a new subscriber begins. */
  lastEventId(): number;
  /** Forgets the request, and the flow traces that no other request asked for; late segments do not bring it back. */
  forgetRequest(requestId: TraceRequestId): Promise<void>;
}
