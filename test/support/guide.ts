/** A guide's blocks of commands, as a test plays them. What a block is, a comment above it says; prose says the same to people. */

export type Block =
  | {
      readonly kind: "commands";
      readonly hosts: readonly string[];
      readonly background: boolean;
      readonly text: string;
      readonly line: number;
    }
  /** What the block of commands before it, or the one in the background, prints on each of its hosts. */
  | { readonly kind: "prints"; readonly background: boolean; readonly text: string; readonly line: number }
  | { readonly kind: "not played"; readonly why: string; readonly text: string; readonly line: number };

export interface Section {
  /** Its heading, without numbers and marks. */
  readonly title: string;
  readonly blocks: readonly Block[];
}

/**
 * @param hosts all there are: "every host".
 * @throws Error for a block without a comment that says what it is, and for one whose prose names other hosts.
 */
export function readGuide(markdown: string, hosts: readonly string[]): Section[] {
  const sections: { title: string; blocks: Block[] }[] = [];
  let comment: string | null = null;
  let prose = "";
  const lines = markdown.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] ?? "";
    const heading = /^## (?:\d+\. )?(.*)$/.exec(line)?.[1];
    if (heading !== undefined) sections.push({ title: heading, blocks: [] });
    const said = /^<!-- (.*) -->$/.exec(line)?.[1];
    if (said !== undefined) comment = said;
    else if (line.startsWith("```")) {
      const end = lines.indexOf("```", i + 1);
      if (end < 0) throw new Error(`line ${i + 1}: the block has no end`);
      const text = lines.slice(i + 1, end).join("\n");
      sections.at(-1)?.blocks.push(blockOf(comment, prose, text, hosts, i + 1));
      i = end;
      comment = null;
      prose = "";
    } else prose += `${line}\n`;
  }
  return sections;
}

function blockOf(comment: string | null, prose: string, text: string, hosts: readonly string[], line: number): Block {
  const notPlayed = /^not played: (.+)$/.exec(comment ?? "")?.[1];
  if (notPlayed !== undefined) return { kind: "not played", why: notPlayed, text, line };
  if (comment === "prints") return { kind: "prints", background: false, text, line };
  if (comment === "prints in the background") return { kind: "prints", background: true, text, line };
  const [, where = "", background] = /^on (every host|[\w-]+)(, in the background)?$/.exec(comment ?? "") ?? [];
  const named = where === "every host" ? hosts : hosts.filter((h) => h === where);
  if (named.length === 0) throw new Error(`line ${line}: nothing says on which host the block is to be run`);
  // Several blocks may follow one sentence; then the sentence above the first of them counts.
  const told = [...prose.matchAll(/\*\*([\w -]+)\*\*/g)].map((m) => m[1]);
  if (told.length > 0 && !told.includes(where))
    throw new Error(`line ${line}: people are told ${told.join(", ")}, and the test ${where}`);
  return { kind: "commands", hosts: named, background: background !== undefined, text, line };
}

/** "…" stands for anything on a line; alone on a line, for any lines or none. Runs of blanks are one. */
export function printed(pattern: string, output: string): boolean {
  const squeeze = (line: string): string => line.trimEnd().replace(/ +/g, " ");
  const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const parts = pattern
    .split("\n")
    .map((line) => (line.trim() === "…" ? "(?:.*\n)*?" : `${squeeze(line).split("…").map(literal).join(".*")}\n`));
  const text = output.trim().split("\n").map(squeeze).join("\n");
  return new RegExp(`^${parts.join("")}$`).test(`${text}\n`);
}
