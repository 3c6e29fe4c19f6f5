import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Build, Driver, SILENT } from "./driver.ts";
import type { Benchmark } from "./measure.ts";
import { tracedNetwork } from "./network.ts";

const ROOT = join(import.meta.dirname, "..");
const FOLDER = join("src", "core", "simulation");

/** Statements that go, with everything they span: those that name one of these. */
const FEATURE =
  /\b(recorder|traces|restart|restarts|decisions|narrow|notes|probe|tracedDevice|onMatch|recordBeginning|recordMatches|matched: ArmedTrace|this\.matched)\b|this\.trace\b|^ {2}trace: /;
/** Class members that go as a whole. */
const MEMBER = /^ {2}(private )?(readonly )?(traced|follow|recordMatches|probe|onMatch|tracedDevice)\b/;
/** What a statement is not enough for: [file, from, to]. Each must be found, or the transform is out of date. */
const EDITS: readonly (readonly [string, string, string])[] = [
  ["context.ts", "return this.restart || this.wait !== null;", "return this.wait !== null;"],
  ["simulation.ts", "for (let restarts = 0; restarts < MAX_RESTARTS; restarts++) {", "{"],
  ["simulation.ts", "if (!ctx.restart) return;", "return;"],
  ["flood.ts", "targets, notes)", "targets)"],
];

/**
 * A copy of the core in which the simulation has neither recorder nor trace rules: what "off costs nothing" is measured
 * against. The transform goes by lines, which Biome's formatting makes safe: a statement that names the feature is removed
 * to the end of its brackets.
 *
 * @returns the copy's folder; remove it with `removeCopy`.
 * @throws Error when something of the feature is left.
 */
export function strippedCopy(): string {
  const dir = mkdtempSync(join(tmpdir(), "midotrace-bench-"));
  cpSync(join(ROOT, "src", "core"), join(dir, "src", "core"), { recursive: true });
  cpSync(join(ROOT, "package.json"), join(dir, "package.json"));
  const folder = join(dir, FOLDER);
  rmSync(join(folder, "record.ts"));
  for (const name of readdirSync(folder).filter((f) => f.endsWith(".ts"))) {
    const file = join(folder, name);
    const source = strip(edit(name, readFileSync(file, "utf8")));
    const left = source.split("\n").find((line) => /\brecorder\b|\.traces\b|\brestart\b/.test(line));
    if (left !== undefined) throw new Error(`${name}: the transform left "${left.trim()}"`);
    writeFileSync(file, source);
  }
  return dir;
}

export function removeCopy(dir: string): void {
  rmSync(dir, { recursive: true });
}

function edit(name: string, source: string): string {
  let text = source;
  for (const [file, from, to] of EDITS) {
    if (file !== name) continue;
    if (!text.includes(from)) throw new Error(`${name}: the transform expects "${from}"`);
    text = text.replaceAll(from, to);
  }
  return text;
}

function strip(source: string): string {
  const lines = source.split("\n");
  const kept: string[] = [];
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] as string;
    const comment = /^\s*(\/\/|\/?\*)/.test(line);
    if (comment) continue;
    if (MEMBER.test(line) || FEATURE.test(line)) i = endOfStatement(lines, i);
    else kept.push(line);
  }
  return kept.join("\n");
}

/** The last line of the statement that begins at `start`: where its brackets are closed; for a bare `if`, of its body. */
function endOfStatement(lines: readonly string[], start: number): number {
  let depth = 0;
  for (let i = start; i < lines.length; i++) {
    const line = lines[i] as string;
    for (const c of line.replace(/(["'`]).*?\1/g, "")) {
      if (c === "(" || c === "[" || c === "{") depth++;
      else if (c === ")" || c === "]" || c === "}") depth--;
    }
    if (depth > 0 || /^\s*(if|for) \(.*\)$/.test(line) || /[=?:|&]$/.test(line)) continue;
    return i;
  }
  throw new Error(`the statement "${lines[start]?.trim()}" has no end`);
}

/** The packet benchmark without traces. @param dir a copy, or "-" for the repository. */
export async function buildAt(dir: string): Promise<Benchmark> {
  const from = async (room: string): Promise<unknown> =>
    import(pathToFileURL(join(dir === "-" ? ROOT : dir, "src", "core", room, "index.ts")).href);
  const { PacketContext, Simulation } = (await from("simulation")) as typeof import("#core/simulation");
  const { TopologySnapshot } = (await from("topology")) as typeof import("#core/topology");
  const build: Build = { PacketContext, Simulation, compile: (records) => TopologySnapshot.compile(records) };
  return new Driver(build, tracedNetwork([]), SILENT, 2048);
}

/** A digest of what became of every packet. */
export function compareResults(b: Benchmark): string {
  if (!(b instanceof Driver)) return "";
  return createHash("sha256").update(b.results().join("\n")).digest("hex");
}
