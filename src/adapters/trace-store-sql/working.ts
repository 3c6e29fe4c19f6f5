import type { FlowTraceId, TraceRequestId } from "#core/base";
import type { FlowTrace, TraceSegment } from "#core/tracing";
import { readSegments } from "./blocks.ts";
import type { SegmentCache } from "./segment-cache.ts";
import type { Sql, SqlRow } from "./sql.ts";

/** A row of `flow`. */
export interface FlowRow {
  readonly place: number;
  readonly id: FlowTraceId;
  readonly sinceMs: number;
  readonly startedMs: number;
  readonly tenant: number;
  readonly shape: number;
  readonly bytes: number;
  readonly pinned: boolean;
  readonly conversation: string | null;
  readonly forward: boolean;
  readonly terms: readonly string[];
  readonly copies: readonly string[];
}

export function flowRow(r: SqlRow): FlowRow {
  return {
    place: Number(r["place"]),
    id: String(r["id"]) as FlowTraceId,
    sinceMs: Number(r["since_ms"]),
    startedMs: Number(r["started_ms"]),
    tenant: Number(r["tenant"]),
    shape: Number(r["shape"]),
    bytes: Number(r["bytes"]),
    pinned: Number(r["pinned"]) === 1,
    conversation: r["conversation"] === null ? null : String(r["conversation"]),
    forward: Number(r["forward"]) === 1,
    terms: JSON.parse(String(r["terms"])) as string[],
    copies: JSON.parse(String(r["copies"])) as string[],
  };
}

/** A request that asked for a flow. */
export interface RequestRow {
  readonly no: number;
  readonly id: TraceRequestId;
  readonly forgotten: boolean;
  readonly owner: string;
}

export function requestRow(r: SqlRow): RequestRow {
  const id = String(r["id"]) as TraceRequestId;
  return { no: Number(r["no"]), id, forgotten: Number(r["state"]) !== 0, owner: String(r["owner"]) };
}

/** A flow that is being changed. */
export interface Work {
  readonly id: FlowTraceId;
  readonly place: number;
  readonly sinceMs: number;
  /** As it is stored; null: it is new. */
  readonly row: FlowRow | null;
  readonly segments: TraceSegment[];
  readonly segmentIds: Set<string>;
  readonly fresh: TraceSegment[];
  /** By number, those that are not forgotten. */
  readonly requests: Map<number, TraceRequestId>;
  /** Requests that it is not filed under yet. */
  readonly newRequests: Set<number>;
  trace: FlowTrace | null;
}

/** Loads stored flows with their segments and requests. */
export async function loadWorks(
  sql: Sql,
  rows: readonly FlowRow[],
  cache: SegmentCache | null,
): Promise<Map<number, Work>> {
  const works = new Map<number, Work>();
  for (const row of rows) works.set(row.place, workOf(row));
  const places = [...works.keys()];
  if (places.length === 0) return works;
  await loadSegments(sql, works, places, cache);
  const requests = await sql.all(
    "SELECT f.place, r.no, r.id FROM flow_request f JOIN request r ON r.no = f.request WHERE f.place IN (??) AND r.state = 0 ORDER BY r.no",
    places,
  );
  for (const r of requests)
    works.get(Number(r["place"]))?.requests.set(Number(r["no"]), String(r["id"]) as TraceRequestId);
  return works;
}

async function loadSegments(
  sql: Sql,
  works: ReadonlyMap<number, Work>,
  places: readonly number[],
  cache: SegmentCache | null,
): Promise<void> {
  const cached = (id: string, place: number): boolean => {
    const known = cache?.get(id);
    if (known !== undefined) addSegment(works.get(place), known);
    return known !== undefined;
  };
  for (const { place, segment } of await readSegments(sql, places, (id, place) => !cached(id, place)))
    addSegment(works.get(place), segment);
}

function addSegment(work: Work | undefined, segment: TraceSegment): void {
  if (work === undefined || work.segmentIds.has(segment.segmentId)) return;
  work.segmentIds.add(segment.segmentId);
  work.segments.push(segment);
}

function workOf(row: FlowRow): Work {
  return { ...emptyWork(row.id, row.place, row.sinceMs), row };
}

export function emptyWork(id: FlowTraceId, place: number, sinceMs: number): Work {
  return {
    id,
    place,
    sinceMs,
    row: null,
    segments: [],
    segmentIds: new Set(),
    fresh: [],
    requests: new Map(),
    newRequests: new Set(),
    trace: null,
  };
}

/** How many rows one list of a statement names at most. */
const CHUNK = 2_000;

/** The stored flows with these ids. */
export async function flowsById(sql: Sql, ids: readonly string[]): Promise<FlowRow[]> {
  const found: FlowRow[] = [];
  for (let i = 0; i < ids.length; i += CHUNK)
    found.push(...(await sql.all("SELECT * FROM flow WHERE id IN (??)", ids.slice(i, i + CHUNK))).map(flowRow));
  return found;
}
