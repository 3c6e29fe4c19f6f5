import type { Io } from "#apps/cli/options";

const CODES = { strong: "\u001b[1m", faint: "\u001b[2m", good: "\u001b[32m", key: "\u001b[36m" } as const;
export type Tone = keyof typeof CODES;

/** Colours a piece of text, or leaves it where there are none. */
export type Paint = (tone: Tone, text: string) => string;

export function painter(io: Pick<Io, "colours">): Paint {
  return (tone, text) => (io.colours && text !== "" ? `${CODES[tone]}${text}\u001b[0m` : text);
}

/** Columns two blanks apart; `head` is faint. Cells are padded before they are painted. */
export function columns(head: readonly string[], rows: readonly (readonly string[])[], paint: Paint): string {
  const widths = head.map((h, i) => Math.max(h.length, ...rows.map((r) => (r[i] ?? "").length)));
  const line = (cells: readonly string[], tone: (i: number) => Tone | null): string =>
    `  ${cells
      .map((cell, i) => {
        const padded = i === cells.length - 1 ? cell : cell.padEnd(widths[i] ?? 0);
        const t = tone(i);
        return t === null ? padded : paint(t, padded);
      })
      .join("  ")
      .trimEnd()}\n`;
  return line(head, () => "faint") + rows.map((row) => line(row, (i) => (i === 0 ? "strong" : null))).join("");
}

/** `  Label   text`, the label as wide as the others. */
export function labelled(rows: readonly (readonly [label: string, text: string])[], paint: Paint): string {
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, text]) => `  ${paint("faint", label.padEnd(width))}  ${text}\n`).join("");
}

export function plural(count: number, word: string, many = `${word}s`): string {
  return `${count} ${count === 1 ? word : many}`;
}
