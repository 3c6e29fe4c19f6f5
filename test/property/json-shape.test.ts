import assert from "node:assert/strict";
import { it } from "node:test";
import { checkJsonShape } from "#core/api-contract";
import * as fc from "fast-check";

const NONE = { depth: 1_000_000, values: 1_000_000 };

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

it("the depth of any JSON value is found without parsing it, whatever its texts hold", () => {
  fc.assert(
    fc.property(
      fc.jsonValue({ maxDepth: 8, stringUnit: "binary-ascii" }),
      fc.constantFrom(undefined, 2),
      (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const depth = depthOf(JSON.parse(text));
        checkJsonShape(text, { ...NONE, depth });
        if (depth > 0) assert.throws(() => checkJsonShape(text, { ...NONE, depth: depth - 1 }), /nests deeper than/);
      },
    ),
    { numRuns: 2_000 },
  );
});

it("no text makes it throw anything but its own refusal", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('"', "\\", "[", "{", ",", "]", "}", "a") }), (text) => {
      checkJsonShape(text, NONE);
    }),
  );
});
