import type { Completeness, DropReason, TraceKey, Verdict } from "#core/tracing";
import type { ShownFlow } from "./shown-flow.ts";

/** What a row of the list needs: the steps are left behind, ten thousand flows with theirs would fill the memory. */
export interface FlowRow {
  readonly id: string;
  readonly startedAtMs: number;
  readonly key: TraceKey | null;
  readonly verdict: Verdict;
  readonly dropReason: DropReason | null;
  readonly why: string;
  readonly completeness: Completeness["state"];
  readonly hosts: readonly string[];
  readonly pinned: boolean;
  /** Place in the order of the server; null for a flow that came by the stream. */
  readonly cursor: string | null;
  /** When it came by the stream; null for a flow that was read. */
  readonly arrivedAtMs: number | null;
}

export interface FlowListState {
  /** Newest first. */
  readonly rows: readonly FlowRow[];
  /** There are older ones on the server. */
  readonly more: boolean;
  /** Rows that came by the stream since the list was opened. */
  readonly arrived: number;
}

export const EMPTY_LIST: FlowListState = { rows: [], more: false, arrived: 0 };
/** Rows kept; older ones can be loaded again. */
export const MAX_ROWS = 20_000;

export function rowOf(flow: ShownFlow, cursor: string | null, arrivedAtMs: number | null = null): FlowRow {
  return {
    id: flow.flowTraceId,
    startedAtMs: flow.startedAtMs,
    key: flow.key,
    verdict: flow.verdict,
    dropReason: flow.dropReason,
    why: flow.why,
    completeness: flow.completeness.state,
    hosts: [...new Set(flow.segments.map((s) => s.hostName))],
    pinned: flow.pinned === true,
    cursor,
    arrivedAtMs,
  };
}

/** Flows that came, oldest first: known ones change in their place, new ones go to the top. */
export function withArrived(state: FlowListState, flows: readonly FlowRow[]): FlowListState {
  if (flows.length === 0) return state;
  const newest = new Map(flows.map((f) => [f.id, f]));
  const rows = state.rows.map((row) => {
    const changed = newest.get(row.id);
    if (changed === undefined) return row;
    newest.delete(row.id);
    return { ...changed, cursor: row.cursor, arrivedAtMs: row.arrivedAtMs };
  });
  const fresh = [...newest.values()].reverse();
  const all = [...fresh, ...rows];
  const cut = all.length > MAX_ROWS;
  return {
    rows: cut ? all.slice(0, MAX_ROWS) : all,
    more: state.more || cut,
    arrived: state.arrived + fresh.length,
  };
}

/** A page of older flows goes below; what is there already stays as it is. */
export function withOlder(state: FlowListState, page: readonly FlowRow[], more: boolean): FlowListState {
  const known = new Set(state.rows.map((r) => r.id));
  return { ...state, rows: [...state.rows, ...page.filter((r) => !known.has(r.id))], more };
}

/** The list read anew, at the beginning or after a gap; what came by the stream meanwhile stays on top. */
export function readAnew(state: FlowListState, page: readonly FlowRow[], more: boolean): FlowListState {
  const known = new Set(page.map((r) => r.id));
  const newest = page[0]?.startedAtMs ?? 0;
  const above = state.rows.filter((r) => r.cursor === null && !known.has(r.id) && r.startedAtMs >= newest);
  return { rows: [...above, ...page], more, arrived: state.arrived };
}

/** Cursor to ask for older ones with; null when the last row came by the stream and has none. */
export function oldestCursor(state: FlowListState): string | null {
  return state.rows.findLast((r) => r.cursor !== null)?.cursor ?? null;
}

/** The part of a long list that has to be in the page. */
export function windowOf(
  rows: number,
  rowPx: number,
  scrollPx: number,
  heightPx: number,
  overscan = 8,
): { readonly from: number; readonly to: number } {
  const from = Math.max(0, Math.floor(scrollPx / rowPx) - overscan);
  const to = Math.min(rows, Math.ceil((scrollPx + heightPx) / rowPx) + overscan);
  return { from: Math.min(from, to), to };
}

export interface FlowFilter {
  readonly verdict: string;
  readonly host: string;
  readonly device: string;
  readonly address: string;
  readonly l4Port: string;
  readonly completeness: string;
}

export const NO_FILTER: FlowFilter = { verdict: "", host: "", device: "", address: "", l4Port: "", completeness: "" };

/** Whether a flow that came by the stream belongs into a filtered list: the server's filter, for one flow. */
export function matchesFilter(flow: ShownFlow, f: FlowFilter): boolean {
  const { key, segments } = flow;
  const has = (wanted: string, ...values: readonly (string | number | null | undefined)[]): boolean =>
    wanted === "" || values.some((v) => v !== null && v !== undefined && String(v) === wanted);
  return (
    has(f.verdict, flow.verdict) &&
    has(f.completeness, flow.completeness.state) &&
    has(f.host, ...segments.flatMap((s) => [s.hostId, s.hostName])) &&
    has(f.address, key?.networkSrc, key?.networkDst) &&
    has(f.l4Port, key?.srcPort, key?.dstPort) &&
    (f.device === "" ||
      segments.some((s) =>
        s.steps.some((x) => x.withheld !== true && (x.device.id === f.device || x.device.name === f.device)),
      ))
  );
}
