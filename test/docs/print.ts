/** Prints the reference pages that the code can print itself: node --conditions=source test/docs/print.ts */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { examplesPage, replayExamples } from "../support/example-session.ts";
import { recordings, withRecordings } from "../support/recorded-session.ts";
import { advicePages } from "./advice-tables.ts";
import { pagePath, PRINTED_PAGES, ROOT } from "./pages.ts";

writeFileSync(pagePath("rest-examples.md"), examplesPage(await replayExamples()));
for (const [name, print] of Object.entries(PRINTED_PAGES)) writeFileSync(pagePath(name), print());
for (const [path, text] of advicePages()) writeFileSync(path, text);

const guide = join(ROOT, "docs/guide/reading-a-trace.md");
writeFileSync(guide, withRecordings(readFileSync(guide, "utf8"), await recordings()));
