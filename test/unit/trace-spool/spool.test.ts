import assert from "node:assert/strict";
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { withDirectory } from "../../support/nsdb-temporary.ts";
import { filesUntil, found, lossEntry, newSpool, segmentEntry, textNo } from "../../support/spool-kit.ts";

async function filled(directory: string, count: number, chunkBytes = 4_000): Promise<void> {
  const spool = newSpool(directory, { chunkBytes });
  await spool.open();
  for (let n = 1; n <= count; n++) {
    spool.put(segmentEntry(n), textNo(n), () => undefined);
    if (n % 5 === 0) await spool.settled();
  }
  await spool.close();
}

const serials = async (directory: string): Promise<number[]> => (await found(directory)).reports.map((r) => r.serial);
const filesOf = (directory: string): string[] => readdirSync(directory).sort();

describe("a spool", () => {
  it("gives back what nobody was done with, as it was, to the next run", () =>
    withDirectory(async (directory) => {
      const spool = newSpool(directory);
      await spool.open();
      const kept: [number, boolean][] = [];
      for (let n = 1; n <= 4; n++) spool.put(segmentEntry(n), textNo(n), (ok) => void kept.push([n, ok]));
      assert.deepEqual(kept, [], "not within the call");
      spool.put(lossEntry(5, [2], ["one that never was"]), textNo(5), () => undefined);
      await spool.settled();
      assert.deepEqual(kept, [
        [1, true],
        [2, true],
        [3, true],
        [4, true],
      ]);
      spool.done(3);
      await spool.close();
      const { reports, stoodFor, damaged, nextSerial } = await found(directory);
      assert.deepEqual(
        reports.map((r) => [r.serial, r.kind, r.id]),
        [
          [1, "segment", "segment 1"],
          [4, "segment", "segment 4"],
          [5, "loss", "loss 5"],
        ],
      );
      assert.deepEqual([stoodFor, damaged, nextSerial], [["one that never was"], 0, 6]);
      assert.deepEqual(reports[0]?.requestIds, segmentEntry(1).requestIds);
      const again = newSpool(directory);
      await again.open();
      assert.deepEqual([await again.read(1), await again.read(4), await again.read(3)], [textNo(1), textNo(4), null]);
      assert.equal(again.segments, 3);
      await again.close();
    }));

  it("keeps a loss as it was put last", () =>
    withDirectory(async (directory) => {
      const spool = newSpool(directory);
      await spool.open();
      for (let revision = 0; revision < 3; revision++) {
        spool.put(lossEntry(1, []), textNo(1, revision), () => undefined);
        await spool.settled();
      }
      assert.deepEqual([await spool.read(1), spool.segments], [textNo(1, 2), 1]);
      await spool.close();
      assert.deepEqual(await serials(directory), [1]);
    }));

  it("removes files that nobody needs any more, and grows no further than it has to", () =>
    withDirectory(async (directory) => {
      const spool = newSpool(directory, { chunkBytes: 2_000 });
      await spool.open();
      for (let n = 1; n <= 500; n++) {
        spool.put(segmentEntry(n), textNo(n), () => undefined);
        await spool.settled();
        if (n > 10) spool.done(n - 10);
        await spool.settled();
        assert.ok(spool.bytes < 10_000, `${spool.bytes} bytes`);
      }
      assert.ok(filesOf(directory).length <= 4, filesOf(directory).join());
      await spool.close();
    }));

  it("says what cannot be kept, goes on, and keeps again when that is possible", () =>
    withDirectory(async (directory) => {
      const log: string[] = [];
      const real = filesUntil(directory, Number.POSITIVE_INFINITY, 1);
      let full = false;
      const files = {
        ...real,
        create: async (name: string) => {
          const file = await real.create(name);
          const append = (bytes: Buffer): Promise<void> =>
            full ? Promise.reject(new Error("ENOSPC")) : file.append(bytes);
          return { ...file, append };
        },
      };
      const spool = newSpool(directory, { files, log });
      await spool.open();
      const kept: boolean[] = [];
      const put = async (n: number): Promise<void> => {
        spool.put(segmentEntry(n), textNo(n), (ok) => void kept.push(ok));
        await spool.settled();
      };
      await put(1);
      full = true;
      await put(2);
      await put(3);
      full = false;
      await put(4);
      assert.deepEqual([kept, spool.unwritten], [[true, false, false, true], 2]);
      assert.deepEqual(log, [
        "warn the trace spool cannot be used: what waits for a collector would end with this process",
        "info the trace spool is written again",
      ]);
      await spool.close();
      assert.deepEqual(await serials(directory), [1, 4]);
    }));

  it("takes no more than it has room for, and says so", () =>
    withDirectory(async (directory) => {
      const spool = newSpool(directory);
      let kept: boolean | null = null;
      spool.put(segmentEntry(1), "{}", (ok) => (kept = ok));
      await spool.settled();
      await Promise.resolve();
      assert.equal(kept, false, "it is not open");
      await spool.open();
      const answers: boolean[] = [];
      for (let n = 2; n < 22; n++) spool.put(segmentEntry(n), "x".repeat(1_000_000), (ok) => void answers.push(ok));
      await spool.settled();
      assert.equal(answers.length, 20);
      assert.equal(answers.filter((ok) => !ok).length, 4, "16 MiB wait for the disk at most");
      await spool.close();
    }));
});

describe("a spool whose files are not as they were", () => {
  it("loses the line that was cut off, and nothing else", () =>
    withDirectory(async (directory) => {
      await filled(directory, 10);
      const last = join(directory, filesOf(directory).at(-1) ?? "");
      appendFileSync(last, '0123abcd ["s",11,"segm');
      const { reports, damaged } = await found(directory);
      assert.deepEqual([reports.length, damaged], [10, 0]);
    }));

  it("counts the reports of damaged lines, exactly", () =>
    withDirectory(async (directory) => {
      await filled(directory, 20);
      const name = join(directory, filesOf(directory)[0] ?? "");
      const lines = readFileSync(name, "utf8").split("\n");
      for (const at of [3, 5]) lines[at] = (lines[at] ?? "").replace("segment", "segmint");
      writeFileSync(name, lines.join("\n"));
      const { reports, damaged } = await found(directory);
      assert.deepEqual([reports.length, damaged], [18, 2]);
    }));

  it("sets a file aside that a later version has written, and begins anew beside it", () =>
    withDirectory(async (directory) => {
      await filled(directory, 3);
      const [name = ""] = filesOf(directory);
      const path = join(directory, name);
      const text = readFileSync(path, "utf8");
      // CRC-32 of ["v",2].
      const { crc32 } = await import("node:zlib");
      const head = '["v",2]';
      writeFileSync(
        path,
        `${crc32(head).toString(16).padStart(8, "0")} ${head}\n${text.slice(text.indexOf("\n") + 1)}`,
      );
      const log: string[] = [];
      const spool = newSpool(directory, { log });
      assert.deepEqual((await spool.open()).reports, []);
      assert.match(log.join(), /set aside/);
      await spool.close();
      assert.ok(filesOf(directory).includes(`${name}.unreadable`));
    }));
});
