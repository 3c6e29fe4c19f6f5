import { MidotraceError, type TraceRequestId } from "#core/base";
import { type FlowFilter, type FlowQuery, MAX_PAGE, normalFilter, type Viewer } from "#core/tracing";
import { EVERYTHING, type SeenPath, STRANGERS_VIEW, viewName } from "./shapes.ts";
import type { Sql, SqlParam, SqlRow } from "./sql.ts";

/** @throws MidotraceError VALIDATION */
export function limitOf(limit: number): number {
  if (!Number.isInteger(limit) || limit < 1) refuse("limit", "a whole number from 1");
  return Math.min(limit, MAX_PAGE);
}

/** @throws MidotraceError VALIDATION */
export function placeOf(property: string, cursor: string): number {
  return /^\d{1,16}$/.test(cursor) ? Number(cursor) : refuse(property, "the cursor of an entry");
}

function refuse(property: string, expected: string): never {
  throw new MidotraceError("VALIDATION", `${property}: must be ${expected}`, [
    { property, message: `must be ${expected}` },
  ]);
}

/** A shape that flows of the request have, as the viewer sees it. */
export interface SeenShape {
  readonly no: number;
  readonly flows: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly path: SeenPath;
}

/** Bodies of paths by number; they never change. */
export class PathCache {
  private readonly capacity: number;
  private readonly paths = new Map<number, SeenPath>();

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  async load(sql: Sql, numbers: readonly number[]): Promise<ReadonlyMap<number, SeenPath>> {
    const missing = [...new Set(numbers.filter((no) => !this.paths.has(no)))];
    const found = new Map<number, SeenPath>();
    if (missing.length > 0)
      for (const r of await sql.all("SELECT no, body FROM path WHERE no IN (??)", missing))
        found.set(Number(r["no"]), JSON.parse(String(r["body"])) as SeenPath);
    for (const no of numbers) {
      const known = this.paths.get(no);
      if (known !== undefined) found.set(no, known);
    }
    for (const [no, path] of found) this.paths.set(no, path);
    for (const oldest of this.paths.keys()) {
      if (this.paths.size <= this.capacity) break;
      this.paths.delete(oldest);
    }
    return found;
  }
}

/** What a list is asked for, in terms of the tables. */
export interface Asked {
  readonly request: number;
  readonly filter: FlowFilter;
  readonly viewer: Viewer;
  /** All shapes of the request, and those that can fit the filter. */
  readonly shapes: readonly SeenShape[];
  readonly wanted: readonly SeenShape[];
  /** Terms of the packet; all of them must be there. */
  readonly terms: readonly string[];
  /** Places between which the flows of the asked time are. */
  readonly fromPlace: number;
  readonly toPlace: number;
}

/** Null when there is nothing to find. @throws MidotraceError VALIDATION */
export async function ask(
  sql: Sql,
  paths: PathCache,
  requestId: TraceRequestId,
  query: Omit<FlowQuery, "limit">,
): Promise<Asked | null> {
  const filter = normalFilter(query);
  const viewer = query.viewer ?? EVERYTHING;
  const [row] = await sql.all("SELECT no, owner FROM request WHERE id = ? AND state = 0", requestId);
  if (row === undefined) return null;
  const request = Number(row["no"]);
  const shapes = await seenShapes(sql, paths, request, viewer);
  const wanted = shapes.filter((s) => shapeFits(s, filter));
  if (wanted.length === 0) return null;
  const terms = [
    ...(filter.address === undefined ? [] : [`a${filter.address}`]),
    ...(filter.l4Port === undefined ? [] : [`p${filter.l4Port}`]),
  ];
  // What is shown of packets is noted for the owner of the request only.
  if (terms.length > 0 && !viewer.admin && row["owner"] !== viewer.tenantId) return null;
  const [fromPlace, toPlace] = await placesOf(sql, request, filter);
  return { request, filter, viewer, shapes, wanted, terms, fromPlace, toPlace };
}

export async function seenShapes(sql: Sql, paths: PathCache, request: number, viewer: Viewer): Promise<SeenShape[]> {
  const rows = await sql.all(
    `SELECT c.shape, c.flows, c.first_ms, c.last_ms,
        coalesce((SELECT path FROM shape_view v WHERE v.shape = c.shape AND v.viewer = ?),
                 (SELECT path FROM shape_view v WHERE v.shape = c.shape AND v.viewer = ?)) AS path
      FROM shape_count c WHERE c.request = ? AND c.flows > 0`,
    viewName(viewer),
    STRANGERS_VIEW,
    request,
  );
  const bodies = await paths.load(
    sql,
    rows.map((r) => Number(r["path"])),
  );
  return rows.flatMap((r): SeenShape[] => {
    const path = bodies.get(Number(r["path"]));
    return path === undefined ? [] : [shapeOf(r, path)];
  });
}

function shapeOf(r: SqlRow, path: SeenPath): SeenShape {
  return {
    no: Number(r["shape"]),
    flows: Number(r["flows"]),
    firstMs: Number(r["first_ms"]),
    lastMs: Number(r["last_ms"]),
    path,
  };
}

function shapeFits(s: SeenShape, f: FlowFilter): boolean {
  if (f.verdict !== undefined && s.path.verdict !== f.verdict) return false;
  if (f.completeness !== undefined && s.path.completeness !== f.completeness) return false;
  if (f.dropReason !== undefined && s.path.dropReason !== f.dropReason) return false;
  if (f.host !== undefined && !s.path.hops.some((h) => h.hostId === f.host || h.hostName === f.host)) return false;
  const { device } = f;
  if (device === undefined) return true;
  return s.path.hops.some((h) => h.devices.some((d) => "id" in d && (d.id === device || d.name === device)));
}

/** Flows come about in the order in which they began: the minutes say where those of a time are, at most. */
async function placesOf(sql: Sql, request: number, f: FlowFilter): Promise<readonly [number, number]> {
  if (f.sinceMs === undefined && f.untilMs === undefined) return [0, Number.MAX_SAFE_INTEGER];
  const [row] = await sql.all(
    "SELECT min(first_place) AS first, max(last_place) AS last FROM minute WHERE request = ? AND minute >= ? AND minute <= ?",
    request,
    Math.floor((f.sinceMs ?? 0) / 60_000),
    Math.floor((f.untilMs ?? Number.MAX_SAFE_INTEGER) / 60_000),
  );
  if (row === undefined || row["first"] === null) return [1, 0];
  return [Number(row["first"]), Number(row["last"])];
}

/** Conditions on the time of a flow in `flow_request`, as text and parameters. */
export function timeCondition(f: FlowFilter, table: string): { readonly text: string; readonly params: SqlParam[] } {
  const parts: string[] = [];
  const params: SqlParam[] = [];
  if (f.sinceMs !== undefined) {
    parts.push(` AND ${table}.started_ms >= ?`);
    params.push(Math.floor(f.sinceMs));
  }
  if (f.untilMs !== undefined) {
    parts.push(` AND ${table}.started_ms < ?`);
    params.push(Math.floor(f.untilMs));
  }
  return { text: parts.join(""), params };
}

export const sinceBound = (f: FlowFilter): boolean => f.sinceMs !== undefined || f.untilMs !== undefined;
