import { type Clock, type FlowTraceId, MidotraceError, type TraceRequestId } from "#core/base";
import {
  type Added,
  arrivedName,
  assembleFlowTrace,
  copyName,
  type ExpectedEgress,
  type FlowEntry,
  type FlowEvent,
  type FlowPage,
  type FlowQuery,
  type FlowTrace,
  joinOrphan,
  MAX_PAGE,
  type Replay,
  type TraceSegment,
  type TraceStore,
  TRACE_STATE_TTL_MS,
} from "#core/tracing";
import { EventRing } from "./event-ring.ts";
import { type FlowRecord, Index } from "./flow-record.ts";
import { MEMORY_TRACE_STORE_LIMITS, type MemoryTraceStoreLimits } from "./limits.ts";

export interface MemoryTraceStoreOptions extends Partial<MemoryTraceStoreLimits> {
  readonly clock: Clock;
  readonly hostDown?: (hostId: string) => boolean;
  /** Host of a tunnel address, where known: makes joining of orphans stricter. */
  readonly hostOfTunnelIp?: (ip: string) => string | null;
}

interface LossNote {
  readonly hostId: string;
  readonly count: number;
  readonly because: string;
  readonly atMs: number;
}

/** Keeps flow traces in memory: for the lab, for tests, and for an API server that need not remember over a restart. */
export class MemoryTraceStore implements TraceStore {
  evicted = 0;
  /** Orphans that were thrown out to make room. */
  orphansEvicted = 0;

  private readonly options: MemoryTraceStoreOptions;
  private readonly limits: MemoryTraceStoreLimits;
  private readonly events: EventRing;
  /** In order of first segments. */
  private readonly records = new Map<FlowTraceId, FlowRecord>();
  private readonly byRequest = new Index<TraceRequestId, FlowRecord>();
  /** Copies that an ingress host sent, by name. */
  private readonly expecting = new Index<string, FlowRecord>();
  private readonly lonely = new Map<string, TraceSegment>();
  private readonly lonelyAt = new Index<string, TraceSegment>();
  private readonly notes: LossNote[] = [];
  private readonly forgotten = new Set<TraceRequestId>();
  private places = 0;

  constructor(options: MemoryTraceStoreOptions) {
    this.options = options;
    this.limits = { ...MEMORY_TRACE_STORE_LIMITS, ...options };
    // Ids grow over restarts, too: no process gives 1024 events in each millisecond of its life.
    this.events = new EventRing(this.limits.maxEvents, Math.floor(options.clock.nowMs()) * 1024 + 1);
  }

  async add(segments: readonly TraceSegment[]): Promise<Added> {
    const changed = new Set<FlowTraceId>();
    let duplicates = 0;
    for (const segment of segments) {
      const became =
        segment.flowTraceId === null ? this.addOrphan(segment) : this.addKnown(segment, segment.flowTraceId);
      if (became === "duplicate") duplicates++;
      else if (became !== null) changed.add(became);
    }
    return { changed: [...changed], duplicates };
  }

  async lost(hostId: string, count: number, because: string): Promise<void> {
    this.notes.push({ hostId, count, because, atMs: this.options.clock.nowMs() });
    if (this.notes.length > this.limits.maxLossNotes) this.notes.shift();
  }

  async flows(requestId: TraceRequestId, query: FlowQuery): Promise<FlowPage> {
    if (!Number.isInteger(query.limit) || query.limit < 1) refuse("limit", "a whole number from 1");
    const limit = Math.min(query.limit, MAX_PAGE);
    const before = query.before === undefined ? Number.POSITIVE_INFINITY : placeOf("before", query.before);
    const after = query.after === undefined ? -1 : placeOf("after", query.after);
    const forward = query.after !== undefined && query.before === undefined;
    const inOrder = [...this.byRequest.get(requestId)].sort((a, b) =>
      forward ? a.place - b.place : b.place - a.place,
    );
    const found: FlowEntry[] = [];
    for (const record of inOrder) {
      if (record.place >= before || record.place <= after) continue;
      const trace = this.assemble(record);
      if (trace === null || !fits(trace, query)) continue;
      found.push({ cursor: String(record.place), trace });
      if (found.length > limit) break;
    }
    const page = found.slice(0, limit);
    if (!forward) return { flows: page, more: found.length > limit };
    return { flows: page.reverse(), more: inOrder.some((r) => r.place <= after) };
  }

  async flow(flowTraceId: FlowTraceId): Promise<FlowTrace | null> {
    const record = this.records.get(flowTraceId);
    return record === undefined ? null : this.assemble(record);
  }

  async orphans(): Promise<readonly TraceSegment[]> {
    return [...this.lonely.values()];
  }

  async settle(): Promise<readonly FlowTraceId[]> {
    const changed: FlowTraceId[] = [];
    const now = this.options.clock.nowMs();
    for (const record of this.records.values()) {
      if (!record.awaiting || now - record.sinceMs < TRACE_STATE_TTL_MS) continue;
      changed.push(record.flowTraceId);
      this.announce(record, "changed");
    }
    return changed;
  }

  subscribe(requestId: TraceRequestId | null, listener: (event: FlowEvent) => void): () => void {
    return this.events.subscribe(requestId, listener);
  }

  async since(requestId: TraceRequestId | null, eventId: number): Promise<Replay> {
    return this.events.since(requestId, eventId);
  }

  lastEventId(): number {
    return this.events.lastId;
  }

  async forgetRequest(requestId: TraceRequestId): Promise<void> {
    this.forgotten.add(requestId);
    for (const oldest of this.forgotten) {
      if (this.forgotten.size <= this.limits.maxForgotten) break;
      this.forgotten.delete(oldest);
    }
    for (const record of Array.from(this.byRequest.get(requestId))) {
      this.byRequest.delete(requestId, record);
      record.requestIds.delete(requestId);
      if (record.requestIds.size === 0) this.close(record);
    }
  }

  /** The flow trace that changed, if any. */
  private addKnown(segment: TraceSegment, flowTraceId: FlowTraceId): FlowTraceId | "duplicate" | null {
    if (segment.requestIds.length > 0 && segment.requestIds.every((id) => this.forgotten.has(id))) return null;
    const known = this.records.get(flowTraceId);
    const record = known ?? this.open(flowTraceId);
    if (!this.put(record, segment)) return "duplicate";
    for (const e of segment.expects) this.adopt(copyOf(e));
    this.announce(record, known === undefined ? "new" : "changed");
    this.makeRoom();
    return flowTraceId;
  }

  private open(flowTraceId: FlowTraceId): FlowRecord {
    const record: FlowRecord = {
      flowTraceId,
      place: ++this.places,
      sinceMs: this.options.clock.nowMs(),
      segments: [],
      segmentIds: new Set(),
      requestIds: new Set(),
      awaiting: false,
    };
    this.records.set(flowTraceId, record);
    return record;
  }

  /** False when the segment was there. */
  private put(record: FlowRecord, segment: TraceSegment): boolean {
    if (record.segmentIds.has(segment.segmentId)) return false;
    record.segmentIds.add(segment.segmentId);
    record.segments.push(segment);
    for (const id of segment.requestIds) {
      if (this.forgotten.has(id)) continue;
      record.requestIds.add(id);
      this.byRequest.add(id, record);
    }
    for (const e of segment.expects) this.expecting.add(copyOf(e), record);
    return true;
  }

  private close(record: FlowRecord): void {
    this.records.delete(record.flowTraceId);
    for (const id of record.requestIds) this.byRequest.delete(id, record);
    for (const s of record.segments) for (const e of s.expects) this.expecting.delete(copyOf(e), record);
  }

  private makeRoom(): void {
    for (const oldest of this.records.values()) {
      if (this.records.size <= this.limits.maxFlows) return;
      this.evicted++;
      this.close(oldest);
    }
  }

  private addOrphan(segment: TraceSegment): FlowTraceId | "duplicate" | null {
    if (this.lonely.has(segment.segmentId)) return "duplicate";
    const name = arrivedName(segment);
    if (name !== null && [...this.expecting.get(name)].some((r) => r.segmentIds.has(segment.segmentId)))
      return "duplicate";
    this.lonely.set(segment.segmentId, segment);
    if (name !== null) this.lonelyAt.add(name, segment);
    const joined = name === null ? null : this.adopt(name);
    if (joined !== null) this.announce(joined, "changed");
    for (const oldest of this.lonely.values()) {
      if (this.lonely.size <= this.limits.maxOrphans) break;
      this.orphansEvicted++;
      this.dropOrphan(oldest);
    }
    return joined?.flowTraceId ?? null;
  }

  /** Gives the orphan that reports this copy, if there is one, to the one flow trace that sent it. */
  private adopt(name: string): FlowRecord | null {
    for (const orphan of this.lonelyAt.get(name)) {
      const candidates = [...this.expecting.get(name)].map((r) => r.segments);
      const id = joinOrphan(orphan, candidates, this.options.hostOfTunnelIp);
      const record = id === null ? undefined : this.records.get(id);
      if (record === undefined) continue;
      this.dropOrphan(orphan);
      this.put(record, orphan);
      return record;
    }
    return null;
  }

  private dropOrphan(orphan: TraceSegment): void {
    this.lonely.delete(orphan.segmentId);
    this.lonelyAt.delete(arrivedName(orphan) ?? "", orphan);
  }

  private announce(record: FlowRecord, change: FlowEvent["change"]): void {
    const trace = this.assemble(record);
    record.awaiting = trace?.completeness.missing.some((m) => m.reason === "awaited") ?? false;
    this.events.emit({ change, flowTraceId: record.flowTraceId, requestIds: [...record.requestIds], trace });
  }

  private assemble(record: FlowRecord): FlowTrace | null {
    const trace = assembleFlowTrace(record.segments, {
      nowMs: this.options.clock.nowMs(),
      sinceMs: record.sinceMs,
      ...(this.options.hostDown === undefined ? {} : { hostDown: this.options.hostDown }),
      lost: this.notes.filter((n) => n.atMs >= record.sinceMs - TRACE_STATE_TTL_MS),
      orphans: record.segments.flatMap((s) => s.expects.flatMap((e) => [...this.lonelyAt.get(copyOf(e))])),
    });
    return trace === null ? null : { ...trace, traceRequestIds: [...record.requestIds] };
  }
}

const copyOf = (e: ExpectedEgress): string => copyName(e.hostId, e.tunnelKey, e.token);

function fits(trace: FlowTrace, query: FlowQuery): boolean {
  if (query.verdict !== undefined && trace.verdict !== query.verdict) return false;
  const { host } = query;
  return host === undefined || trace.segments.some((s) => s.hostId === host || s.hostName === host);
}

function refuse(property: string, expected: string): never {
  throw new MidotraceError("VALIDATION", `${property}: must be ${expected}`, [
    { property, message: `must be ${expected}` },
  ]);
}

function placeOf(property: string, cursor: string): number {
  return /^\d{1,15}$/.test(cursor) ? Number(cursor) : refuse(property, "the cursor of an entry");
}
