import { columnsOf, cutToColumns, padToColumns, printable } from "#core/tracing";

export interface TableFit {
  /** Columns of the terminal. */
  readonly width: number;
  /** Columns of the table that may be cut, the first one first; none gets narrower than 8. */
  readonly shrink: readonly number[];
}

const GAP = 2;
const NARROWEST = 8;

/** Left-aligned columns, two blanks apart; the first row is the head. The last column is not padded. */
export function table(texts: readonly (readonly string[])[], fit?: TableFit): string {
  const rows = texts.map((row) => row.map(printable));
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, columnsOf(cell))));
  if (fit !== undefined) shrinkTo(widths, fit);
  return rows
    .map((row) => {
      const cells = row.map((cell, i) => {
        const cut = cutToColumns(cell, widths[i] ?? 0);
        return i === row.length - 1 ? cut : padToColumns(cut, widths[i] ?? 0);
      });
      return `${cells.join(" ".repeat(GAP)).trimEnd()}\n`;
    })
    .join("");
}

function shrinkTo(widths: number[], { width, shrink }: TableFit): void {
  let excess = widths.reduce((sum, w) => sum + w + GAP, -GAP) - width;
  for (const i of shrink) {
    if (excess <= 0) return;
    const less = Math.max(0, Math.min(excess, (widths[i] ?? 0) - NARROWEST));
    widths[i] = (widths[i] ?? 0) - less;
    excess -= less;
  }
}
