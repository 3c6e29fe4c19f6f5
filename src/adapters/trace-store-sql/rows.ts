import type { Sql, SqlValue } from "./sql.ts";

/** Rows of flows, put together so that each table is written once. */
export class RowsToWrite {
  readonly flows: SqlValue[][] = [];
  readonly filed: SqlValue[][] = [];
  readonly postings: SqlValue[][] = [];
  readonly copies: SqlValue[][] = [];
  readonly segments: SqlValue[][] = [];

  /** Tenants of the devices of requests. */
  readonly owners = new Map<number, string>();

  async write(sql: Sql): Promise<void> {
    for (const [request, owner] of this.owners)
      await sql.all("UPDATE request SET owner = ? WHERE no = ? AND owner = ?", owner, request, "");
    await sql.insert("segment", this.segments);
    await sql.insert("flow", this.flows, `ON CONFLICT (place) DO UPDATE SET ${CHANGING}`);
    await sql.insert(
      "flow_request",
      this.filed,
      "ON CONFLICT (request, place) DO UPDATE SET shape = excluded.shape, started_ms = excluded.started_ms",
    );
    await sql.insert(
      "posting",
      this.postings,
      "ON CONFLICT (request, term, place) DO UPDATE SET shape = excluded.shape, started_ms = excluded.started_ms, seen = excluded.seen",
    );
    await sql.insert("copy", this.copies, "ON CONFLICT (name, place) DO NOTHING");
  }
}

const CHANGING = ["started_ms", "tenant", "shape", "bytes", "due_ms", "conversation", "forward", "terms", "copies"]
  .map((c) => `${c} = excluded.${c}`)
  .join(", ");
