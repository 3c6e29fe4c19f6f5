import type { Counters } from "./counters.ts";
import type { TraceStoreLimits } from "#core/tracing";
import { REMOVAL_STEP, removeFlows, unfile } from "./removal.ts";
import type { Sql } from "./sql.ts";
import { Tally } from "./tally.ts";
import { flowRow } from "./working.ts";

/** Removes some of what is left of forgotten requests. @returns how many flows, `REMOVAL_STEP` at most. */
export async function forgetMore(sql: Sql): Promise<number> {
  const [request] = await sql.all("SELECT no FROM request WHERE state = 1 ORDER BY no LIMIT 1");
  if (request === undefined) return 0;
  const no = Number(request["no"]);
  const rows = await sql.all(
    "SELECT f.* FROM flow_request r JOIN flow f ON f.place = r.place WHERE r.request = ? ORDER BY r.place LIMIT ?",
    no,
    REMOVAL_STEP,
  );
  const flows = rows.map(flowRow);
  const others = await sql.all(
    "SELECT DISTINCT f.place FROM flow_request f JOIN request r ON r.no = f.request WHERE f.place IN (??) AND r.state = 0",
    flows.map((f) => f.place),
  );
  const wanted = new Set(others.map((r) => Number(r["place"])));
  const tally = new Tally();
  await removeFlows(
    sql,
    flows.filter((f) => !wanted.has(f.place)),
    tally,
  );
  await unfile(
    sql,
    flows.filter((f) => wanted.has(f.place)).map((row) => ({ request: no, row })),
  );
  await tally.write(sql);
  if (flows.length < REMOVAL_STEP) {
    await sql.all("DELETE FROM shape_count WHERE request = ?", no);
    await sql.all("DELETE FROM minute WHERE request = ?", no);
    await sql.all("UPDATE request SET state = 2 WHERE no = ?", no);
  }
  return flows.length;
}

/** One step of tidying. `whole`: also what is looked at once in a while. @returns how many flows were removed. */
export async function sweep(sql: Sql, counters: Counters, limits: TraceStoreLimits, whole: boolean): Promise<number> {
  const removed = await forgetMore(sql);
  if (!whole) return removed;
  await sql.all("DELETE FROM shape_count WHERE flows <= 0");
  await sql.all("DELETE FROM expired WHERE no <= ?", counters.last("expired") - limits.maxExpired);
  const [row] = await sql.all("SELECT count(*) AS n FROM request WHERE state = 2");
  const excess = Number(row?.["n"]) - limits.maxForgotten;
  if (excess > 0)
    await sql.all(
      "DELETE FROM request WHERE no IN (SELECT no FROM request WHERE state = 2 ORDER BY no LIMIT ?)",
      excess,
    );
  return removed;
}
