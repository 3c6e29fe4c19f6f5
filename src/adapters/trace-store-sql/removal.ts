import { removeSegments } from "./blocks.ts";
import type { Counters } from "./counters.ts";
import type { TraceStoreLimits } from "#core/tracing";
import type { Sql, SqlValue } from "./sql.ts";
import { Tally } from "./tally.ts";
import { type FlowRow, flowRow } from "./working.ts";

/** Flows that one step of a clean-up removes: what waits for the database meanwhile waits for so many only. */
export const REMOVAL_STEP = 200;

/** Removes flows with all that belongs to them. */
export async function removeFlows(sql: Sql, rows: readonly FlowRow[], tally: Tally): Promise<void> {
  if (rows.length === 0) return;
  const byPlace = new Map(rows.map((r) => [r.place, r]));
  const places = [...byPlace.keys()];
  const filed = await sql.all("SELECT request, place, shape FROM flow_request WHERE place IN (??)", places);
  for (const f of filed) {
    const row = byPlace.get(Number(f["place"]));
    if (row !== undefined) tally.shape(Number(f["request"]), Number(f["shape"]), -1, row.startedMs);
  }
  await unfile(
    sql,
    filed.map((f) => ({ request: Number(f["request"]), row: byPlace.get(Number(f["place"])) as FlowRow })),
  );
  await removeSegments(sql, places);
  await sql.remove(
    "copy",
    ["name", "place"],
    rows.flatMap((r) => r.copies.map((name): SqlValue[] => [name, r.place])),
  );
  await sql.remove(
    "flow",
    ["place"],
    places.map((place): SqlValue[] => [place]),
  );
  for (const r of rows) {
    if (r.pinned) tally.tenant(r.tenant, { pins: -1 });
    else tally.tenant(r.tenant, { flows: -1, bytes: -r.bytes });
  }
}

/** Takes flows out of the lists of requests. */
export async function unfile(
  sql: Sql,
  filed: readonly { readonly request: number; readonly row: FlowRow }[],
): Promise<void> {
  await sql.remove(
    "posting",
    ["request", "term", "place"],
    filed.flatMap(({ request, row }) => row.terms.map((term): SqlValue[] => [request, term, row.place])),
  );
  await sql.remove(
    "flow_request",
    ["request", "place"],
    filed.map(({ request, row }): SqlValue[] => [request, row.place]),
  );
}

/** Throws out the oldest flows of tenants that have more than they may have. @returns how many. */
export async function evictOver(
  sql: Sql,
  tenants: readonly number[],
  limits: TraceStoreLimits,
  most: number,
  counters: Counters,
): Promise<number> {
  if (tenants.length === 0) return 0;
  const over = await sql.all(
    "SELECT no, flows, bytes FROM tenant WHERE no IN (??) AND (flows > ? OR bytes > ?)",
    tenants,
    limits.maxFlows,
    limits.maxBytes,
  );
  let evicted = 0;
  for (const t of over) {
    const oldest = await sql.all(
      "SELECT * FROM flow WHERE tenant = ? AND pinned = 0 ORDER BY place LIMIT ?",
      Number(t["no"]),
      most,
    );
    let [flows, bytes] = [Number(t["flows"]), Number(t["bytes"])];
    const out: FlowRow[] = [];
    for (const row of oldest.map(flowRow)) {
      if (flows <= limits.maxFlows && bytes <= limits.maxBytes) break;
      out.push(row);
      flows--;
      bytes -= row.bytes;
    }
    evicted += await expire(sql, out, counters);
  }
  return evicted;
}

/** Throws out flows that are older than they may be. @returns how many, `REMOVAL_STEP` at most. */
export async function evictOld(sql: Sql, beforeMs: number, counters: Counters): Promise<number> {
  const rows = await sql.all(
    "SELECT * FROM flow WHERE pinned = 0 AND since_ms < ? AND place IN (SELECT place FROM flow WHERE pinned = 0 ORDER BY place LIMIT ?)",
    Math.floor(beforeMs),
    REMOVAL_STEP,
  );
  return expire(sql, rows.map(flowRow), counters);
}

/** Removes flows, and remembers that they were there. */
async function expire(sql: Sql, rows: readonly FlowRow[], counters: Counters): Promise<number> {
  const tally = new Tally();
  await removeFlows(sql, rows, tally);
  for (const r of rows) tally.tenant(r.tenant, { evicted: 1 });
  await tally.write(sql);
  await sql.insert(
    "expired",
    rows.map((r): SqlValue[] => [counters.next("expired"), r.id]),
    "ON CONFLICT (id) DO NOTHING",
  );
  return rows.length;
}
