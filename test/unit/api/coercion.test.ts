import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { acceptsBody, negotiate, parseExactJson, parseLastEventId, read, stringifyExactJson } from "#core/api-contract";

describe("request values", () => {
  const messages = (
    schema: { safeParse(v: unknown): { error?: { issues: { message: string }[] } | undefined } },
    v: unknown,
  ) => (schema.safeParse(v).error?.issues ?? []).map((i) => i.message);

  it("take decimal texts for integers, null for the default", () => {
    const int = read.int(1);
    for (const [value, expected] of [
      [5, 5],
      ["5", 5],
      ["+5", 5],
      [" -7 ", -7],
      ["007", 7],
      [null, 1],
      [undefined, 1],
    ] as const)
      assert.equal(int.parse(value), expected);
    for (const wrong of ["", "x", "0x10", "1e3", "1.5", 1.5, true, {}, [], "9007199254740993", 2n ** 60n])
      assert.equal(messages(int, wrong).length, 1, typeof wrong);
  });

  it("keep 64 bits", () => {
    const int64 = read.int64(undefined);
    for (const value of [2n ** 63n - 1n, "9223372036854775807"]) assert.equal(int64.parse(value), 2n ** 63n - 1n);
    assert.equal(int64.parse(5), 5n);
    assert.equal(int64.parse(null), undefined);
    assert.deepEqual(messages(int64, 1.5), ["must be a 64-bit integer, not 1.5"]);
  });

  it("say what was expected", () => {
    assert.deepEqual(messages(read.bool(false), "yes"), ['must be true or false, not "yes"']);
    assert.deepEqual(messages(read.text(""), 7), ["must be a text, not 7"]);
    assert.deepEqual(messages(read.oneOf(["a", "b"], null), "c"), ['must be one of a, b, not "c"']);
    assert.deepEqual(messages(read.uuids(null), [1]), ["must be a UUID, not 1"]);
    assert.deepEqual(messages(read.range(null), 80), ['must be {"start": n, "end": n}, not 80']);
    assert.deepEqual(read.range(null).parse({ start: "1", end: null }), { start: 1, end: null });
    assert.equal(read.uuid(null).parse("ABCD"), "abcd");
  });
});

describe("exact JSON", () => {
  it("round-trips every 64-bit integer", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), (value) => {
        const parsed = parseExactJson(stringifyExactJson({ value })) as { value: bigint | number };
        assert.equal(BigInt(parsed.value), value);
        assert.equal(typeof parsed.value, Number.isSafeInteger(Number(value)) ? "number" : "bigint");
      }),
    );
  });

  it("agrees with JSON.parse on everything else", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        const exact = JSON.stringify(parseExactJson(text), (_k, v: unknown) => (typeof v === "bigint" ? Number(v) : v));
        assert.equal(exact, JSON.stringify(JSON.parse(text)));
      }),
    );
  });

  it("refuses what is not JSON", () => {
    for (const text of ["", "{", "nul", "'a'"]) assert.throws(() => parseExactJson(text), { code: "MALFORMED_JSON" });
  });
});

describe("media types", () => {
  const served = ["application/json", "application/vnd.x-v2+json", "application/vnd.x-v1+json"];
  it("are negotiated by Accept", () => {
    for (const [accept, expected] of [
      [undefined, served[0]],
      ["", served[0]],
      ["*/*", served[0]],
      ["APPLICATION/VND.X-V1+JSON", served[2]],
      ["text/html, */*;q=0.1", served[0]],
      ["application/json;q=0, application/vnd.x-v1+json;q=0.2", served[2]],
      ["text/html", null],
      ["application/vnd.x-v3+json", null],
      ["nonsense", null],
    ] as const)
      assert.equal(negotiate(accept, served), expected, String(accept));
  });

  it("of a body may be absent or have parameters", () => {
    assert.ok(acceptsBody(undefined, served) && acceptsBody("application/json; charset=utf-8", served));
    assert.ok(!acceptsBody("text/plain", served));
  });
});

it("Last-Event-ID is a whole number or nothing", () => {
  assert.equal(parseLastEventId(undefined), null);
  assert.equal(parseLastEventId(" "), null);
  assert.equal(parseLastEventId("17"), 17);
  for (const text of ["x", "-1", "1.5", "99999999999999999999"])
    assert.throws(() => parseLastEventId(text), { code: "VALIDATION" });
});
