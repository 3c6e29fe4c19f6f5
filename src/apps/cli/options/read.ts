import { parseArgs, type ParseArgsConfig } from "node:util";
import { MidotraceError, nearestWord } from "#core/base";
import {
  COMMON_OPTIONS,
  envName,
  type OptionSpec,
  type OptionTable,
  type OptionValue,
  type OptionValues,
} from "./spec.ts";

export interface Sources {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads and parses the file of `--config`: an object, or what is no configuration file. */
  readonly loadConfig: (path: string) => unknown;
}

export interface Reading {
  /** Every option of the table and the common ones, whatever it came from. */
  readonly values: Readonly<Record<string, OptionValue>>;
  readonly positionals: readonly string[];
}

/** Where a value comes from, as messages name it: `--limit`, `MIDOTRACE_LIMIT`, `limit in lab.yaml`. */
type Origin = string;

/**
 * Reads a command's options: the command line wins over the environment, that over the file, that over the default.
 * @throws MidotraceError USAGE for an option nobody declared (with the nearest one that is) and for a value of the wrong form.
 */
export function readOptions(table: OptionTable, sources: Sources): Reading {
  const specs: OptionTable = { ...table, ...COMMON_OPTIONS };
  const { given, positionals } = readArguments(specs, sources.argv);
  const help = given.get("help");
  if (help !== undefined && help[0] !== "false") return { values: { ...defaults(specs), help: true }, positionals };
  const config = pick("config", COMMON_OPTIONS.config, given, sources.env, {}, "");
  const file = typeof config === "string" ? configFile(specs, config, sources.loadConfig(config)) : {};
  const values: Record<string, OptionValue> = {};
  for (const [name, spec] of Object.entries(specs)) {
    values[name] = pick(name, spec, given, sources.env, file, String(config));
  }
  return { values, positionals };
}

/** What the options are when nobody says anything. */
export function defaultsOf<T extends OptionTable>(specs: T): OptionValues<T> {
  return defaults(specs) as OptionValues<T>;
}

function defaults(specs: OptionTable): Record<string, OptionValue> {
  return Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, spec.default]));
}

function readArguments(
  specs: OptionTable,
  argv: readonly string[],
): { given: Map<string, string[]>; positionals: string[] } {
  const options: NonNullable<ParseArgsConfig["options"]> = {};
  for (const [name, spec] of Object.entries(specs)) {
    options[name] = { type: spec.kind === "flag" ? "boolean" : "string", multiple: true };
    if (spec.short !== undefined) options[name].short = spec.short;
  }
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, tokens: true });
  const given = new Map<string, string[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const spec = Object.hasOwn(specs, token.name) ? specs[token.name] : undefined;
    if (spec === undefined) throw unknownOption(token.rawName, Object.keys(specs));
    if (spec.kind !== "flag" && (token.value ?? "") === "") throw usage(`${token.rawName} needs a value`);
    const earlier = given.get(token.name) ?? [];
    if (spec.kind !== "list" && earlier.length > 0) throw usage(`${token.rawName} is given twice`);
    given.set(token.name, [...earlier, token.value ?? "true"]);
  }
  return { given, positionals };
}

function unknownOption(rawName: string, names: readonly string[]): MidotraceError {
  const guess = rawName.startsWith("--") ? nearestWord(rawName.slice(2), names) : null;
  return usage(`unknown option ${rawName}${guess === null ? "" : `; did you mean --${guess}?`}`);
}

function configFile(specs: OptionTable, path: string, content: unknown): Readonly<Record<string, unknown>> {
  if (content === null || content === undefined) return {};
  if (typeof content !== "object" || Array.isArray(content)) throw usage(`${path} is not a table of options`);
  for (const key of Object.keys(content)) {
    if (Object.hasOwn(specs, key) && !Object.hasOwn(COMMON_OPTIONS, key)) continue;
    const guess = nearestWord(key, Object.keys(specs));
    throw usage(`unknown option ${key} in ${path}${guess === null ? "" : `; did you mean ${guess}?`}`);
  }
  return content as Readonly<Record<string, unknown>>;
}

function pick(
  name: string,
  spec: OptionSpec,
  given: ReadonlyMap<string, readonly string[]>,
  env: Sources["env"],
  file: Readonly<Record<string, unknown>>,
  path: string,
): OptionValue {
  const arguments_ = given.get(name);
  if (arguments_ !== undefined) return fromTexts(spec, arguments_, `--${name}`);
  const variable = env[envName(name)];
  if (variable !== undefined && variable !== "" && name !== "help") {
    const texts = spec.kind === "list" ? variable.split(",").map((t) => t.trim()) : [variable];
    return fromTexts(spec, texts, envName(name));
  }
  const value = file[name];
  if (value === undefined || value === null) return spec.default;
  return fromTexts(spec, textsOf(value, `${name} in ${path}`), `${name} in ${path}`);
}

function textsOf(value: unknown, origin: Origin): string[] {
  if (Array.isArray(value)) return value.flatMap((v) => textsOf(v, origin));
  if (typeof value === "string") return [value];
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") return [String(value)];
  throw usage(`${origin} is neither a text, a number, yes or no, nor a list of them`);
}

const YES = new Set(["true", "1", "yes", "on"]);
const NO = new Set(["false", "0", "no", "off"]);

function fromTexts(spec: OptionSpec, texts: readonly string[], origin: Origin): OptionValue {
  if (spec.kind === "list") return texts;
  if (texts.length !== 1) throw usage(`${origin} takes one value`);
  const text = texts[0] as string;
  switch (spec.kind) {
    case "text":
      if (spec.choices !== undefined && !spec.choices.includes(text))
        throw usage(wrongChoice(origin, spec.choices, text));
      return text;
    case "flag":
      if (YES.has(text.toLowerCase())) return true;
      if (NO.has(text.toLowerCase())) return false;
      throw usage(`${origin} is true or false, not ${JSON.stringify(text)}`);
    case "integer":
      return integer(spec, text, origin);
  }
}

/** Names all of a few; of many, the one that was probably meant. */
function wrongChoice(origin: string, choices: readonly string[], text: string): string {
  const said = JSON.stringify(text);
  if (choices.length <= 4) return `${origin} is ${choices.join(" or ")}, not ${said}`;
  const near = nearestWord(text, choices);
  return near === null
    ? `${origin} cannot be ${said}: it is one of ${choices.join(", ")}`
    : `${origin} cannot be ${said}; did you mean ${near}?`;
}

function integer(spec: Extract<OptionSpec, { kind: "integer" }>, text: string, origin: Origin): bigint {
  const value = /^-?\d{1,30}$/.test(text) ? BigInt(text) : null;
  if (value !== null && value >= spec.min && value <= spec.max) return value;
  throw usage(`${origin} is a whole number from ${spec.min} to ${spec.max}, not ${JSON.stringify(text)}`);
}

/** The user's mistake: exit code 2. */
export function usage(message: string): MidotraceError {
  return new MidotraceError("USAGE", message);
}
