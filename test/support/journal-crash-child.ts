/**
 * A process to be killed: `DIR` is the journal's directory. Notes one flow after the other for ever and says on its output
 * which number was noted; the file is written anew all the time, so that kills hit that too.
 */
import { writeSync } from "node:fs";
import { FileTraceJournal } from "#adapters/trace-journal-file";
import type { RuleId } from "#core/base";

const [directory = ""] = process.argv.slice(2);
const rule = "00000000-0000-4000-8000-000000000001" as RuleId;
const journal = new FileTraceJournal({
  directory,
  compactBytes: 2_000,
  log: (_, message) => void writeSync(2, `${message}\n`),
});
const before = journal.open().counts.get(rule) ?? 0;
writeSync(1, `ready ${before}\n`);
setInterval(() => undefined, 1_000_000);

for (let n = before + 1; ; n++) {
  journal.counted(rule, n, `flow ${n}`, n);
  writeSync(1, `${n}\n`);
  if (n % 3 === 0) journal.ended(rule, `flow ${n - 2}`);
  if (n % 5 === 0) journal.tend();
  // The background sync gets its turn.
  if (n % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
}
