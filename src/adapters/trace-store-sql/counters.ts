import type { Sql } from "./sql.ts";

export type CounterName =
  | "place"
  | "event"
  | "trimmed"
  | "tenant"
  | "request"
  | "block"
  | "path"
  | "shape"
  | "orphan"
  | "loss"
  | "expired";

/** Numbers by time of one millisecond; the year 2248 is where they end. */
export const PER_MS = 1_024;

/** The numbers that only grow, within one transaction. */
export class Counters {
  private readonly values: Map<string, number>;
  private readonly taken = new Set<CounterName>();

  private constructor(values: Map<string, number>) {
    this.values = values;
  }

  static async load(sql: Sql): Promise<Counters> {
    const rows = await sql.all("SELECT name, value FROM counter");
    return new Counters(new Map(rows.map((r) => [String(r["name"]), Number(r["value"])])));
  }

  last(name: CounterName): number {
    return this.values.get(name) ?? 0;
  }

  next(name: CounterName): number {
    const value = this.last(name) + 1;
    this.set(name, value);
    return value;
  }

  /**
   * Larger than any before, and no count: made of the time, so that whoever sees two of them does not learn how much
   * there was for others in between.
   */
  nextByTime(name: CounterName, nowMs: number): number {
    const value = Math.max(this.last(name) + 1, Math.floor(nowMs) * PER_MS);
    this.set(name, value);
    return value;
  }

  set(name: CounterName, value: number): void {
    this.values.set(name, value);
    this.taken.add(name);
  }

  async save(sql: Sql): Promise<void> {
    const rows = [...this.taken].map((name) => [name, this.last(name)]);
    await sql.insert("counter", rows, "ON CONFLICT (name) DO UPDATE SET value = excluded.value");
  }
}
