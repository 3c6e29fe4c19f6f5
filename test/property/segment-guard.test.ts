import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { isSegment, segmentSchema } from "../../src/core/api-contract/dto-segments.ts";
import { egressSegment, H1, H2, ingressSegment } from "../support/tracing-example.ts";
import { EVERY_STEP } from "../support/tracing-steps.ts";

/* The guard takes a segment as it is: it may only do so where the schema would give back the same. */

const everyStep = Object.values(EVERY_STEP).map(([body], i) => ({ ...body, seq: i + 1, atMs: 1.5 }));
const packet = { originalLength: 98, bytes: "AAEC" };
/** As the schema writes them: with everything filled in that may be absent, and nothing besides. */
const SEGMENTS: readonly unknown[] = [
  ingressSegment({ hostId: H1, steps: everyStep }),
  egressSegment(H2, "h2", 1, { packet }),
].map((s) => segmentSchema.parse(JSON.parse(JSON.stringify(s))));

type Path = readonly (string | number)[];

function paths(value: unknown, at: Path = []): Path[] {
  if (typeof value !== "object" || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([k, v]) => paths(v, [...at, Array.isArray(value) ? Number(k) : k]))];
}

/** What JSON can say in the place of something else, values at the edges of the limits among it. */
const oddity = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(null, true, "", "x".repeat(512), "x".repeat(513), "x".repeat(8_193), "AAE", [], {}),
  fc.constantFrom<unknown>(-1, 0, 1, 0.5, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, 2 ** 53, Infinity, -Infinity),
  fc.constantFrom("drop", "rule", "first", "ingress", "verdict", "full", "delivered", "toString", "__proto__"),
);

type Edit = "replace" | "remove" | "add" | "repeat";

function edited(value: unknown, path: Path, edit: Edit, odd: unknown, name: string): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return edit === "replace" ? odd : value;
  const copy = Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) };
  const members = copy as Record<string | number, unknown>;
  if (rest.length > 0) members[first] = edited(members[first], rest, edit, odd, name);
  else if (edit === "replace") members[first] = odd;
  else if (edit === "remove") Reflect.deleteProperty(members, first);
  else if (edit === "repeat" && Array.isArray(members[first]))
    members[first] = Array.from({ length: 4 }, () => members[first]).flat();
  else if (Array.isArray(copy)) copy.push(odd);
  // As JSON.parse makes it, `__proto__` included.
  else Object.defineProperty(members, name, { value: odd, enumerable: true, configurable: true, writable: true });
  return Array.isArray(copy) ? copy.filter(() => true) : copy;
}

it("every segment that is as the schema writes it is taken as it is", () => {
  for (const segment of SEGMENTS) assert.ok(isSegment(segment), JSON.stringify(segment).slice(0, 200));
});

it("what is taken as it is, the schema gives back unchanged", () => {
  const met = { taken: 0, refused: 0 };
  const change = fc.record({
    at: fc.nat(),
    edit: fc.constantFrom<Edit>("replace", "remove", "add", "repeat"),
    odd: oddity,
    name: fc.constantFrom("more", "__proto__", "constructor", "kind", "seq", "vlan", "nwTtl", "detail"),
  });
  fc.assert(
    fc.property(fc.constantFrom(...SEGMENTS), fc.array(change, { minLength: 1, maxLength: 2 }), (segment, changes) => {
      let value = segment;
      for (const { at, edit, odd, name } of changes) {
        const all = paths(value);
        value = edited(value, all[at % all.length] ?? [], edit, odd, name);
      }
      if (!isSegment(value)) {
        met.refused++;
        return;
      }
      met.taken++;
      const parsed = segmentSchema.safeParse(value);
      assert.ok(parsed.success, parsed.success ? "" : JSON.stringify(parsed.error.issues));
      assert.deepEqual(parsed.data, value);
    }),
    { numRuns: 5_000 },
  );
  assert.ok(Math.min(met.taken, met.refused) > 100, JSON.stringify(met));
});
