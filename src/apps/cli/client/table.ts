import { printable } from "#core/tracing";

/** Left-aligned columns, two blanks apart; the first row is the head. The last column is not padded. */
export function table(texts: readonly (readonly string[])[]): string {
  const rows = texts.map((row) => row.map(printable));
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows
    .map((row) => {
      const cells = row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)));
      return `${cells.join("  ").trimEnd()}\n`;
    })
    .join("");
}
