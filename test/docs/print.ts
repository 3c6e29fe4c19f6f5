/** Prints the reference pages that the code can print itself: node --conditions=source test/docs/print.ts */
import { writeFileSync } from "node:fs";
import { examplesPage, replayExamples } from "../support/example-session.ts";
import { advicePages } from "./advice-tables.ts";
import { pagePath, PRINTED_PAGES } from "./pages.ts";

writeFileSync(pagePath("rest-examples.md"), examplesPage(await replayExamples()));
for (const [name, print] of Object.entries(PRINTED_PAGES)) writeFileSync(pagePath(name), print());
for (const [path, text] of advicePages()) writeFileSync(path, text);
