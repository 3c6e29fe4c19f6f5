import { type Columns, decodeRow, isRowId, type RowId, type RowOf } from "./columns.ts";
import { field, isObject, type JsonObject, Malformed, preview, within } from "./malformed.ts";

export type Tables = Readonly<Record<string, Columns>>;
export type TableRows<T extends Tables> = { readonly [K in keyof T]: ReadonlyMap<RowId, RowOf<T[K]>> };

/** What the database holds in the tables and columns that are monitored, kept by its updates (RFC 7047 §4.1.6). */
export class Replica<T extends Tables> {
  private readonly tables: T;
  private readonly contents: { [K in keyof T]: Map<RowId, RowOf<T[K]>> };

  constructor(tables: T) {
    this.tables = tables;
    const empty = Object.keys(tables).map((name) => [name, new Map()]);
    this.contents = Object.fromEntries(empty) as { [K in keyof T]: Map<RowId, RowOf<T[K]>> };
  }

  get rows(): TableRows<T> {
    return this.contents;
  }

  /** The `<monitor-requests>` for these tables. */
  get request(): JsonObject {
    const entries = Object.entries(this.tables).map(([name, columns]) => [name, { columns: Object.keys(columns) }]);
    return Object.fromEntries(entries) as JsonObject;
  }

  /** Applies `<table-updates>`, all or nothing. @returns null when done. */
  apply(updates: unknown): Malformed | null {
    if (!isObject(updates)) return new Malformed(`table updates are ${preview(updates)}`);
    const steps: (() => void)[] = [];
    for (const [name, rows] of Object.entries(updates)) {
      const columns = field(this.tables, name) as Columns | undefined;
      if (columns === undefined) return new Malformed(`an update of table ${preview(name)}, which was not asked for`);
      if (!isObject(rows)) return new Malformed(`updates of table ${name} are ${preview(rows)}`);
      for (const [id, change] of Object.entries(rows)) {
        const step = this.step(name, columns, id, change);
        if (step instanceof Malformed) return within(`table ${name}, row ${preview(id)}`, step);
        steps.push(step);
      }
    }
    for (const step of steps) step();
    return null;
  }

  private step(name: keyof T, columns: Columns, id: string, change: unknown): (() => void) | Malformed {
    if (!isRowId(id)) return new Malformed("the row's id is not a UUID");
    if (!isObject(change)) return new Malformed(`the change is ${preview(change)}`);
    const rows = this.contents[name];
    const now = field(change, "new");
    if (now === undefined || now === null) {
      if (!isObject(field(change, "old"))) return new Malformed("neither an old nor a new row");
      if (!rows.has(id)) return new Malformed("a row went that was not there");
      return () => rows.delete(id);
    }
    if (!isObject(now)) return new Malformed(`the new row is ${preview(now)}`);
    const row = decodeRow(columns, now);
    if (row instanceof Malformed) return row;
    return () => rows.set(id, row as RowOf<T[keyof T]>);
  }
}
