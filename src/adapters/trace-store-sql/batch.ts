import type { FlowTraceId, TraceRequestId } from "#core/base";
import {
  arrivedName,
  conversationOf,
  type FlowTrace,
  joinOrphan,
  packetTerms,
  type TracedPacket,
  redactFlowTrace,
  type TraceSegment,
  TRACE_STATE_TTL_MS,
} from "#core/tracing";
import { assembleAll, copiesOf, orphansNamed, type Surroundings } from "./assembling.ts";
import { BlockWriter } from "./blocks.ts";
import { encodeSegment } from "./codec.ts";
import { Counters } from "./counters.ts";
import type { TraceStoreLimits } from "#core/tracing";
import { evictOver } from "./removal.ts";
import { RowsToWrite } from "./rows.ts";
import type { SegmentCache } from "./segment-cache.ts";
import { type ShapeRow, shapesOf, viewName } from "./shapes.ts";
import type { Sql } from "./sql.ts";
import { Tally } from "./tally.ts";
import {
  emptyWork,
  type FlowRow,
  flowRow,
  flowsById,
  loadWorks,
  type RequestRow,
  requestRow,
  type Work,
} from "./working.ts";

export interface BatchOptions extends Surroundings {
  readonly limits: TraceStoreLimits;
  readonly hostOfTunnelIp?: (ip: string) => string | null;
  readonly cache: SegmentCache;
}

/** What became of one segment: the flow it changed, or nothing of it was new. */
export type Became = FlowTraceId | "duplicate" | null;

export interface Change {
  readonly id: number;
  readonly change: "new" | "changed";
  readonly flowTraceId: FlowTraceId;
  readonly requestIds: readonly TraceRequestId[];
  readonly trace: FlowTrace;
}

/** One transaction that changes flows: everything is looked up at once, decided in memory, and written at once. */
export class Batch {
  readonly changes: Change[] = [];
  /** The newest event before those of `changes`. */
  eventBefore = 0;
  evicted = 0;
  orphansEvicted = 0;
  private readonly sql: Sql;
  private readonly options: BatchOptions;
  private counters!: Counters;
  private readonly tally = new Tally();
  private readonly works = new Map<FlowTraceId, Work>();
  private readonly requests = new Map<string, Omit<RequestRow, "id">>();

  constructor(sql: Sql, options: BatchOptions) {
    this.sql = sql;
    this.options = options;
  }

  /** Adds segments. @returns what became of each. */
  async add(segments: readonly TraceSegment[]): Promise<Became[]> {
    await this.begin();
    await this.loadRequests(segments);
    const ids = [...new Set(segments.flatMap((s) => (s.flowTraceId === null ? [] : [s.flowTraceId])))];
    await this.loadFlows(ids);
    const unknown = ids.filter((id) => !this.works.has(id));
    const expired = new Set<string>();
    if (unknown.length > 0)
      for (const r of await this.sql.all("SELECT id FROM expired WHERE id IN (??)", unknown))
        expired.add(String(r["id"]));
    const became = segments.map((s): Became => {
      if (s.flowTraceId === null) return null;
      if (expired.has(s.flowTraceId)) return "duplicate";
      const wanted = s.requestIds.filter((id) => this.requests.get(id)?.forgotten === false);
      if (s.requestIds.length > 0 && wanted.length === 0) return null;
      return this.put(this.workFor(s.flowTraceId), s) ? s.flowTraceId : "duplicate";
    });
    await this.joinOrphans(segments, became);
    await this.write([...this.works.values()].filter((w) => w.fresh.length > 0));
    return became;
  }

  /** Looks again at flows of which something is overdue. @returns those that were. */
  async settle(most: number): Promise<FlowTraceId[]> {
    const { nowMs } = this.options;
    const rows = await this.sql.all("SELECT * FROM flow WHERE due_ms <= ? ORDER BY due_ms LIMIT ?", nowMs, most);
    if (rows.length === 0) return [];
    await this.begin();
    const works = await loadWorks(this.sql, rows.map(flowRow), null);
    await this.write([...works.values()]);
    return [...works.values()].map((w) => w.id);
  }

  private async begin(): Promise<void> {
    this.counters = await Counters.load(this.sql);
    this.eventBefore = this.counters.last("event");
  }

  private async loadRequests(segments: readonly TraceSegment[]): Promise<void> {
    const ids = [...new Set(segments.flatMap((s) => s.requestIds))];
    if (ids.length === 0) return;
    for (const r of await this.sql.all("SELECT * FROM request WHERE id IN (??)", ids)) {
      const row = requestRow(r);
      this.requests.set(row.id, row);
    }
    const added = ids.filter((id) => !this.requests.has(id));
    for (const id of added) this.requests.set(id, { no: this.counters.next("request"), forgotten: false, owner: "" });
    await this.sql.insert(
      "request",
      added.map((id) => [this.requests.get(id)?.no ?? 0, id, 0, ""]),
    );
  }

  private async loadFlows(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    await this.take(await flowsById(this.sql, ids));
  }

  private async take(rows: readonly FlowRow[]): Promise<void> {
    const fresh = rows.filter((r) => !this.works.has(r.id));
    const loaded = await loadWorks(this.sql, fresh, this.options.cache);
    for (const work of loaded.values()) this.works.set(work.id, work);
  }

  private workFor(id: FlowTraceId): Work {
    const known = this.works.get(id);
    if (known !== undefined) return known;
    const work = emptyWork(id, this.counters.nextByTime("place", this.options.nowMs), this.options.nowMs);
    this.works.set(id, work);
    return work;
  }

  /** False when the segment was there. */
  private put(work: Work, segment: TraceSegment): boolean {
    if (work.segmentIds.has(segment.segmentId)) return false;
    work.segmentIds.add(segment.segmentId);
    work.segments.push(segment);
    work.fresh.push(segment);
    for (const id of segment.requestIds) {
      const request = this.requests.get(id);
      if (request === undefined || request.forgotten || work.requests.has(request.no)) continue;
      work.requests.set(request.no, id);
      work.newRequests.add(request.no);
    }
    return true;
  }

  /** Gives each orphan to the one flow that sent its copy, whichever of the two came first. */
  private async joinOrphans(segments: readonly TraceSegment[], became: Became[]): Promise<void> {
    const arrived = segments.flatMap((s, i) => (s.flowTraceId === null ? [{ segment: s, i }] : []));
    const sent = [...this.works.values()].flatMap((w) => copiesOf({ segments: w.fresh }));
    const stored = await orphansNamed(this.sql, sent);
    if (arrived.length === 0 && stored.size === 0) return;
    const names = [...arrived.flatMap((a) => arrivedName(a.segment) ?? []), ...stored.keys()];
    await this.loadSenders(names);
    const senders = Map.groupBy(
      [...this.works.values()].flatMap((w) => copiesOf(w).map((name) => ({ name, w }))),
      (s) => s.name,
    );
    const adopt = (orphan: TraceSegment): Work | "duplicate" | null => {
      const candidates = (senders.get(arrivedName(orphan) ?? "") ?? []).map((s) => s.w);
      if (candidates.some((w) => w.segmentIds.has(orphan.segmentId))) return "duplicate";
      const id = joinOrphan(
        orphan,
        candidates.map((w) => w.segments),
        this.options.hostOfTunnelIp,
      );
      const work = id === null ? undefined : this.works.get(id);
      if (work === undefined) return null;
      this.put(work, orphan);
      return work;
    };
    const gone: string[] = [];
    for (const orphan of [...stored.values()].flat()) if (adopt(orphan) !== null) gone.push(orphan.segmentId);
    if (gone.length > 0) await this.sql.all("DELETE FROM orphan WHERE id IN (??)", gone);
    const lonely: TraceSegment[] = [];
    for (const { segment, i } of arrived) {
      const work = adopt(segment);
      became[i] = work === null || work === "duplicate" ? work : work.id;
      if (work === null) lonely.push(segment);
    }
    await this.keepOrphans(lonely, became, segments);
  }

  private async loadSenders(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    const rows = await this.sql.all(
      "SELECT * FROM flow WHERE place IN (SELECT place FROM copy WHERE name IN (??))",
      names,
    );
    await this.take(rows.map(flowRow));
  }

  private async keepOrphans(
    lonely: readonly TraceSegment[],
    became: Became[],
    segments: readonly TraceSegment[],
  ): Promise<void> {
    if (lonely.length === 0) return;
    const ids = lonely.map((s) => s.segmentId);
    const there = new Set((await this.sql.all("SELECT id FROM orphan WHERE id IN (??)", ids)).map((r) => r["id"]));
    for (const s of lonely) {
      if (there.has(s.segmentId)) {
        became[segments.indexOf(s)] = "duplicate";
        continue;
      }
      there.add(s.segmentId);
      const row = [this.counters.next("orphan"), s.segmentId, arrivedName(s), encodeSegment(s)];
      await this.sql.insert("orphan", [row]);
    }
    const [row] = await this.sql.all("SELECT count(*) AS n FROM orphan");
    const excess = Number(row?.["n"]) - this.options.limits.maxOrphans;
    if (excess <= 0) return;
    this.orphansEvicted += excess;
    await this.sql.all("DELETE FROM orphan WHERE no IN (SELECT no FROM orphan ORDER BY no LIMIT ?)", excess);
  }

  /** Writes flows as they are now, and what their change means to lists, counts and listeners. */
  private async write(works: readonly Work[]): Promise<void> {
    const traces = await assembleAll(
      this.sql,
      works.map((w) => ({ sinceMs: w.sinceMs, segments: w.segments, requestIds: [...w.requests.values()] })),
      this.options,
    );
    const known: { readonly work: Work; readonly trace: FlowTrace }[] = [];
    for (const [i, work] of works.entries()) {
      const trace = traces[i];
      if (trace !== null && trace !== undefined) known.push({ work, trace });
    }
    if (known.length === 0) {
      await this.counters.save(this.sql);
      return;
    }
    const shapes = await shapesOf(
      this.sql,
      this.counters,
      known.map((k) => k.trace),
    );
    const tenants = await this.tenantsOf(known.map((k) => ownerOf(k.trace)));
    const rows = new RowsToWrite();
    const fresh = known.flatMap(({ work }, i) =>
      work.fresh.map((segment) => ({ work, segment, owner: tenants[i] as number })),
    );
    const blocks = new BlockWriter(this.counters);
    const added = new Map<Work, number>();
    for (const [i, { block, start, length, bytes }] of blocks.put(fresh).entries()) {
      const { work, segment } = fresh[i] as (typeof fresh)[0];
      rows.segments.push([work.place, segment.segmentId, block, start, length]);
      added.set(work, (added.get(work) ?? 0) + bytes);
      this.options.cache.put(segment);
    }
    for (const [i, { work, trace }] of known.entries())
      this.writeOne(work, trace, shapes[i] as ShapeRow, tenants[i] as number, added.get(work) ?? 0, rows);
    await blocks.write(this.sql);
    await rows.write(this.sql);
    await this.sql.insert(
      "event",
      this.changes.map((c) => [c.id, c.change, c.flowTraceId, JSON.stringify(c.requestIds)]),
    );
    const changed = this.tally.changedTenants();
    await this.tally.write(this.sql);
    const most = 2 * known.length + 50;
    this.evicted += await evictOver(this.sql, changed, this.options.limits, most, this.counters);
    await this.trimEvents();
    await this.counters.save(this.sql);
  }

  private async trimEvents(): Promise<void> {
    const [row] = await this.sql.all(
      "SELECT id FROM event ORDER BY id DESC LIMIT 1 OFFSET ?",
      this.options.limits.maxEvents,
    );
    if (row === undefined) return;
    this.counters.set("trimmed", Number(row["id"]));
    await this.sql.all("DELETE FROM event WHERE id <= ?", Number(row["id"]));
  }

  private writeOne(
    work: Work,
    trace: FlowTrace,
    shape: ShapeRow,
    tenant: number,
    added: number,
    rows: RowsToWrite,
  ): void {
    const { row, place } = work;
    const startedMs = Math.floor(trace.startedAtMs);
    const bytes = (row?.bytes ?? 0) + added;
    if (row?.pinned !== true) {
      if (row !== null) this.tally.tenant(row.tenant, { flows: -1, bytes: -row.bytes });
      this.tally.tenant(tenant, { flows: 1, bytes });
    } else if (row.tenant !== tenant) {
      this.tally.tenant(row.tenant, { pins: -1 });
      this.tally.tenant(tenant, { pins: 1 });
    }
    const names = textTerms(trace).sort();
    const sameLists = row !== null && row.shape === shape.no && row.startedMs === startedMs;
    const sameTerms = sameLists && names.length === row.terms.length && names.every((t, i) => t === row.terms[i]);
    for (const [request, id] of work.requests) {
      const filed = row !== null && !work.newRequests.has(request);
      if (filed) this.tally.shape(request, row.shape, -1, row.startedMs);
      this.tally.shape(request, shape.no, 1, startedMs);
      if (!filed || !sameLists) rows.filed.push([request, place, shape.no, startedMs]);
      if (!filed || !sameLists) this.tally.minute(request, startedMs, place);
      if (filed && sameTerms) continue;
      const owner = ownerOf(trace, id);
      if (owner !== "") rows.owners.set(request, owner);
      const seen = seenTerms(trace, shape, owner, names);
      for (const term of names) rows.postings.push([request, term, place, shape.no, startedMs, seen.has(term) ? 1 : 0]);
    }
    const copies = copiesOf(work);
    for (const name of copiesOf({ segments: work.fresh })) rows.copies.push([name, place]);
    const conversation = conversationOf(trace.key);
    const awaited = trace.completeness.missing.some((m) => m.reason === "awaited");
    rows.flows.push([
      place,
      work.id,
      work.sinceMs,
      startedMs,
      tenant,
      shape.no,
      bytes,
      row?.pinned === true ? 1 : 0,
      awaited ? work.sinceMs + TRACE_STATE_TTL_MS : null,
      conversation?.name ?? null,
      conversation?.forward === true ? 1 : 0,
      JSON.stringify(names),
      JSON.stringify(copies),
    ]);
    this.changes.push({
      id: this.counters.nextByTime("event", this.options.nowMs),
      change: row === null ? "new" : "changed",
      flowTraceId: work.id,
      requestIds: trace.traceRequestIds,
      trace,
    });
  }

  /** Numbers of tenants; those that are new are written. */
  private async tenantsOf(names: readonly string[]): Promise<number[]> {
    const numbers = new Map<string, number>();
    const wanted = [...new Set(names)];
    for (const r of await this.sql.all("SELECT no, name FROM tenant WHERE name IN (??)", wanted))
      numbers.set(String(r["name"]), Number(r["no"]));
    const added = wanted.filter((name) => !numbers.has(name));
    for (const name of added) numbers.set(name, this.counters.next("tenant"));
    await this.sql.insert(
      "tenant",
      added.map((name) => [numbers.get(name) as number, name, 0, 0, 0, 0]),
    );
    return names.map((name) => numbers.get(name) as number);
  }
}

/** The tenant whose device the trace request was for (default: that which matched first); empty while that is not known. */
function ownerOf(trace: FlowTrace, requestId?: TraceRequestId): string {
  for (const s of trace.segments)
    for (const x of s.steps)
      if (x.kind === "trace-matched" && (requestId === undefined || x.requestId === requestId)) return x.owner;
  return "";
}

/** Those of the terms that the owner of a request is shown. */
function seenTerms(trace: FlowTrace, shape: ShapeRow, owner: string, terms: readonly string[]): ReadonlySet<string> {
  const viewer = { admin: false, tenantId: owner };
  const key = keyTerms(trace);
  // The usual case, without looking at every step: nothing was rewritten, and the packet is the owner's.
  if (shape.keySeen.has(viewName(viewer)) && terms.every((t) => key.has(t))) return key;
  return new Set(textTerms(redactFlowTrace(trace, viewer)));
}

/** What a flow can be found by beside its way. */
function textTerms(trace: TracedPacket): string[] {
  const { addresses, ports } = packetTerms(trace);
  return [...[...addresses].map((a) => `a${a}`), ...[...ports].map((p) => `p${p}`)];
}

function keyTerms({ key }: FlowTrace): Set<string> {
  return new Set(textTerms({ key, segments: [] }));
}
