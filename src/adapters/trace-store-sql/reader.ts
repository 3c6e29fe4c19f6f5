import type { FlowTraceId, TraceRequestId } from "#core/base";
import {
  COUNTERPART_MS,
  type Counterpart,
  fitsFilter,
  type FlowEntry,
  type FlowPage,
  type FlowPath,
  type FlowQuery,
  type FlowStanding,
  type FlowTrace,
  MAX_COUNTERPARTS,
  type PathEntry,
  type PathPage,
  type PathQuery,
  redactFlowTrace,
  type RequestSummary,
  type Verdict,
  type Viewer,
} from "#core/tracing";
import { assembleAll, type Surroundings } from "./assembling.ts";
import {
  ask,
  type Asked,
  limitOf,
  type PathCache,
  placeOf,
  type SeenShape,
  seenShapes,
  sinceBound,
  timeCondition,
} from "./query.ts";
import type { SeenPath } from "./shapes.ts";
import type { Sql, SqlParam } from "./sql.ts";
import { type FlowRow, flowRow, flowsById, loadWorks } from "./working.ts";

/** Shapes that one statement looks through side by side. */
const SHAPES_AT_ONCE = 64;

/** Reads within one transaction. */
export class Reader {
  private readonly sql: Sql;
  private readonly paths: PathCache;
  private readonly around: Surroundings;

  constructor(sql: Sql, paths: PathCache, around: Surroundings) {
    this.sql = sql;
    this.paths = paths;
    this.around = around;
  }

  /** @throws MidotraceError VALIDATION */
  async flowsOf(requestId: TraceRequestId, query: FlowQuery): Promise<FlowPage> {
    const limit = limitOf(query.limit);
    const before = query.before === undefined ? Number.MAX_SAFE_INTEGER : placeOf("before", query.before);
    const after = query.after === undefined ? 0 : placeOf("after", query.after);
    const forward = query.after !== undefined && query.before === undefined;
    const asked = await ask(this.sql, this.paths, requestId, query);
    if (asked === null) return { flows: [], more: false };
    const found: FlowEntry[] = [];
    let range = { above: after, below: before };
    while (found.length <= limit) {
      const want = limit + 1 - found.length;
      const places = await this.places(asked, range, forward, want);
      found.push(...(await this.entries(places, asked)));
      const last = places.at(-1);
      if (last === undefined || places.length < want) break;
      range = forward ? { ...range, above: last } : { ...range, below: last };
    }
    const page = found.slice(0, limit);
    if (!forward) return { flows: page, more: found.length > limit };
    const older = await this.places(asked, { above: 0, below: after + 1 }, false, 1);
    return { flows: page.reverse(), more: older.length > 0 };
  }

  /** @throws MidotraceError VALIDATION */
  async pathsOf(requestId: TraceRequestId, query: PathQuery): Promise<PathPage> {
    const limit = limitOf(query.limit);
    const asked = await ask(this.sql, this.paths, requestId, query);
    if (asked === null) return { paths: [], more: false };
    const groups = new Map<string, PathGroup>();
    for (const s of await this.counted(asked)) {
      const known = groups.get(s.path.pathId);
      if (known === undefined) groups.set(s.path.pathId, { ...s, shapes: [s.no] });
      else {
        known.flows += s.flows;
        known.firstMs = Math.min(known.firstMs, s.firstMs);
        known.lastMs = Math.max(known.lastMs, s.lastMs);
        known.shapes.push(s.no);
      }
    }
    const ordered = [...groups.values()].sort(
      (a, b) => b.flows - a.flows || b.lastMs - a.lastMs || (a.path.pathId < b.path.pathId ? -1 : 1),
    );
    const paths: PathEntry[] = [];
    for (const g of ordered.slice(0, limit)) {
      const sample = await this.sampleOf(asked, g.shapes);
      const { completeness: _, ...path } = g.path;
      if (sample !== null)
        paths.push({ ...path, count: g.flows, firstSeenMs: g.firstMs, lastSeenMs: g.lastMs, sample });
    }
    return { paths, more: ordered.length > limit };
  }

  async flow(id: FlowTraceId): Promise<FlowTrace | null> {
    const [entry] = await this.load(await flowsById(this.sql, [id]));
    return entry?.trace ?? null;
  }

  async about(id: FlowTraceId): Promise<FlowStanding> {
    const [row] = await flowsById(this.sql, [id]);
    if (row !== undefined) return { state: "kept", pinned: row.pinned, counterparts: await this.counterpartsOf(row) };
    const expired = await this.sql.all("SELECT id FROM expired WHERE id = ?", id);
    return { state: expired.length > 0 ? "expired" : "unknown", pinned: false, counterparts: [] };
  }

  async summaries(requestIds: readonly TraceRequestId[], viewer: Viewer): Promise<RequestSummary[]> {
    const rows = await this.sql.all("SELECT id, no FROM request WHERE id IN (??) AND state = 0", [...requestIds]);
    const numbers = new Map(rows.map((r) => [String(r["id"]), Number(r["no"])]));
    const summaries: RequestSummary[] = [];
    for (const requestId of requestIds) {
      const no = numbers.get(requestId);
      const shapes = no === undefined ? [] : await seenShapes(this.sql, this.paths, no, viewer);
      const verdicts: { [V in Verdict]?: number } = {};
      for (const { path, flows } of shapes) verdicts[path.verdict] = (verdicts[path.verdict] ?? 0) + flows;
      const flows = shapes.reduce((sum, s) => sum + s.flows, 0);
      const lastFlowAtMs = shapes.length === 0 ? null : Math.max(...shapes.map((s) => s.lastMs));
      summaries.push({ requestId, flows, lastFlowAtMs, verdicts });
    }
    return summaries;
  }

  /** Flow traces with their rows; those that nobody asks for any more are left out. */
  async load(rows: readonly FlowRow[]): Promise<{ readonly row: FlowRow; readonly trace: FlowTrace }[]> {
    const works = [...(await loadWorks(this.sql, rows, null)).values()].filter((w) => w.requests.size > 0);
    const traces = await assembleAll(
      this.sql,
      works.map((w) => ({ sinceMs: w.sinceMs, segments: w.segments, requestIds: [...w.requests.values()] })),
      this.around,
    );
    return works.flatMap((w, i) => {
      const trace = traces[i] ?? null;
      return trace === null || w.row === null ? [] : [{ row: w.row, trace }];
    });
  }

  /** The flows at these places, in this order, as far as the viewer sees that they fit. */
  private async entries(places: readonly number[], { filter, viewer }: Asked): Promise<FlowEntry[]> {
    if (places.length === 0) return [];
    const rows = await this.sql.all("SELECT * FROM flow WHERE place IN (??)", places);
    const loaded = new Map((await this.load(rows.map(flowRow))).map((l) => [l.row.place, l]));
    return places.flatMap((place): FlowEntry[] => {
      const l = loaded.get(place);
      if (l === undefined) return [];
      // The tables know it; of a tenant's view this is the last word.
      if (!viewer.admin && !fitsFilter(redactFlowTrace(l.trace, viewer), filter)) return [];
      return [{ cursor: String(place), trace: l.trace, pinned: l.row.pinned }];
    });
  }

  /** Places of flows that fit, newest first or, forward, oldest first; fewer than `most` only at the end. */
  private async places(
    asked: Asked,
    range: { readonly above: number; readonly below: number },
    forward: boolean,
    most: number,
  ): Promise<number[]> {
    const above = Math.max(range.above, asked.fromPlace - 1);
    const below = Math.min(range.below, asked.toPlace + 1);
    if (above + 1 >= below) return [];
    const direction = forward ? "ASC" : "DESC";
    if (asked.terms.length > 0) return this.byTerms(asked, above, below, direction, most);
    const time = timeCondition(asked.filter, "f");
    if (asked.wanted.length === asked.shapes.length) {
      const rows = await this.sql.all(
        `SELECT place FROM flow_request f WHERE request = ? AND place > ? AND place < ?${time.text} ORDER BY place ${direction} LIMIT ?`,
        asked.request,
        above,
        below,
        ...time.params,
        most,
      );
      return rows.map((r) => Number(r["place"]));
    }
    const found: number[] = [];
    for (let i = 0; i < asked.wanted.length; i += SHAPES_AT_ONCE) {
      const shapes = asked.wanted.slice(i, i + SHAPES_AT_ONCE);
      const params: SqlParam[] = [];
      const each = shapes.map(({ no }) => {
        params.push(asked.request, no, above, below, ...time.params, most);
        return `SELECT * FROM (SELECT place FROM flow_request f WHERE request = ? AND shape = ? AND place > ? AND place < ?${time.text} ORDER BY place ${direction} LIMIT ?) AS s`;
      });
      const rows = await this.sql.all(each.join(" UNION ALL "), ...params);
      for (const r of rows) found.push(Number(r["place"]));
    }
    return found.sort((a, b) => (forward ? a - b : b - a)).slice(0, most);
  }

  private async byTerms(
    asked: Asked,
    above: number,
    below: number,
    direction: string,
    most: number,
  ): Promise<number[]> {
    const { text, params } = await this.termsFrom(asked, { above, below });
    const rows = await this.sql.all(`SELECT p.place ${text} ORDER BY p.place ${direction} LIMIT ?`, ...params, most);
    return rows.map((r) => Number(r["place"]));
  }

  /** By when they began: the index of shapes has that at hand, however long ago the last one was. */
  private async newestByTerms(asked: Asked, shapes: readonly SeenShape[]): Promise<number[]> {
    let newest: { readonly place: number; readonly startedMs: number } | null = null;
    for (const shape of shapes) {
      const { text, params } = await this.termsFrom({ ...asked, wanted: [shape] }, null);
      const newestFirst = `SELECT p.place, p.started_ms ${text} ORDER BY p.started_ms DESC LIMIT 1`;
      for (const row of await this.sql.all(newestFirst, ...params)) {
        const [place, startedMs] = [Number(row["place"]), Number(row["started_ms"])];
        if (newest === null || startedMs > newest.startedMs) newest = { place, startedMs };
      }
    }
    return newest === null ? [] : [newest.place];
  }

  /**
   * FROM and WHERE for the flows with all terms: through the list of the rarest, looking the others up.
   * @param range of places, for those who want them in this order; null: for those who want them by shape
   */
  private async termsFrom(
    asked: Asked,
    range: { readonly above: number; readonly below: number } | null,
  ): Promise<{ readonly text: string; readonly params: SqlParam[] }> {
    const [first = "", second] = asked.terms.length > 1 ? await this.rarestFirst(asked) : asked.terms;
    const seen = asked.viewer.admin ? "" : " AND p.seen = 1";
    const time = timeCondition(asked.filter, "p");
    const params: SqlParam[] = [];
    let from = "FROM posting p";
    if (second !== undefined) {
      from += " JOIN posting q ON q.request = p.request AND q.term = ? AND q.place = p.place";
      params.push(second);
    }
    const places = range === null ? "" : " AND p.place > ? AND p.place < ?";
    params.push(asked.request, first, ...(range === null ? [] : [range.above, range.below]), ...time.params);
    let where = ` WHERE p.request = ? AND p.term = ?${places}${time.text}${seen}`;
    if (second !== undefined && seen !== "") where += " AND q.seen = 1";
    const [only, ...others] = asked.wanted;
    const few = asked.wanted.length < asked.shapes.length || (range === null && others.length === 0);
    if (few && only !== undefined) {
      // The sign keeps a database from going by shape, and sorting by place what it finds.
      where += ` AND ${range === null ? "" : "+"}p.shape ${others.length === 0 ? "= ?" : "IN (??)"}`;
      params.push(others.length === 0 ? only.no : asked.wanted.map((s) => s.no));
    }
    return { text: from + where, params };
  }

  private async rarestFirst({ request, terms }: Asked): Promise<string[]> {
    const counts = new Map<string, number>();
    for (const term of terms) {
      const [row] = await this.sql.all(
        "SELECT count(*) AS n FROM (SELECT 1 FROM posting WHERE request = ? AND term = ? LIMIT 5000) AS s",
        request,
        term,
      );
      counts.set(term, Number(row?.["n"]));
    }
    return terms.toSorted((a, b) => (counts.get(a) ?? 0) - (counts.get(b) ?? 0));
  }

  /** The shapes that fit, with the counts of the flows that fit. */
  private async counted(asked: Asked): Promise<readonly SeenShape[]> {
    const { filter, terms, wanted } = asked;
    if (terms.length === 0 && !sinceBound(filter)) return wanted;
    const counts = new Map<number, { readonly flows: number; readonly firstMs: number; readonly lastMs: number }>();
    const { text, params, from } =
      terms.length > 0 ? { ...(await this.termsFrom(asked, null)), from: "p" } : { ...this.timeFrom(asked), from: "f" };
    const rows = await this.sql.all(
      `SELECT ${from}.shape AS shape, count(*) AS n, min(${from}.started_ms) AS first, max(${from}.started_ms) AS last ${text} GROUP BY ${from}.shape`,
      ...params,
    );
    for (const r of rows)
      counts.set(Number(r["shape"]), { flows: Number(r["n"]), firstMs: Number(r["first"]), lastMs: Number(r["last"]) });
    return wanted.flatMap((s) => {
      const c = counts.get(s.no);
      return c === undefined ? [] : [{ ...s, ...c }];
    });
  }

  private timeFrom(asked: Asked): { readonly text: string; readonly params: SqlParam[] } {
    const time = timeCondition(asked.filter, "f");
    return {
      text: `FROM flow_request f WHERE f.request = ?${time.text}`,
      params: [asked.request, ...time.params],
    };
  }

  /** The newest flow with one of these shapes that fits. */
  private async sampleOf(asked: Asked, shapes: readonly number[]): Promise<FlowTraceId | null> {
    const wanted = asked.wanted.filter((s) => shapes.includes(s.no));
    const everything = { above: 0, below: Number.MAX_SAFE_INTEGER };
    const [place] =
      asked.terms.length > 0
        ? await this.newestByTerms(asked, wanted)
        : await this.places({ ...asked, wanted }, everything, false, 1);
    if (place === undefined) return null;
    const [row] = await this.sql.all("SELECT id FROM flow WHERE place = ?", place);
    return row === undefined ? null : (String(row["id"]) as FlowTraceId);
  }

  private async counterpartsOf(row: FlowRow): Promise<Counterpart[]> {
    if (row.conversation === null) return [];
    const rows = await this.sql.all(
      "SELECT * FROM flow WHERE conversation = ? AND since_ms >= ? AND since_ms <= ? AND forward = ? ORDER BY since_ms, place LIMIT ?",
      row.conversation,
      row.sinceMs - COUNTERPART_MS,
      row.sinceMs + COUNTERPART_MS,
      row.forward ? 0 : 1,
      4 * MAX_COUNTERPARTS,
    );
    const others = rows.map(flowRow);
    if (others.length === 0) return [];
    const mine = await this.devicesOf([row]);
    const theirs = await this.devicesOf(others);
    const met = mine.get(row.shape) ?? new Set();
    // Tenants may use the same addresses: what meets no device in common is somebody else's conversation.
    const same = others.filter((o) => [...(theirs.get(o.shape) ?? [])].some((id) => met.has(id)));
    const loaded = await loadWorks(this.sql, same.slice(0, MAX_COUNTERPARTS), null);
    return [...loaded.values()]
      .filter((w) => w.requests.size > 0)
      .map((w) => ({ flowTraceId: w.id, requestIds: [...w.requests.values()] }));
  }

  /** Ids of the devices on the way, by shape. */
  private async devicesOf(rows: readonly FlowRow[]): Promise<Map<number, Set<string>>> {
    const views = await this.sql.all("SELECT shape, path FROM shape_view WHERE viewer = ? AND shape IN (??)", "a", [
      ...new Set(rows.map((r) => r.shape)),
    ]);
    const paths = await this.paths.load(
      this.sql,
      views.map((v) => Number(v["path"])),
    );
    return new Map(views.map((v) => [Number(v["shape"]), deviceIds(paths.get(Number(v["path"])))]));
  }
}

interface PathGroup {
  readonly path: SeenPath;
  flows: number;
  firstMs: number;
  lastMs: number;
  readonly shapes: number[];
}

function deviceIds(path: FlowPath | undefined): Set<string> {
  return new Set(path?.hops.flatMap((h) => h.devices.flatMap((d) => ("id" in d ? [d.id] : []))));
}
