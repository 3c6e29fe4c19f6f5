import type { TraceSegment } from "#core/tracing";
import { pack, unpack } from "./codec.ts";
import type { Counters } from "./counters.ts";
import type { Sql, SqlValue } from "./sql.ts";

/*
 * Segments are stored in blocks: those that one transaction writes for one tenant, a few together. They are much alike, so
 * that together they take a quarter of the bytes and a tenth of the time. A block goes with the last of its segments; those
 * of one tenant are thrown out in the order in which they came, so that a block is never long there for one of them alone,
 * unless that is pinned.
 */

/** Whoever reads one segment unpacks so many; in larger ones zstd's own tables cost more than they save. */
const SEGMENTS = 16;

/** Where a segment is: bytes of the unpacked block. */
export interface Packed {
  readonly block: number;
  readonly start: number;
  readonly length: number;
  /** Its share of what the block takes. */
  readonly bytes: number;
}

/** Segments of one transaction, to be written in blocks. */
export class BlockWriter {
  private readonly counters: Counters;
  private readonly rows: SqlValue[][] = [];

  constructor(counters: Counters) {
    this.counters = counters;
  }

  /** @param owner of each segment: a block has those of one only. @returns where each is, in their order. */
  put(segments: readonly { readonly owner: number; readonly segment: TraceSegment }[]): Packed[] {
    const places: Packed[] = [];
    const byOwner = Map.groupBy(segments.keys(), (i) => segments[i]?.owner);
    for (const all of byOwner.values())
      for (let at = 0; at < all.length; at += SEGMENTS) {
        const some = all.slice(at, at + SEGMENTS);
        const texts = some.map((i) => JSON.stringify(segments[i]?.segment));
        const body = pack(texts.join(""));
        const block = this.counters.next("block");
        const lengths = texts.map((t) => Buffer.byteLength(t));
        const whole = lengths.reduce((sum, n) => sum + n, 0);
        let start = 0;
        for (const [k, i] of some.entries()) {
          const length = lengths[k] as number;
          places[i] = { block, start, length, bytes: Math.ceil((body.length * length) / whole) };
          start += length;
        }
        this.rows.push([block, some.length, body]);
      }
    return places;
  }

  write(sql: Sql): Promise<void> {
    return sql.insert("block", this.rows);
  }
}

/** The segments of these flows, by the place of the flow; `wanted` false: not this one. */
export async function readSegments(
  sql: Sql,
  places: readonly number[],
  wanted: (segmentId: string, place: number) => boolean,
): Promise<{ readonly place: number; readonly segment: TraceSegment }[]> {
  const rows = (await sql.all("SELECT * FROM segment WHERE place IN (??) ORDER BY place, id", places)).filter((r) =>
    wanted(String(r["id"]), Number(r["place"])),
  );
  const numbers = [...new Set(rows.map((r) => Number(r["block"])))];
  if (numbers.length === 0) return [];
  const bodies = await sql.all("SELECT no, body FROM block WHERE no IN (??)", numbers);
  const blocks = new Map(bodies.map((r) => [Number(r["no"]), unpack(r["body"] as Uint8Array)]));
  return rows.map((r) => {
    const start = Number(r["start"]);
    const text = blocks.get(Number(r["block"]))?.toString("utf8", start, start + Number(r["length"])) ?? "null";
    return { place: Number(r["place"]), segment: JSON.parse(text) as TraceSegment };
  });
}

/** Removes the segments of flows, and the blocks of which nothing is left. */
export async function removeSegments(sql: Sql, places: readonly number[]): Promise<void> {
  const rows = await sql.all(
    "SELECT block, count(*) AS n FROM segment WHERE place IN (??) GROUP BY block ORDER BY block",
    places,
  );
  await sql.remove(
    "segment",
    ["place"],
    places.map((place): SqlValue[] => [place]),
  );
  await sql.insert(
    "block",
    rows.map((r): SqlValue[] => [Number(r["block"]), -Number(r["n"]), new Uint8Array()]),
    "ON CONFLICT (no) DO UPDATE SET segments = block.segments + excluded.segments",
  );
  const numbers = rows.map((r) => Number(r["block"]));
  if (numbers.length > 0) await sql.all("DELETE FROM block WHERE segments <= 0 AND no IN (??)", numbers);
}
