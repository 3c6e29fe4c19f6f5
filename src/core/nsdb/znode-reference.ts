import { PATHS, patternOf, TOP_DIRECTORIES } from "./paths.ts";
import { ZNODE_EXAMPLES } from "./znode-examples.ts";

/** The text of docs/reference/znodes.md; a test compares the file with it. */
export function znodeReference(): string {
  const rows = PATHS.map(({ pattern, type, content }) => `| \`${pattern}\` | ${type} | ${content} |`);
  const examples = ZNODE_EXAMPLES.filter((e) => e.data !== "").map(
    ({ path, data }) => `### ${heading(patternOf(path) ?? path)}\n\n\`${path}\`\n\n\`\`\`json\n${data}\n\`\`\`\n`,
  );
  const made = TOP_DIRECTORIES.map((path) => `\`${path}\``).join(", ");
  return `${PREFACE}
| node | type | content |
|---|---|---|
${rows.join("\n")}

Made when a store is first used, with \`/store\`: ${made}.

## Examples

Written by the codecs; as they stand in the store, without line breaks.

${examples.join("\n")}`;
}

/** A heading without angle brackets, which a renderer takes for HTML. */
const heading = (pattern: string): string => pattern.replaceAll("<", "").replaceAll(">", "");

const PREFACE = `# Nodes of the store

Printed from \`src/core/nsdb/paths.ts\` and the codecs by \`node --conditions=source test/docs/print.ts\`; a test compares.

Paths are below the store's root: \`/midonet/v1\` in ZooKeeper, the whole tree in an embedded store. Names are MidoNet's where
the same thing exists there. Type P is persistent; E is ephemeral, and ends with the session of the agent that made it. Nodes
above these are empty directories. A record is \`{"data": {…}, "version": "1"}\`; properties that are not known are ignored, and
64-bit integers are decimal texts.

What changes together is one transaction. \`midotrace store check\` walks everything that these nodes promise each other.
`;
