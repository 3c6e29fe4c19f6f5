import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { FileTraceJournal } from "#adapters/trace-journal-file";
import { type RuleId, SeededRandom } from "#core/base";
import { withDirectory } from "../support/nsdb-temporary.ts";

const RULE = "00000000-0000-4000-8000-000000000001" as RuleId;
const CHILD = join(import.meta.dirname, "../support/journal-crash-child.ts");

/** Runs the child until it has said `lines` lines, kills it, and gives what it said in all. */
async function killedAfter(directory: string, lines: number): Promise<string[]> {
  const child: ChildProcess = spawn(process.execPath, ["--conditions=source", CHILD, directory], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close");
  let said = "";
  let problems = "";
  child.stderr?.on("data", (chunk: Buffer) => (problems += chunk.toString()));
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    said += chunk.toString();
    if (!child.killed && said.split("\n").length > lines) child.kill("SIGKILL");
  }
  const [code, signal] = (await ended) as [number | null, string | null];
  assert.deepEqual([code, signal, problems], [null, "SIGKILL", ""], "it ran until it was killed");
  return said.split("\n").slice(0, said.endsWith("\n") ? -1 : undefined);
}

describe("an agent's journal and SIGKILL", () => {
  it("has every flow that was noted, again and again", () =>
    withDirectory(async (directory) => {
      const random = new SeededRandom(11);
      let noted = 0;
      for (let round = 0; round < 6; round++) {
        const said = await killedAfter(directory, 2 + Math.floor(random.next() * 400));
        assert.equal(said[0], `ready ${noted}`, "the run before was read");
        const last = Number(said.at(-1)?.replace("ready ", ""));
        const journal = new FileTraceJournal({ directory, log: () => undefined });
        const { counts, flows } = journal.open();
        journal.close();
        const count = counts.get(RULE) ?? 0;
        // Killed between the write and the word, the journal has one more than was said.
        assert.ok(count === last || count === last + 1, `said ${last}, journal ${count}`);
        const expected = new Set(flows.map((f) => f.key));
        for (let n = 1; n <= last; n++)
          if (n % 3 !== 1 || n + 2 > last) assert.ok(expected.has(`flow ${n}`), `flow ${n} of ${count}`);
        noted = count;
      }
      assert.ok(noted > 6, "the runs did get somewhere");
    }));
});

const MOUNT_NEEDED = "needs root, to mount a file system that is full: run as root (sudo npm test)";

describe("an agent's journal on a full file system", () => {
  it("goes on without it, and has everything when there is room again", async (t) => {
    await withDirectory(async (directory) => {
      const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "midotrace-test", directory]);
      if (mounted.status !== 0) {
        assert.notEqual(process.env["MIDOTRACE_REQUIRE_ALL"], "1", MOUNT_NEEDED);
        t.skip(MOUNT_NEEDED);
        return;
      }
      try {
        const log: string[] = [];
        const place = join(directory, "state");
        mkdirSync(place);
        const journal = new FileTraceJournal({ directory: place, log: (_, message) => void log.push(message) });
        journal.open();
        journal.counted(RULE, 1, "flow 1", 1);
        const ballast = join(directory, "ballast");
        // All the room there is, to the last page.
        const { bavail, bsize } = statfsSync(directory);
        writeFileSync(ballast, Buffer.alloc(bavail * bsize));
        let n = 1;
        while (journal.unwritten === 0 && n < 10_000) journal.counted(RULE, ++n, `flow ${n}`, n);
        assert.equal(journal.unwritten, 1, "the disk was full at last");
        journal.counted(RULE, ++n, `flow ${n}`, n);
        journal.tend();
        assert.equal(journal.unwritten, 2);
        assert.deepEqual(log, [
          "the trace journal cannot be written: a restart now would forget flows that were counted",
        ]);
        const killed = new FileTraceJournal({ directory: place, log: () => undefined });
        assert.equal(killed.open().counts.get(RULE), n - 2, "what the disk took can be read");
        rmSync(ballast);
        journal.tend();
        assert.equal(journal.unwritten, 0);
        assert.equal(new FileTraceJournal({ directory: place, log: () => undefined }).open().counts.get(RULE), n);
        journal.close();
      } finally {
        spawnSync("umount", ["-l", directory]);
      }
    });
  });
});
