import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { describe, it } from "node:test";
import { withDirectory } from "../support/nsdb-temporary.ts";
import { filesUntil, lossEntry, newSpool, segmentEntry, textNo } from "../support/spool-kit.ts";

/** Small files, so that beginning and removing them is part of it. */
const CHUNK_BYTES = 900;
const SEGMENTS = 16;

interface Said {
  readonly kept: Set<number>;
  readonly done: Set<number>;
  /** Losses that are kept, and what they stand for. */
  readonly replaced: Map<number, readonly number[]>;
  readonly changes: number;
}

/** Reports come, are delivered, are pushed out; it all ends at the `n`th change of the disk, half done or done. */
async function runUntil(directory: string, n: number, part: number): Promise<Said> {
  const files = filesUntil(directory, n, part);
  const spool = newSpool(directory, { files, chunkBytes: CHUNK_BYTES });
  const kept = new Set<number>();
  const done = new Set<number>();
  const replaced = new Map<number, readonly number[]>();
  const { nextSerial } = await spool.open();
  let serial = nextSerial - 1;
  const put = (): number => {
    const mine = ++serial;
    spool.put(segmentEntry(mine), textNo(mine), (spooled) => void (spooled && kept.add(mine)));
    return mine;
  };
  const deliver = (s: number): void => {
    if (!kept.has(s)) return;
    done.add(s);
    spool.done(s);
  };
  for (let i = 0; i < SEGMENTS / 4; i++) {
    const [a, b, c] = [put(), put(), put(), put()];
    await spool.settled();
    deliver(a);
    const loss = ++serial;
    const gone = [b, c];
    spool.put(lossEntry(loss, gone), textNo(loss), (spooled) => void (spooled && replaced.set(loss, gone)));
    await spool.settled();
    // It grows, and goes when it was told.
    const more = [put()];
    await spool.settled();
    spool.put(
      lossEntry(loss, more),
      textNo(loss, 1),
      (spooled) => void (spooled && replaced.set(loss, [...gone, ...more])),
    );
    await spool.settled();
    if (i % 2 === 0 && replaced.has(loss)) {
      done.add(loss);
      spool.done(loss);
      await spool.settled();
    }
  }
  await spool.close();
  return { kept, done, replaced, changes: files.changes() };
}

async function check(directory: string, said: Said): Promise<void> {
  const spool = newSpool(directory);
  const { reports, damaged, nextSerial } = await spool.open();
  const there = new Set(reports.map((r) => r.serial));
  assert.equal(damaged, 0, "a write that was cut off is no damage");
  const standsFor = new Set([...said.replaced.values()].flat());
  for (const serial of said.kept) {
    assert.ok(serial < nextSerial);
    if (!said.done.has(serial) && !standsFor.has(serial)) {
      // Its loss may have reached the disk without a word, and then stands for it.
      const other = reports.some((r) => r.kind === "loss" && r.replaces.includes(serial));
      assert.ok(there.has(serial) || other, `report ${serial} was kept`);
    }
    if (there.has(serial)) assert.equal(await spool.read(serial), textNo(serial));
  }
  for (const [loss, gone] of said.replaced) {
    assert.ok(there.has(loss) || said.done.has(loss), `loss ${loss} was kept`);
    for (const serial of gone) assert.ok(!there.has(serial), `report ${serial} is lost, and does not come back`);
  }
  await spool.close();
}

describe("a spool that is killed at any of its changes of the disk", () => {
  for (const [part, words] of [
    [0, "before it"],
    [0.5, "in the middle of it"],
    [1, "right after it"],
  ] as const)
    it(`has what it said it had: ${words}`, async () => {
      let points = 0;
      for (let n = 1; ; n++) {
        const over = await withDirectory(async (directory) => {
          const said = await runUntil(directory, n, part);
          await check(directory, said);
          return said.changes < n;
        });
        if (over) break;
        points = n;
      }
      assert.ok(points > 20, `${points} changes`);
    });

  it("again and again, on what the runs before have left", () =>
    withDirectory(async (directory) => {
      for (let n = 1; n < 30; n += 2) await check(directory, await runUntil(directory, n, (n % 3) / 2));
      const last = await runUntil(directory, Number.POSITIVE_INFINITY, 0);
      await check(directory, last);
      assert.ok(readdirSync(directory).length < 60, "files that nobody needs go");
    }));
});
