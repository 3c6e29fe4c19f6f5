import { argumentsOf, callOf, type Command, EXIT_CODES } from "./command.ts";
import { defaultText, optionHead, sentence } from "./help.ts";
import { COMMON_OPTIONS, envName, type OptionSpec, type OptionTable } from "./spec.ts";

/** The text of docs/reference/cli.md, from the declarations alone; a test compares the file with it. */
export function cliReference(commands: readonly Command[]): string {
  const index = commands.map((c) => `| [\`midotrace ${c.name}\`](#${anchor(c)}) | ${cell(sentence(c.summary))} |`);
  const codes = Object.entries(EXIT_CODES).map(([code, meaning]) => `| ${code} | ${meaning} |`);
  return [
    PREFACE,
    table(["command", "what it is for"], index),
    `## Exit codes\n\n${table(["code", "meaning"], codes)}`,
    `## Options of every command\n\n${optionTable(COMMON_OPTIONS)}`,
    ...commands.map(commandText),
  ].join("\n");
}

const PREFACE = `# Command line

Printed from the options' declarations by \`node --conditions=source test/docs/print.ts\`; a test compares.

An option is given on the command line, else as an environment variable, else in the YAML file of \`--config\` under the key
of the table; else it has its default. A flag is \`true\` or \`false\` there; a list is separated by commas in the environment
and is a list in the file.
`;

function commandText(c: Command): string {
  const parts = [`## midotrace ${c.name}\n\n\`${callOf(c)}\`\n\n${sentence(c.summary)}\n`];
  const positionals = argumentsOf(c).map((p) => `| \`${p.name}\` | ${cell(sentence(p.description))} |`);
  if (positionals.length > 0) parts.push(table(["argument", "what it says"], positionals));
  parts.push(optionTable(c.options));
  if (c.examples.length > 0) parts.push(`\`\`\`\n${c.examples.join("\n")}\n\`\`\`\n`);
  return parts.join("\n");
}

function optionTable(options: OptionTable): string {
  const rows = Object.entries(options).map(([name, spec]) => {
    const value = defaultText(spec);
    const cells = [
      code(optionHead(name, spec)),
      valuesText(spec),
      spec.unit ?? "",
      spec.kind === "flag" ? "off" : value === "" ? "" : code(value),
      // Help is asked for where the command is, and a configuration file does not name another one.
      name === "help" ? "" : code(envName(name)),
      Object.hasOwn(COMMON_OPTIONS, name) ? "" : code(name),
      sentence(spec.description),
    ];
    return `| ${cells.map(cell).join(" | ")} |`;
  });
  return table(["option", "values", "unit", "default", "environment", "YAML key", "what it says"], rows);
}

function valuesText(spec: OptionSpec): string {
  switch (spec.kind) {
    case "flag":
      return "flag";
    case "integer":
      return `${spec.min} to ${spec.max}`;
    case "list":
      return "list; may be given several times";
    case "text":
      return spec.choices === undefined ? "text" : spec.choices.map(code).join(" or ");
  }
}

function table(head: readonly string[], rows: readonly string[]): string {
  return `| ${head.join(" | ")} |\n|${"---|".repeat(head.length)}\n${rows.map((row) => `${row}\n`).join("")}`;
}

const code = (text: string): string => `\`${text}\``;
/** A bar would end the cell. */
const cell = (text: string): string => text.replaceAll("|", "\\|");
const anchor = (c: Command): string => `midotrace-${c.name.replaceAll(" ", "-")}`;
