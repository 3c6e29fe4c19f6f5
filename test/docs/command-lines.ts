import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readOptions } from "#apps/cli";
import { commands, ROOT } from "./pages.ts";

/** Scripts that npm knows by a shorter name, and its own commands. */
const NPM_SHORT = new Set(["start", "test"]);
const NPM_OWN = new Set(["ci", "install"]);

/** Lines of code blocks that are commands: `midotrace …` and `npm …`, after a prompt, `npx` or `&&`. */
export function commandLines(markdown: string): string[][] {
  const blocks = [...markdown.matchAll(/^```\w*\n([^]*?)^```$/gm)].map((m) => m[1] ?? "");
  return blocks
    .flatMap((block) => block.split("\n"))
    .map((line) => line.replace(/\s#\s.*$/, ""))
    .flatMap((line) => line.split("&&"))
    .map((line) => words(line.trim().replace(/^(\$ )?(npx )?/, "")))
    .filter(([program]) => program === "midotrace" || program === "npm");
}

/** As a shell splits it, as far as documents go: quotes hold words together, a pipe ends them. */
export function words(line: string): string[] {
  const tokens = [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)];
  const pipe = tokens.findIndex(([raw]) => raw === "|");
  return tokens.slice(0, pipe < 0 ? undefined : pipe).map((m) => m[1] ?? m[2] ?? m[3] ?? "");
}

/** @throws what the program itself would say. */
export function checkLine(argv: readonly string[]): void {
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

export function check(line: readonly string[]): void {
  const [program, ...argv] = line;
  if (program === "npm") checkNpm(argv);
  else checkLine(argv);
}

/** Of a whole command line that begins with the program's name. */
export const shellWords = words;

/** @throws what the program itself would say. */
export function checkMidotrace(line: readonly string[]): void {
  checkLine(line.slice(1));
}
