import { columnsOf, cutToColumns } from "./columns.ts";
import { printable } from "./printable.ts";

/** What a piece of the tree is; the palette gives it a colour. */
export type Ink = "good" | "bad" | "unsure" | "strong" | "faint" | "plain";

/** Opening code of each ink; closed by `reset`. */
export type Palette = Readonly<Record<Ink | "reset", string>>;

export const ANSI: Palette = {
  good: "\u001b[32m",
  bad: "\u001b[1;31m",
  unsure: "\u001b[33m",
  strong: "\u001b[1m",
  faint: "\u001b[2m",
  plain: "",
  reset: "\u001b[0m",
};

export interface PageOptions {
  readonly colour: boolean;
  /** Columns of the terminal; at least 24 are used. */
  readonly width: number;
  readonly palette?: Palette;
}

export type Piece = readonly [text: string, ink: Ink];

/** Wraps words into lines that are never wider than the terminal; a word that is wider loses its tail to an ellipsis. */
export class Page {
  private readonly lines: string[] = [];
  private readonly width: number;
  private readonly palette: Palette | null;

  constructor(options: PageOptions) {
    this.width = Math.max(24, Math.floor(options.width));
    this.palette = options.colour ? (options.palette ?? ANSI) : null;
  }

  blank(): void {
    this.lines.push("");
  }

  /** `first` stands before the first line, `stem` before the others. */
  line(first: string, stem: string, pieces: readonly Piece[]): void {
    let prefix = first;
    let row: Piece[] = [];
    let used = columnsOf(first);
    for (const [text, ink] of pieces) {
      for (const token of printable(text).match(/ +|[^ ]+/g) ?? []) {
        const blank = token.startsWith(" ");
        const word = blank ? token : cutToColumns(token, this.width - Math.max(columnsOf(first), columnsOf(stem)));
        if (used + columnsOf(word) > this.width) {
          this.flush(prefix, row);
          prefix = stem;
          row = [];
          used = columnsOf(stem);
        }
        if (blank && row.length === 0) continue;
        row.push([word, ink]);
        used += columnsOf(word);
      }
    }
    this.flush(prefix, row);
  }

  text(): string {
    return `${this.lines.join("\n")}\n`;
  }

  private flush(prefix: string, row: readonly Piece[]): void {
    let end = row.length;
    while (end > 0 && row[end - 1]?.[0].startsWith(" ") === true) end--;
    let text = this.paint(end === 0 ? prefix.trimEnd() : prefix, "faint");
    for (let i = 0; i < end; ) {
      const ink = (row[i] as Piece)[1];
      let run = "";
      while (i < end && (row[i] as Piece)[1] === ink) run += (row[i++] as Piece)[0];
      text += this.paint(run, ink);
    }
    this.lines.push(text.replaceAll("\u00a0", " "));
  }

  private paint(text: string, ink: Ink): string {
    if (this.palette === null || this.palette[ink] === "" || text === "") return text;
    return `${this.palette[ink]}${text}${this.palette.reset}`;
  }
}
