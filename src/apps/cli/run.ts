import { readFileSync } from "node:fs";
import { MidotraceError, nearestWord } from "#core/base";
import { commandHelp, type Io, overview, readOptions, usage } from "#apps/cli/options";
import { parse } from "yaml";
import type { CommandEntry } from "./commands.ts";

/**
 * Runs one command line (without the program's own name). Never throws: what goes wrong is told on standard error in one
 * line. @returns 0 done, 1 failed, 2 usage.
 */
export async function run(argv: readonly string[], commands: readonly CommandEntry[], io: Io): Promise<number> {
  try {
    return await dispatch(argv, commands, io);
  } catch (error) {
    if (io.stop.aborted) return 1;
    io.err(`midotrace: ${errorText(error)}\n`);
    return error instanceof MidotraceError && error.code === "USAGE" ? 2 : 1;
  }
}

async function dispatch(argv: readonly string[], commands: readonly CommandEntry[], io: Io): Promise<number> {
  const [first] = argv;
  if (first === undefined) {
    io.err(overview(io.version, commands));
    return 2;
  }
  if (first === "--version" || first === "-V" || first === "version") {
    io.out(`midotrace ${io.version}\n`);
    return 0;
  }
  if (first === "--help" || first === "-h" || first === "help") {
    const asked = argv.slice(1).join(" ");
    if (asked === "") io.out(overview(io.version, commands));
    else {
      const { entry } = find(argv.slice(1), commands);
      io.out(`${commandHelp(await entry.load())}${seeAlso(entry.name, commands)}`);
    }
    return 0;
  }
  const group = groupOf(argv, commands);
  if (group !== null) {
    io.out(overview(io.version, group));
    return 0;
  }
  const { entry, words } = find(argv, commands);
  const command = await entry.load();
  const loadConfig = (path: string): unknown => parseConfig(path);
  const { values, positionals } = readOptions(command.options, { argv: argv.slice(words), env: io.env, loadConfig });
  if (values["help"] === true) {
    io.out(`${commandHelp(command)}${seeAlso(entry.name, commands)}`);
    return 0;
  }
  const wanted = command.rest === undefined ? command.positionals : [...command.positionals, command.rest];
  if (positionals.length < wanted.length) {
    throw usage(
      `${entry.name} needs ${wanted
        .slice(positionals.length)
        .map((p) => p.name)
        .join(" and ")}; see midotrace ${entry.name} --help`,
    );
  }
  if (positionals.length > wanted.length && command.rest === undefined) {
    throw usage(
      `${entry.name} does not take ${JSON.stringify(positionals[wanted.length])}; see midotrace ${entry.name} --help`,
    );
  }
  return command.run({ options: values, positionals, io });
}

/** The longer commands that begin with the words of this one. */
function seeAlso(name: string, commands: readonly CommandEntry[]): string {
  const longer = commands.filter((c) => c.name.startsWith(`${name} `));
  return longer.length === 0 ? "" : `\nSee also: ${longer.map((c) => `midotrace ${c.name}`).join(", ")}\n`;
}

/** `trace --help`: the commands whose first word it is, where it is none itself. */
function groupOf(argv: readonly string[], commands: readonly CommandEntry[]): readonly CommandEntry[] | null {
  const [first, second] = argv;
  if (argv.length !== 2 || (second !== "--help" && second !== "-h")) return null;
  if (commands.some((c) => c.name === first)) return null;
  const group = commands.filter((c) => c.name.startsWith(`${first} `));
  return group.length === 0 ? null : group;
}

/** @throws MidotraceError USAGE with what was probably meant. */
function find(argv: readonly string[], commands: readonly CommandEntry[]): { entry: CommandEntry; words: number } {
  for (const words of [2, 1]) {
    const name = argv.slice(0, words).join(" ");
    const entry = commands.find((c) => c.name === name);
    if (entry !== undefined) return { entry, words };
  }
  const [first = "", second = ""] = argv;
  const group = commands.filter((c) => c.name.startsWith(`${first} `));
  if (group.length > 0) {
    const verbs = group.map((c) => c.name.slice(first.length + 1));
    if (second === "" || second.startsWith("-")) throw usage(`${first} needs a word: ${verbs.join(", ")}`);
    const guess = nearestWord(second, verbs);
    throw usage(
      `unknown command ${first} ${second}${guess === null ? `; there are ${verbs.join(", ")}` : `; did you mean ${first} ${guess}?`}`,
    );
  }
  const guess = nearestWord(first, new Set(commands.map((c) => c.name.split(" ", 1)[0] as string)));
  throw usage(`unknown command ${first}${guess === null ? "; see midotrace --help" : `; did you mean ${guess}?`}`);
}

/** @throws MidotraceError USAGE when the file cannot be read or is no YAML. */
function parseConfig(path: string): unknown {
  try {
    return parse(readFileSync(path, "utf8"), { intAsBigInt: true });
  } catch (cause) {
    const [line] = (cause as Error).message.split("\n");
    throw new MidotraceError("USAGE", `--config: ${path}: ${line}`, [], { cause });
  }
}

/** Expected failures in their own words; a defect with its place, so that it can be reported. */
function errorText(error: unknown): string {
  if (error instanceof MidotraceError && error.code !== "INTERNAL") return error.message;
  if (error instanceof MidotraceError) return `${error.message} (INTERNAL)`;
  // The state of the world, not a defect: the message says all there is.
  if (error instanceof Error && error.name === "NsdbUnavailable") return error.message;
  return error instanceof Error ? `unexpected failure: ${error.stack ?? error.message}` : String(error);
}
