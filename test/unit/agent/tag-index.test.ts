import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as holds, constantFrom, nat, oneof, property, record } from "fast-check";
import { FlowRecords } from "#core/datapath";
import { PLACE_WORDS, TagIndex, type TagSet } from "../../../src/apps/agent/tag-index.ts";

const TAGS = ["a", "b", "c", "d"] as const;

/** An index, and the flows in it by their numbers. */
class Flows {
  readonly records = new FlowRecords(PLACE_WORDS);
  readonly index = new TagIndex(this.records);
  readonly setOf = new Map<number, TagSet>();
  private cookie = 0;

  add(tags: readonly string[]): number {
    const set = this.index.setOf(tags);
    const n = this.records.add(++this.cookie);
    this.index.add(n, set);
    this.setOf.set(n, set);
    return n;
  }

  remove(n: number): void {
    this.index.remove(n, this.setOf.get(n) as TagSet);
    this.setOf.delete(n);
    this.records.remove(n);
  }
}

test("any order of adding and removing: each tag has exactly the flows that carry it", () => {
  const command = oneof(record({ add: array(constantFrom(...TAGS), { maxLength: 5 }) }), record({ remove: nat(30) }));
  holds(
    property(array(command, { maxLength: 60 }), (commands) => {
      const flows = new Flows();
      const model = new Map<number, readonly string[]>();
      for (const c of commands) {
        if ("add" in c) model.set(flows.add(c.add), c.add);
        else {
          const n = [...model.keys()][c.remove % Math.max(1, model.size)];
          if (n === undefined) continue;
          flows.remove(n);
          model.delete(n);
        }
        for (const tag of TAGS) {
          const want = [...model].filter(([, tags]) => tags.includes(tag)).map(([n]) => n);
          const ascending = (a: number, b: number): number => a - b;
          assert.deepEqual(flows.index.with(tag).toSorted(ascending), want.toSorted(ascending));
          assert.equal(flows.index.has(tag), want.length > 0);
        }
      }
    }),
    { numRuns: 300, seed: 7 },
  );
});

test("when everything is removed nothing of it is kept", () => {
  const flows = new Flows();
  const all = Array.from({ length: 100 }, (_, n) => flows.add(["a", `b${n % 10}`, `c${n}`]));
  const sets = [...flows.setOf.values()];
  for (const n of all) flows.remove(n);
  const inside = flows.index as unknown as { root: { longer: Map<string, unknown> }; byTag: Map<string, unknown> };
  assert.equal(inside.root.longer.size, 0);
  assert.equal(inside.byTag.size, 0);
  assert.ok(sets.every((set) => !set.kept));
});
