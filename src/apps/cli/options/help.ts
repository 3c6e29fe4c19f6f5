import { argumentsOf, callOf, type Command, EXIT_CODES } from "./command.ts";
import { COMMON_OPTIONS, envName, type OptionSpec, type TextSpec } from "./spec.ts";

const WIDTH = 100;

/** The text of `--help`, from the declarations alone. */
export function commandHelp(c: Command): string {
  const parts = [`${callOf(c)}\n\n${sentence(c.summary)}\n`];
  const words = argumentsOf(c);
  if (words.length > 0) parts.push(`Arguments:\n${columns(words.map((p) => [p.name, sentence(p.description)]))}`);
  const rows = Object.entries({ ...c.options, ...COMMON_OPTIONS }).map(([name, spec]): [string, string] => [
    optionHead(name, spec),
    `${sentence(spec.description)} ${optionTail(name, spec)}`.trimEnd(),
  ]);
  parts.push(`Options:\n${columns(rows)}`);
  if (c.examples.length > 0) parts.push(`Examples:\n${c.examples.map((e) => `  ${e}\n`).join("")}`);
  parts.push(
    "Options may also stand in the environment (in brackets) or in the file of --config, under their names.\n",
  );
  return parts.join("\n");
}

const exitCodes = Object.entries(EXIT_CODES)
  .map(([code, meaning]) => `${code} ${meaning}`)
  .join(", ");

/** All commands, a line each. */
export function overview(version: string, commands: readonly { name: string; summary: string }[]): string {
  return `midotrace ${version}: asks a virtual network where its packets go, and why

Usage: midotrace COMMAND [options]

${columns(commands.map((c) => [c.name, sentence(c.summary)]))}
midotrace COMMAND --help lists its options. Exit codes: ${exitCodes}.
`;
}

export function optionHead(name: string, spec: OptionSpec): string {
  const value = spec.kind === "flag" ? "" : ` ${(spec.kind === "text" ? fewChoices(spec) : null) ?? spec.placeholder}`;
  return `${spec.short === undefined ? "" : `-${spec.short}, `}--${name}${value}`;
}

/** Choices that fit where the value stands; null: they are told behind. */
function fewChoices({ choices }: TextSpec): string | null {
  const joined = choices?.join("|") ?? null;
  return joined !== null && joined.length <= 32 ? joined : null;
}

function optionTail(name: string, spec: OptionSpec): string {
  const notes: string[] = [];
  if (spec.kind === "text" && spec.choices !== undefined && fewChoices(spec) === null)
    notes.push(`One of: ${spec.choices.join(", ")}.`);
  if (spec.kind === "list") notes.push("May be given several times.");
  if (spec.unit !== undefined) notes.push(`Unit: ${spec.unit}.`);
  const value = defaultText(spec);
  if (value !== "") notes.push(`Default: ${value}.`);
  if (name !== "help") notes.push(`[${envName(name)}]`);
  return notes.join(" ");
}

/** The default as it would be typed; "" for absent, off, and an empty text or list. */
export function defaultText(spec: OptionSpec): string {
  const value = spec.default;
  return value === null || value === false ? "" : String(value);
}

export function sentence(text: string): string {
  const whole = text.endsWith(".") ? text : `${text}.`;
  return whole.charAt(0).toUpperCase() + whole.slice(1);
}

/** Two columns, the second wrapped. */
function columns(rows: readonly (readonly [string, string])[]): string {
  const left = Math.min(34, Math.max(...rows.map(([head]) => head.length)));
  const indent = " ".repeat(left + 4);
  return rows
    .map(([head, text]) => {
      const lines = wrap(text, WIDTH - indent.length);
      const first = head.length > left ? `  ${head}\n${indent}` : `  ${head.padEnd(left)}  `;
      return `${first}${lines.join(`\n${indent}`)}\n`;
    })
    .join("");
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
