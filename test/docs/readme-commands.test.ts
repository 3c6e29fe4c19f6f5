import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readOptions } from "#apps/cli";
import { commands, ROOT } from "./pages.ts";

/** Scripts that npm knows by a shorter name, and its own commands. */
const NPM_SHORT = new Set(["start", "test"]);
const NPM_OWN = new Set(["ci", "install"]);

/** Lines of code blocks that are commands: `midotrace …` and `npm …`, after a prompt, `npx` or `&&`. */
function commandLines(markdown: string): string[][] {
  const blocks = [...markdown.matchAll(/^```\w*\n([^]*?)^```$/gm)].map((m) => m[1] ?? "");
  return blocks
    .flatMap((block) => block.split("\n"))
    .map((line) => line.replace(/\s#\s.*$/, ""))
    .flatMap((line) => line.split("&&"))
    .map((line) => words(line.trim().replace(/^(\$ )?(npx )?/, "")))
    .filter(([program]) => program === "midotrace" || program === "npm");
}

/** As a shell splits it, as far as documents go: quotes hold words together, a pipe ends them. */
function words(line: string): string[] {
  const tokens = [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)];
  const pipe = tokens.findIndex(([raw]) => raw === "|");
  return tokens.slice(0, pipe < 0 ? undefined : pipe).map((m) => m[1] ?? m[2] ?? m[3] ?? "");
}

/** @throws what the program itself would say. */
function checkMidotrace(argv: readonly string[]): void {
  const name = [argv.slice(0, 2).join(" "), argv[0]].find((n) => commands.some((c) => c.name === n));
  const command = commands.find((c) => c.name === name);
  assert.ok(command !== undefined, "no such command");
  const loadConfig = (): unknown => ({});
  const rest = argv.slice(command.name.split(" ").length);
  const { positionals } = readOptions(command.options, { argv: rest, env: {}, loadConfig });
  const wanted = command.positionals.length;
  if (command.rest === undefined) assert.equal(positionals.length, wanted, "arguments");
  else assert.ok(positionals.length > wanted, "arguments");
}

const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: Record<string, string> };

function checkNpm([verb = "", script = ""]: readonly string[]): void {
  if (NPM_OWN.has(verb)) return;
  const name = verb === "run" ? script : verb;
  assert.ok(verb === "run" || NPM_SHORT.has(verb), `npm ${verb}`);
  assert.ok(Object.hasOwn(scripts, name), `package.json has no script ${name}`);
}

function check(line: readonly string[]): void {
  const [program, ...argv] = line;
  if (program === "npm") checkNpm(argv);
  else checkMidotrace(argv);
}

describe("command lines that documents quote", () => {
  for (const [page, atLeast] of [["README.md", 7] as const, ["CONTRIBUTING.md", 5] as const]) {
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
