import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { allRoutes } from "#core/api-contract";
import { ERRORS } from "#core/base";
import { PATHS, patternOf, ZNODE_EXAMPLES } from "#core/nsdb";
import { envName } from "#apps/cli";
import { commands, pagePath, PRINTED_PAGES } from "./pages.ts";

describe("reference pages that the code prints", () => {
  for (const [name, print] of Object.entries(PRINTED_PAGES)) {
    it(`docs/reference/${name} is what the code says`, () => {
      const page = readFileSync(pagePath(name), "utf8");
      assert.equal(page, print(), "run: node --conditions=source test/docs/print.ts");
    });
  }

  it("errors.md has one row per error, with its status", () => {
    const page = readFileSync(pagePath("errors.md"), "utf8");
    const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| (\d+) \| (.+) \|$/gm)].map((m) => [m[1], Number(m[2]), m[3]]);
    assert.deepEqual(
      rows,
      Object.entries(ERRORS).map(([code, e]) => [code, e.status, e.summary]),
    );
  });

  it("rest-api.md has one section per route", () => {
    const page = readFileSync(pagePath("rest-api.md"), "utf8");
    const sections = [...page.matchAll(/^### (\w+)$/gm)].map((m) => m[1] ?? "");
    assert.deepEqual(new Set(sections), new Set(allRoutes().map(([id]): string => id)));
    assert.equal(sections.length, allRoutes().length);
  });

  it("znodes.md has one row per path, and an example of each row that holds a record", () => {
    const page = readFileSync(pagePath("znodes.md"), "utf8");
    const rows = [...page.matchAll(/^\| `(\/[^`]+)` \| ([PE]) \| (.+) \|$/gm)].map((m) => [m[1], m[2], m[3]]);
    assert.deepEqual(
      rows,
      PATHS.map((r) => [r.pattern, r.type, r.content]),
    );
    assert.deepEqual(
      ZNODE_EXAMPLES.map((e) => patternOf(e.path)),
      PATHS.map((r) => r.pattern),
      "one example for each row, in its order",
    );
    for (const [i, { pattern, content }] of PATHS.entries()) {
      const example = ZNODE_EXAMPLES[i]?.data ?? "";
      assert.equal(example === "", content.startsWith("empty"), pattern);
      assert.ok(page.includes(example), pattern);
    }
  });

  it("cli.md has one section per command, with a row for each of its options", () => {
    const sections = readFileSync(pagePath("cli.md"), "utf8")
      .split(/^## midotrace /m)
      .slice(1);
    assert.deepEqual(
      sections.map((s) => s.split("\n", 1)[0]),
      commands.map((c) => c.name),
    );
    for (const [i, c] of commands.entries()) {
      const rows = [...(sections[i] ?? "").matchAll(/^\| `(?:-\w, )?--([\w-]+)[ `].*\| `(\w+)` \| `([\w-]+)` \|/gm)];
      assert.deepEqual(
        rows.map(([, name, variable, key]) => [name, variable, key]),
        Object.keys(c.options).map((name) => [name, envName(name), name]),
      );
    }
  });
});
