import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";
import { TARGET_PARAMETERS } from "#adapters/exporters";
import { ECS_FIELDS, EXPORT_LOSSES } from "#core/exporting";

const page = readFileSync(new URL("../../docs/guide/exporting.md", import.meta.url), "utf8");

/** Cells of the table whose first column is headed `head`, without back-ticks around a whole cell. */
function table(head: string): string[][] {
  const lines = page.split("\n");
  const start = lines.findIndex((l) => l.startsWith(`| ${head} |`));
  assert.ok(start >= 0, `no table "${head}"`);
  const end = lines.findIndex((l, i) => i > start && !l.startsWith("|"));
  return lines.slice(start + 2, end).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((c) =>
        c
          .trim()
          .replaceAll("\\|", "|")
          .replace(/^`([^`]*)`$/, "$1"),
      ),
  );
}

it("exporting.md has a row for each cause of a loss, with what to do", () => {
  const rows = table("cause");
  assert.deepEqual(
    rows.map(([cause, meaning]) => [cause, meaning]),
    Object.entries(EXPORT_LOSSES),
  );
  for (const [cause, , what] of rows) assert.ok((what ?? "").length > 3, `${cause}: what to do?`);
});

it("exporting.md has a row for each parameter of a target", () => {
  const known = Object.entries(TARGET_PARAMETERS).flatMap(([kind, parameters]) =>
    Object.entries(parameters).map(([name, meaning]) => [kind, name, meaning]),
  );
  assert.deepEqual(table("target"), known);
});

it("exporting.md has a row for each field of a document", () => {
  const known = Object.entries(ECS_FIELDS).map(([name, { type, meaning }]) => [name, type, meaning]);
  const plain = (rows: readonly (readonly string[])[]) => rows.map((r) => r.map((c) => c.replace(/^`([^`]*)`$/, "$1")));
  assert.deepEqual(plain(table("field")), plain(known));
});
