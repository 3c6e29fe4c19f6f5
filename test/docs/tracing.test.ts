import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { COMPLETENESS_STATES, DROP_REASONS, LOSS_CAUSES, MISSING_REASONS, STEP_KINDS, VERDICTS } from "#core/tracing";
import { ADVICE_TABLES, advicePages } from "./advice-tables.ts";
import { checkMidotrace, shellWords } from "./command-lines.ts";
import { EVERY_STEP } from "../support/tracing-steps.ts";

/** Rows of the table whose first column is headed `head`, as cells without back-ticks round the first. */
function table(page: string, head: string): string[][] {
  const text = readFileSync(new URL(`../../docs/reference/${page}.md`, import.meta.url), "utf8");
  const lines = text.split("\n");
  const start = lines.findIndex((l) => l.startsWith(`| ${head} |`));
  assert.ok(start >= 0, `no table "${head}" in ${page}.md`);
  const rows: string[][] = [];
  for (let i = start + 2; lines[i]?.startsWith("|") === true; i++)
    rows.push(
      (lines[i] ?? "")
        .split("|")
        .slice(1, -1)
        .map((c) => c.trim()),
    );
  return rows.map(([name, ...rest]) => [(name ?? "").replaceAll("`", ""), ...rest]);
}

function same(page: string, head: string, code: Readonly<Record<string, string>>): void {
  const rows = table(page, head);
  assert.deepEqual(
    rows.map((r) => [r[0], r[1]]),
    Object.entries(code),
  );
  for (const row of rows) assert.ok((row.at(-1) ?? "").length > 3, `${row[0]}: what to do?`);
}

it("steps.md has a row for each kind of step and no other, with the meaning that the code gives", () => {
  same("steps", "kind", STEP_KINDS);
});

it("steps.md names the fields that each kind has", () => {
  for (const [kind, , fields] of table("steps", "kind")) {
    const [step] = EVERY_STEP[kind as keyof typeof EVERY_STEP];
    const expected = Object.keys(step).filter(
      (f) => !["kind", "device", "owner", "chainOwner", "deciderOwner"].includes(f),
    );
    assert.deepEqual(fields?.match(/[a-zA-Z]+(?=`)/g) ?? [], expected, kind);
  }
});

it("verdicts.md has a row for each verdict and each drop reason, and no other", () => {
  same("verdicts", "verdict", VERDICTS);
  same("verdicts", "drop reason", DROP_REASONS);
});

it("completeness.md has a row for each cause of a loss, and no other", () => {
  same("completeness", "cause", LOSS_CAUSES);
});

it("completeness.md has a row for each state and each reason, and no other", () => {
  same("completeness", "state", COMPLETENESS_STATES);
  same("completeness", "reason", MISSING_REASONS);
});

it("what to do stands in the pages as the code says it", () => {
  for (const [path, text] of advicePages())
    assert.equal(readFileSync(path, "utf8"), text, "run: node --conditions=source test/docs/print.ts");
});

it("what to do names a next command wherever there is something to do, and the command exists", () => {
  for (const [page, , advice] of ADVICE_TABLES) {
    for (const [name, { say, run }] of Object.entries(advice)) {
      assert.equal(run === null, say.startsWith("Nothing."), `${page} ${name}`);
      assert.match(say, /[.:]$/, `${page} ${name}`);
      if (run?.startsWith("midotrace ") === true) assert.doesNotThrow(() => checkMidotrace(shellWords(run)), run);
    }
  }
});
