import { ascending, quantile } from "../measure.ts";

/** Something that has to hold, for the list at the end. */
export interface Aim {
  readonly what: string;
  readonly held: boolean;
}

/** @param digits after the point. */
export const number = (v: number, digits = 0): string =>
  v.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** Median and range of the rounds: "49,025 (43,100 … 58,200)". */
export function spread(values: readonly number[], digits = 0): string {
  const sorted = ascending(values);
  const [low, mid, high] = [0, 0.5, 1].map((q) => number(quantile(sorted, q), digits));
  return `${mid} (${low} … ${high})`;
}

/** A line per row, columns aligned; the first column to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((r) => (r[i] ?? "").length)));
  for (const row of rows) {
    const cells = row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)));
    console.log(`  ${cells.join("   ")}`);
  }
}
