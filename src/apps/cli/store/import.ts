import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { command, type Io, usage } from "#apps/cli/options";
import { MidotraceError } from "#core/base";
import {
  type ImportReport,
  importStore,
  inspectStore,
  inspectTree,
  parseStoreDocument,
  type StoreDocument,
  type StoreReport,
  treeOf,
} from "#core/nsdb";
import { JSON_OPTION, reportText } from "./check.ts";
import { nowMs, STORE_OPTION, withStore } from "./main.ts";

export const storeImport = command({
  name: "store import",
  summary: "make an empty store hold what a document of store export says; agents and servers keep away meanwhile",
  positionals: [],
  options: {
    ...STORE_OPTION,
    input: { kind: "text", placeholder: "FILE", default: null, short: "i", description: "the document" },
    force: {
      kind: "flag",
      default: false,
      description: "replace all that the store holds, also by a document with problems",
    },
    ...JSON_OPTION,
  },
  examples: [
    "midotrace store import --store zookeeper://127.0.0.1:2181/midonet/v1 -i backup.json",
    "midotrace store import --store file:./lab-data/nsdb -i backup.json --force",
  ],
  async run({ options, io }) {
    if (options.input === null) throw usage("store import needs -i FILE");
    const document = await readDocument(options.input);
    if (!options.force) await requireSound(document, options.input);
    const [done, report] = await withStore("store import", options.store, io, async (store) => {
      const documentId = createHash("sha256").update(JSON.stringify(document.nodes)).digest("hex");
      const report = await importStore(store, document, { documentId, nowMs: nowMs(), force: options.force });
      return [report, await inspectStore(store)] as const;
    });
    if (options.json) io.out(`${JSON.stringify({ ...done, storeId: document.storeId, check: report }, null, 2)}\n`);
    else tell(io, document, done, report);
    return report.findings.length === 0 ? 0 : 1;
  },
});

/** @throws MidotraceError NOT_FOUND when it cannot be read; MALFORMED_JSON; VALIDATION naming everything that is wrong. */
async function readDocument(file: string): Promise<StoreDocument> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new MidotraceError("NOT_FOUND", `cannot read ${file}: ${(cause as Error).message}`, [], { cause });
  }
  try {
    return parseStoreDocument(JSON.parse(text));
  } catch (cause) {
    if (cause instanceof MidotraceError) throw cause;
    throw new MidotraceError("MALFORMED_JSON", `${file} is not JSON: ${(cause as Error).message}`, [], { cause });
  }
}

/** @throws MidotraceError VALIDATION */
async function requireSound(document: StoreDocument, file: string): Promise<void> {
  const { findings } = await inspectTree(treeOf(document));
  if (findings.length === 0) return;
  const list = findings.map((finding) => `\n  ${finding}`).join("");
  throw new MidotraceError("VALIDATION", `${file} has problems; --force imports it as it is:${list}`);
}

function tell(io: Io, document: StoreDocument, done: ImportReport, report: StoreReport): void {
  const { created, changed, deleted, transactions, resumed, storeIdBefore } = done;
  const begun = resumed ? "completed what an earlier import had begun: " : "";
  io.out(`${begun}${created} nodes created, ${changed} changed, ${deleted} deleted, in ${transactions} transactions\n`);
  io.out(`the store is now ${document.storeId}\n`);
  if (storeIdBefore !== null && storeIdBefore !== document.storeId)
    io.out(`it was ${storeIdBefore}: agents and servers that ran on that must be started anew\n`);
  io.out(reportText(report));
}
