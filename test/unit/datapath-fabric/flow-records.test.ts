import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { MidotraceError, SeededRandom } from "#core/base";
import { FlowRecords, FlowTable, NONE, OWN_WORD } from "#core/datapath";
import { F, FlowMatch } from "#core/flows";

/** Cookies that share their lowest bits, or all but their highest. */
const COOKIES = [0, 1, 64, 65, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 45 + 64, 2 ** 53 - 1];

describe("records of flows", () => {
  it("any order of adding and removing: each cookie is found with its own words, oldest first", () => {
    const command = fc.tuple(fc.constantFrom(...COOKIES), fc.nat(0x7fff_ffff));
    fc.assert(
      fc.property(fc.array(command, { maxLength: 80 }), (commands) => {
        const records = new FlowRecords(2);
        const model = new Map<number, number>();
        for (const [cookie, word] of commands) {
          const n = records.find(cookie);
          assert.equal(n !== NONE, model.has(cookie));
          if (n !== NONE) {
            assert.equal(records.words[n * records.stride + OWN_WORD + 1], model.get(cookie));
            records.remove(n);
            model.delete(cookie);
            continue;
          }
          const added = records.add(cookie);
          assert.throws(() => records.add(cookie), MidotraceError);
          records.words[added * records.stride + OWN_WORD + 1] = word;
          model.set(cookie, word);
        }
        const cookies = Array.from(records, (one) => records.cookieOf(one));
        assert.deepEqual(cookies, [...model.keys()]);
        assert.equal(records.size, model.size);
      }),
      { numRuns: 500 },
    );
  });

  it("keep their numbers and words while there come to be more of them, and numbers are given again", () => {
    const records = new FlowRecords(1);
    const numbers = Array.from({ length: 5_000 }, (_, cookie) => records.add(cookie * 3));
    numbers.forEach((n, i) => (records.words[n * records.stride + OWN_WORD] = i));
    numbers.forEach((n, i) => {
      assert.equal(records.find(i * 3), n);
      assert.equal(records.words[n * records.stride + OWN_WORD], i);
    });
    for (const n of numbers) records.remove(n);
    assert.equal(records.size, 0);
    assert.deepEqual([...records], []);
    const again = Array.from({ length: 5_000 }, (_, cookie) => records.add(cookie));
    assert.equal(Math.max(...again), Math.max(...numbers));
  });
});

it("a table of thousands of entries that come and go in any order finds exactly those that are there", () => {
  const random = new SeededRandom(11);
  const mask = { fields: F.TpSrc | F.NwSrc, nwSrcBits: 24, nwDstBits: 0 };
  const table = new FlowTable();
  const there = new Map<number, number>();
  /** Few of them, so that most commands meet one that is there; of some the hashes have one and the same place. */
  const matchOf = (key: number): FlowMatch =>
    Object.assign(new FlowMatch(), { nwSrc: (key >>> 4) << 8, tpSrc: key & 15, tpDst: key });
  let cookie = 0;
  for (let i = 0; i < 60_000; i++) {
    const key = Math.floor(random.next() * 4_096);
    const match = matchOf(key);
    const n = table.lookup(match);
    const known = there.get(key);
    assert.equal(n === NONE ? undefined : table.cookieOf(n), known);
    if (known === undefined) {
      assert.notEqual(table.add(++cookie, { mask }, match), NONE);
      there.set(key, cookie);
    } else if (i % 3 === 0) assert.equal(table.add(cookie + 1_000_000, { mask }, match), NONE);
    else {
      table.remove(n);
      there.delete(key);
    }
  }
  assert.equal(table.size, there.size);
  for (const [key, known] of there) assert.equal(table.cookieOf(table.lookup(matchOf(key))), known);
});
