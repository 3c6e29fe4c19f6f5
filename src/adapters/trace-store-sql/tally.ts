import type { Sql, SqlValue } from "./sql.ts";

/** What a transaction adds to the counts of shapes and tenants, and the minutes of flows; written in one go. */
export class Tally {
  private readonly shapes = new Map<
    string,
    { readonly request: number; readonly shape: number; n: number; first: number; last: number }
  >();
  private readonly tenants = new Map<number, TenantChange>();
  private readonly minutes = new Map<
    string,
    { readonly request: number; readonly minute: number; first: number; last: number }
  >();

  /** @param n +1: a flow that began at `startedMs` has the shape now; -1: one has it no more. */
  shape(request: number, shape: number, n: 1 | -1, startedMs: number): void {
    const key = `${request} ${shape}`;
    const known = this.shapes.get(key) ?? { request, shape, n: 0, first: Number.MAX_SAFE_INTEGER, last: 0 };
    known.n += n;
    if (n > 0) {
      known.first = Math.min(known.first, startedMs);
      known.last = Math.max(known.last, startedMs);
    }
    this.shapes.set(key, known);
  }

  tenant(no: number, change: Partial<TenantChange>): void {
    const sum = this.tenants.get(no) ?? { flows: 0, bytes: 0, pins: 0, evicted: 0 };
    this.tenants.set(no, {
      flows: sum.flows + (change.flows ?? 0),
      bytes: sum.bytes + (change.bytes ?? 0),
      pins: sum.pins + (change.pins ?? 0),
      evicted: sum.evicted + (change.evicted ?? 0),
    });
  }

  minute(request: number, startedMs: number, place: number): void {
    const minute = Math.floor(startedMs / 60_000);
    const key = `${request} ${minute}`;
    const known = this.minutes.get(key) ?? { request, minute, first: place, last: place };
    known.first = Math.min(known.first, place);
    known.last = Math.max(known.last, place);
    this.minutes.set(key, known);
  }

  /** Tenants whose counts change. */
  changedTenants(): number[] {
    return [...this.tenants.keys()];
  }

  async write(sql: Sql): Promise<void> {
    await sql.insert(
      "shape_count",
      [...this.shapes.values()].map((s): SqlValue[] => [s.request, s.shape, s.n, s.first, s.last]),
      "ON CONFLICT (request, shape) DO UPDATE SET flows = shape_count.flows + excluded.flows, " +
        `${least("shape_count", "first_ms")}, ${greatest("shape_count", "last_ms")}`,
    );
    await sql.insert(
      "tenant",
      [...this.tenants].map(([no, t]): SqlValue[] => [no, `\u0001${no}`, t.flows, t.bytes, t.pins, t.evicted]),
      `ON CONFLICT (no) DO UPDATE SET ${["flows", "bytes", "pins", "evicted"].map((c) => `${c} = tenant.${c} + excluded.${c}`).join(", ")}`,
    );
    await sql.insert(
      "minute",
      [...this.minutes.values()].map((m): SqlValue[] => [m.request, m.minute, m.first, m.last]),
      `ON CONFLICT (request, minute) DO UPDATE SET ${least("minute", "first_place")}, ${greatest("minute", "last_place")}`,
    );
    this.shapes.clear();
    this.tenants.clear();
    this.minutes.clear();
  }
}

interface TenantChange {
  readonly flows: number;
  readonly bytes: number;
  readonly pins: number;
  readonly evicted: number;
}

const least = (table: string, c: string): string =>
  `${c} = CASE WHEN excluded.${c} < ${table}.${c} THEN excluded.${c} ELSE ${table}.${c} END`;
const greatest = (table: string, c: string): string =>
  `${c} = CASE WHEN excluded.${c} > ${table}.${c} THEN excluded.${c} ELSE ${table}.${c} END`;
