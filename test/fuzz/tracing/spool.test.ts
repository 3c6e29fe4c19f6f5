import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { SeededRandom } from "#core/base";
import { withDirectory } from "../../support/nsdb-temporary.ts";
import { lossEntry, newSpool, segmentEntry, textNo } from "../../support/spool-kit.ts";

const iterations = Math.ceil(Number(process.env["MIDOTRACE_FUZZ_ITERATIONS"] ?? 20_000) / 200);
const seed = Number(process.env["MIDOTRACE_FUZZ_SEED"] ?? 20_161_123);

it(`whatever bytes the files have, a spool opens, and gives only reports that were put (seed ${seed})`, (t) =>
  withDirectory(async (directory) => {
    t.diagnostic(`seed ${seed}, ${iterations} iterations`);
    const random = new SeededRandom(seed);
    const below = (n: number): number => Math.floor(random.next() * n);
    const whole = join(directory, "whole");
    const spool = newSpool(whole, { chunkBytes: 1_500 });
    await spool.open();
    for (let n = 1; n <= 30; n++) {
      if (n % 7 === 0) spool.put(lossEntry(n, [n - 2], [`never ${n}`]), textNo(n), () => undefined);
      else spool.put(segmentEntry(n), textNo(n), () => undefined);
      await spool.settled();
      if (n % 5 === 0) spool.done(n - 1);
    }
    await spool.close();
    const files = readdirSync(whole).map((name) => [name, readFileSync(join(whole, name))] as const);
    for (let i = 0; i < iterations; i++) {
      const place = join(directory, `run ${i}`);
      mkdirSync(place);
      for (const [name, bytes] of files) {
        let mine = Buffer.from(bytes);
        for (let n = below(4); n > 0; n--) mine[below(mine.length)] = below(256);
        if (below(4) === 0) mine = mine.subarray(0, below(mine.length));
        if (below(8) === 0)
          mine = Buffer.concat([mine, Buffer.from(Array.from({ length: below(99) }, () => below(256)))]);
        writeFileSync(join(place, name), mine);
      }
      const damaged = newSpool(place);
      const contents = await damaged.open();
      assert.ok(contents.damaged >= 0 && contents.damaged <= 30);
      for (const { serial, id, kind } of contents.reports) {
        assert.equal(id, `${kind} ${serial}`);
        assert.equal(await damaged.read(serial), textNo(serial));
      }
      damaged.put(segmentEntry(contents.nextSerial), textNo(contents.nextSerial), (ok) => assert.ok(ok));
      await damaged.close();
    }
  }));
