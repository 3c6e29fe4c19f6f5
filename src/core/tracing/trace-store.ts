import type { FlowTraceId, TraceRequestId } from "#core/base";
import type { FlowTrace } from "./flow-trace.ts";
import type { TraceSegment } from "./segment.ts";
import type { Verdict } from "./verdict.ts";

export interface FlowQuery {
  /** 1 or more; at most `MAX_PAGE` are given. */
  readonly limit: number;
  /** Cursor of an entry: only older ones, the newest of them first. */
  readonly before?: string;
  /** Cursor of an entry: only newer ones. Without `before`, the page next to the cursor. */
  readonly after?: string;
  readonly verdict?: Verdict;
  /** Host id or name: only flow traces that the host reported a part of. */
  readonly host?: string;
}

export const MAX_PAGE = 1_000;

export interface FlowEntry {
  /** Place in the order in which flow traces became known; stays the same while the flow trace grows. */
  readonly cursor: string;
  readonly trace: FlowTrace;
}

export interface FlowPage {
  /** Newest first. */
  readonly flows: readonly FlowEntry[];
  /** There are older flow traces than the last of this page: ask with `before`. */
  readonly more: boolean;
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
  /** A host says that it lost reports. */
  lost(hostId: string, count: number, because: string): Promise<void>;
  /** @throws MidotraceError VALIDATION when a cursor or the limit is none. */
  flows(requestId: TraceRequestId, query: FlowQuery): Promise<FlowPage>;
  flow(flowTraceId: FlowTraceId): Promise<FlowTrace | null>;
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
