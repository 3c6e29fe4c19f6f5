import { readFileSync } from "node:fs";
import { type Advice, adviceText, DROP_ADVICE, MISSING_ADVICE, STEP_ADVICE } from "#core/tracing";
import { pagePath } from "./pages.ts";

/** Tables whose last column is printed from the code: page, head of the first column, what the last one says. */
export const ADVICE_TABLES: readonly (readonly [string, string, Readonly<Record<string, Advice>>])[] = [
  ["verdicts.md", "drop reason", DROP_ADVICE],
  ["completeness.md", "reason", MISSING_ADVICE],
  ["steps.md", "kind", STEP_ADVICE],
];

/** The page with the last column of that table as the code has it. @throws Error for a row that the code does not know. */
export function withAdvice(page: string, head: string, advice: Readonly<Record<string, Advice>>): string {
  const lines = page.split("\n");
  const start = lines.findIndex((l) => l.startsWith(`| ${head} |`));
  if (start < 0) throw new Error(`no table "${head}"`);
  for (let i = start + 2; lines[i]?.startsWith("|") === true; i++) {
    const cells = (lines[i] ?? "").split("|").slice(1, -1);
    const name = (cells[0] ?? "").replaceAll(/[` ]/g, "");
    const known = advice[name];
    if (known === undefined) throw new Error(`${head} ${name}: the code has no advice`);
    lines[i] = `|${[...cells.slice(0, -1), ` ${adviceText(known)} `].join("|")}|`;
  }
  return lines.join("\n");
}

/** Path and text of each page, as it should be. */
export function advicePages(): [string, string][] {
  const texts = new Map<string, string>();
  for (const [name, head, advice] of ADVICE_TABLES) {
    const path = pagePath(name);
    texts.set(path, withAdvice(texts.get(path) ?? readFileSync(path, "utf8"), head, advice));
  }
  return [...texts];
}
