import { rename, rm, writeFile } from "node:fs/promises";
import { command } from "#apps/cli/options";
import { MidotraceError } from "#core/base";
import { exportStore } from "#core/nsdb";
import { nowMs, STORE_OPTION, withStore } from "./main.ts";

export const storeExport = command({
  name: "store export",
  summary: "write all that a store holds, but for what agents say of the moment, as one JSON document",
  positionals: [],
  options: {
    ...STORE_OPTION,
    output: {
      kind: "text",
      placeholder: "FILE",
      default: null,
      short: "o",
      description: "where to; standard output when absent",
    },
  },
  examples: ["midotrace store export --store file:./lab-data/nsdb -o backup.json"],
  async run({ options, io }) {
    const document = await withStore("store export", options.store, io, (store) => exportStore(store, nowMs()));
    const text = `${JSON.stringify(document, null, 1)}\n`;
    if (options.output === null) io.out(text);
    else await writeWhole(options.output, text);
    const count = Object.keys(document.nodes).length;
    io.err(`${count} nodes of store ${document.storeId}${options.output === null ? "" : ` in ${options.output}`}\n`);
    if (document.consistent) return 0;
    io.err("the store was changed all the time: the document may not be of one moment; export again\n");
    return 1;
  },
});

/** The file is the old one or the whole new one. @throws MidotraceError NOT_FOUND when it cannot be written. */
async function writeWhole(file: string, text: string): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, text, { mode: 0o600, flush: true });
    await rename(temporary, file);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new MidotraceError("NOT_FOUND", `cannot write ${file}: ${(cause as Error).message}`, [], { cause });
  }
}
