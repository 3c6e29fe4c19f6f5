import assert from "node:assert/strict";
import { appendFileSync, existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { FileTraceJournal, type FileTraceJournalOptions } from "#adapters/trace-journal-file";
import type { RuleId } from "#core/base";
import type { JournalContents } from "#core/tracing";
import { withDirectory } from "../../support/nsdb-temporary.ts";

const RULE_A = "00000000-0000-4000-8000-00000000000a" as RuleId;
const RULE_B = "00000000-0000-4000-8000-00000000000b" as RuleId;

interface Rig {
  readonly directory: string;
  readonly path: string;
  readonly log: string[];
  readonly open: (options?: Partial<FileTraceJournalOptions>) => {
    journal: FileTraceJournal;
    contents: JournalContents;
  };
  readonly lines: () => string[];
}

/** `test` with a new directory; `open` is what a process that starts does. */
function rig(test: (r: Rig) => void): () => Promise<void> {
  return () =>
    withDirectory(async (directory) => {
      const log: string[] = [];
      const path = join(directory, "trace-journal");
      test({
        directory,
        path,
        log,
        open: (options = {}) => {
          const journal = new FileTraceJournal({
            directory,
            log: (level, message) => void log.push(`${level} ${message}`),
            ...options,
          });
          return { journal, contents: journal.open() };
        },
        lines: () => readFileSync(path, "utf8").trimEnd().split("\n"),
      });
    });
}

const countsOf = (c: JournalContents): Record<string, number> => Object.fromEntries(c.counts);

describe("the journal file", () => {
  it(
    "is empty at first, and has afterwards what was noted: without close, as after SIGKILL",
    rig(({ open, log }) => {
      const { journal, contents } = open();
      assert.deepEqual([contents.counts.size, contents.flows.length], [0, 0]);
      journal.counted(RULE_A, 1, "one", 1000);
      journal.counted(RULE_A, 2, "two", 1001);
      journal.counted(RULE_B, 1, "one", 1002);
      journal.held(RULE_A, "one");
      journal.held(RULE_B, "one");
      journal.seen(RULE_B, "one", 2000);
      journal.ended(RULE_A, "two");
      const again = open().contents;
      assert.deepEqual(countsOf(again), { [RULE_A]: 2, [RULE_B]: 1 });
      assert.deepEqual(again.flows, [
        { rule: RULE_A, key: "one", lastSeenMs: 1000, held: true },
        { rule: RULE_B, key: "one", lastSeenMs: 2000, held: false },
      ]);
      assert.equal(journal.unwritten, 0);
      assert.deepEqual(log, []);
    }),
  );

  it(
    "forgets an enabling with its flows",
    rig(({ open, lines }) => {
      const { journal } = open();
      journal.counted(RULE_A, 1, "one", 1);
      journal.counted(RULE_B, 1, "one", 1);
      journal.forgotten(RULE_A);
      const { contents } = open();
      assert.deepEqual(countsOf(contents), { [RULE_B]: 1 });
      assert.deepEqual(
        contents.flows.map((f) => f.rule),
        [RULE_B],
      );
      assert.equal(lines().length, 3, "compacted: version, count, flow");
    }),
  );

  it(
    "ignores a last line that was cut off anywhere, and goes on behind it",
    rig(({ open, path, log }) => {
      const { journal } = open();
      journal.counted(RULE_A, 1, "one", 1);
      const whole = statSync(path).size;
      journal.counted(RULE_A, 2, "two with ünïcode", 2);
      const bytes = readFileSync(path);
      for (let cut = whole; cut < bytes.length; cut++) {
        writeFileSync(path, bytes.subarray(0, cut));
        const next = open();
        assert.deepEqual(countsOf(next.contents), { [RULE_A]: 1 });
        next.journal.counted(RULE_A, 2, "three", 3);
        assert.deepEqual(
          open().contents.flows.map((f) => f.key),
          ["one", "three"],
        );
      }
      assert.ok(log.every((line) => line === "info the last write to the trace journal was cut off"));
      assert.equal(log.length, bytes.length - whole - 1);
    }),
  );

  it(
    "says that lines are damaged, and keeps what the others say",
    rig(({ open, path, log, lines }) => {
      const { journal } = open();
      for (let n = 1; n <= 3; n++) journal.counted(RULE_A, n, `flow ${n}`, n);
      const damaged = lines().map((line) => line.replace('"flow 2"', '"flow X"'));
      writeFileSync(path, `${damaged.join("\n")}\n\nnonsense\n`);
      const { contents } = open();
      assert.deepEqual(countsOf(contents), { [RULE_A]: 3 });
      assert.deepEqual(
        contents.flows.map((f) => f.key),
        ["flow 1", "flow 3"],
      );
      assert.deepEqual(log, ["warn the trace journal has damaged lines; what they said is lost"]);
    }),
  );

  it(
    "puts aside what a later version wrote, and begins anew",
    rig(({ open, path, log, directory }) => {
      open().journal.close();
      const line = '["version",2]';
      // CRC-32 of the line, by another implementation (python3 -c 'import zlib; …').
      writeFileSync(path, `caa67d0f ${line}\n`);
      const { contents, journal } = open();
      assert.equal(contents.counts.size, 0);
      assert.match(log.join(), /cannot be read: the limits of enabled traces begin anew/);
      assert.ok(existsSync(join(directory, "trace-journal.unreadable")));
      journal.counted(RULE_A, 1, "one", 1);
      assert.deepEqual(countsOf(open().contents), { [RULE_A]: 1 });
    }),
  );

  it(
    "is written anew when it has grown, and then is as long as what it says",
    rig(({ open, path }) => {
      const { journal } = open({ compactBytes: 4096 });
      let longest = 0;
      for (let n = 1; n <= 1000; n++) {
        journal.counted(RULE_A, n, `flow ${n}`, n);
        if (n > 3) journal.ended(RULE_A, `flow ${n - 3}`);
        journal.tend();
        longest = Math.max(longest, statSync(path).size);
      }
      assert.ok(longest < 4096 + 400, `it grew to ${longest} bytes`);
      const { contents } = open();
      assert.deepEqual(countsOf(contents), { [RULE_A]: 1000 });
      assert.deepEqual(
        contents.flows.map((f) => f.key),
        ["flow 998", "flow 999", "flow 1000"],
      );
    }),
  );

  it(
    "keeps so many living flows and no more, the youngest; counts are exact all the same",
    rig(({ open }) => {
      const { journal } = open({ maxFlows: 10 });
      for (let n = 1; n <= 25; n++) journal.counted(RULE_A, n, `flow ${n}`, n);
      assert.equal(journal.crowdedOut, 15);
      const { contents } = open({ maxFlows: 10 });
      assert.deepEqual(countsOf(contents), { [RULE_A]: 25 });
      assert.deepEqual(
        contents.flows.map((f) => f.key),
        Array.from({ length: 10 }, (_, i) => `flow ${i + 16}`),
      );
    }),
  );

  it(
    "takes what a closed journal had, and nothing more from a closed one",
    rig(({ open }) => {
      const { journal } = open();
      journal.counted(RULE_A, 1, "one", 1);
      journal.close();
      journal.close();
      journal.counted(RULE_A, 2, "two", 2);
      journal.tend();
      assert.deepEqual(countsOf(open().contents), { [RULE_A]: 1 });
      assert.deepEqual(countsOf(journal.open()), { [RULE_A]: 1 }, "it can be opened again");
    }),
  );
});

/** Every write to this device fails with ENOSPC. */
const FULL = "/dev/full";
const NEEDS_FULL = { skip: existsSync(FULL) ? false : `needs ${FULL}` };
const FAILED = "warn the trace journal cannot be written: a restart now would forget flows that were counted";

describe("a journal that cannot be written", () => {
  it(
    "goes on, says so once, counts what is missing, and writes all of it when the disk takes it",
    NEEDS_FULL,
    rig(({ open, log, path }) => {
      for (const name of [path, `${path}.next`]) symlinkSync(FULL, name);
      const { journal, contents } = open();
      assert.equal(contents.counts.size, 0);
      for (let n = 1; n <= 5; n++) {
        journal.counted(RULE_A, n, `flow ${n}`, n);
        journal.tend();
        assert.equal(journal.unwritten, n);
      }
      assert.deepEqual(log, [FAILED]);
      for (const name of [path, `${path}.next`]) rmSync(name);
      journal.tend();
      assert.equal(journal.unwritten, 0);
      assert.deepEqual(log, [FAILED, "info the trace journal is written again"]);
      journal.counted(RULE_A, 6, "flow 6", 6);
      const again = open().contents;
      assert.deepEqual(countsOf(again), { [RULE_A]: 6 });
      assert.equal(again.flows.length, 6);
    }),
  );

  it(
    "with room for a line but not for all of it anew, appends, also behind a line that was cut off",
    NEEDS_FULL,
    rig(({ open, log, path }) => {
      open().journal.counted(RULE_A, 1, "one", 1);
      appendFileSync(path, "0badc0de [");
      symlinkSync(FULL, `${path}.next`);
      const { journal, contents } = open();
      assert.deepEqual(countsOf(contents), { [RULE_A]: 1 });
      journal.counted(RULE_A, 2, "two", 2);
      assert.equal(journal.unwritten, 0);
      assert.deepEqual(log, ["info the last write to the trace journal was cut off", FAILED]);
      assert.deepEqual(countsOf(open().contents), { [RULE_A]: 2 });
    }),
  );

  it(
    "has no directory to be in",
    rig(({ directory, log }) => {
      writeFileSync(join(directory, "file"), "");
      const journal = new FileTraceJournal({
        directory: join(directory, "file", "below"),
        log: (level, message) => void log.push(`${level} ${message}`),
      });
      assert.equal(journal.open().counts.size, 0);
      journal.counted(RULE_A, 1, "one", 1);
      assert.equal(journal.unwritten, 1);
      assert.ok(log.includes(FAILED), log.join());
    }),
  );
});
