import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { check, commandLines, words } from "./command-lines.ts";
import { commands, ROOT } from "./pages.ts";

describe("command lines that documents quote", () => {
  for (const [page, atLeast] of [
    ["README.md", 7] as const,
    ["CONTRIBUTING.md", 5] as const,
    ["docs/guide/tracing-a-flow.md", 5] as const,
  ]) {
    it(`${page}: commands, scripts and options exist`, () => {
      const lines = commandLines(readFileSync(join(ROOT, page), "utf8"));
      assert.ok(lines.length >= atLeast, `${lines.length} command lines found`);
      for (const line of lines) assert.doesNotThrow(() => check(line), line.join(" "));
    });
  }

  it("the examples in the help of each command are accepted by it", () => {
    for (const c of commands) for (const e of c.examples) assert.doesNotThrow(() => check(words(e)), e);
  });

  it("a command, script or option that does not exist is found", () => {
    const page = ["```", "npx midotrace lab --portt 1", "npm run nope && npm nope", "$ midotrace trce list", "```", ""];
    const lines = commandLines(page.join("\n"));
    assert.equal(lines.length, 4);
    for (const line of lines) assert.throws(() => check(line), Error, `accepted: ${line.join(" ")}`);
  });
});
