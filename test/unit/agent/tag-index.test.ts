import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as holds, constantFrom, nat, oneof, property, record } from "fast-check";
import { type Tagged, TagIndex } from "../../../src/apps/agent/tag-index.ts";

interface Item extends Tagged {
  readonly name: number;
}

const item = (name: number): Item => ({ name, tagSet: null, place: 0 });
const TAGS = ["a", "b", "c", "d"] as const;

test("any order of adding and removing: each tag has exactly the items that carry it", () => {
  const command = oneof(record({ add: array(constantFrom(...TAGS), { maxLength: 5 }) }), record({ remove: nat(30) }));
  holds(
    property(array(command, { maxLength: 60 }), (commands) => {
      const index = new TagIndex<Item>();
      const model = new Map<Item, readonly string[]>();
      commands.forEach((c, n) => {
        if ("add" in c) {
          const it = item(n);
          index.add(it, index.setOf(c.add));
          model.set(it, c.add);
        } else {
          const it = [...model.keys()][c.remove % Math.max(1, model.size)];
          if (it === undefined) return;
          index.remove(it);
          index.remove(it);
          model.delete(it);
        }
        for (const tag of TAGS) {
          const want = [...model].filter(([, tags]) => tags.includes(tag)).map(([i]) => i.name);
          assert.deepEqual(
            index
              .with(tag)
              .map((i) => i.name)
              .toSorted((x, y) => x - y),
            want.toSorted((x, y) => x - y),
          );
          assert.equal(index.has(tag), want.length > 0);
        }
      });
    }),
    { numRuns: 300, seed: 7 },
  );
});

test("when everything is removed nothing of it is kept", () => {
  const index = new TagIndex<Item>();
  const items = Array.from({ length: 100 }, (_, n) => item(n));
  for (const it of items) index.add(it, index.setOf(["a", `b${it.name % 10}`, `c${it.name}`]));
  for (const it of items) index.remove(it);
  const inside = index as unknown as { root: { longer: Map<string, unknown> }; byTag: Map<string, unknown> };
  assert.equal(inside.root.longer.size, 0);
  assert.equal(inside.byTag.size, 0);
});
