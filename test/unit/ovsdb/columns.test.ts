import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Column,
  decodeRow,
  flag,
  integer,
  Malformed,
  mapOf,
  optional,
  rowId,
  setOf,
  text,
} from "#protocols/ovsdb";
import { sampleId } from "../../support/ovsdb-samples.ts";

const ID = sampleId(1);

describe("values of columns (RFC 7047 §5.1)", () => {
  const good: readonly (readonly [string, Column<unknown>, unknown, unknown])[] = [
    ["string", text, "a", "a"],
    ["integer", integer, -1, -1],
    ["boolean", flag, false, false],
    ["uuid", rowId, ["uuid", ID], ID],
    ["a set of none", setOf(integer), ["set", []], []],
    ["a set of one without set", setOf(integer), 5, [5]],
    ["a set of one", setOf(integer), ["set", [5]], [5]],
    ["a set of uuids", setOf(rowId), ["set", [["uuid", ID]]], [ID]],
    ["one uuid as a set", setOf(rowId), ["uuid", ID], [ID]],
    ["optional, none", optional(text), ["set", []], null],
    ["optional, one", optional(text), "x", "x"],
    ["a map", mapOf(text, integer), ["map", [["a", 1]]], new Map([["a", 1]])],
    ["a map with a name of Object's", mapOf(text, text), ["map", [["__proto__", "x"]]], new Map([["__proto__", "x"]])],
  ];
  for (const [name, column, json, value] of good) {
    it(`reads ${name}`, () => assert.deepEqual(column.decode(json), value));
  }

  const bad: readonly (readonly [Column<unknown>, unknown, string])[] = [
    [text, 1, "1 is not a string"],
    [text, null, "null is not a string"],
    [integer, 1.5, "1.5 is not an integer"],
    [integer, 2 ** 53, "9007199254740992 is not an integer"],
    [integer, "1", '"1" is not an integer'],
    [flag, 0, "0 is not a boolean"],
    [rowId, ID, `"${ID}" is not a UUID`],
    [rowId, ["uuid", "x"], "an array of 2 is not a UUID"],
    [rowId, ["named-uuid", "x"], "an array of 2 is not a UUID"],
    [rowId, ["uuid", ID, ID], "an array of 3 is not a UUID"],
    [setOf(integer), ["set", [1, "2"]], 'in a set: "2" is not an integer'],
    [setOf(integer), ["set"], "a set is not an array"],
    [setOf(integer), ["set", 1], "a set is not an array"],
    [setOf(integer), { set: [] }, 'an object with "set" is not an integer'],
    [optional(integer), ["set", [1, 2]], "2 values where one is allowed"],
    [mapOf(text, text), "x", '"x" is not a map'],
    [mapOf(text, text), ["map", [["a"]]], "an array of 1 is not a pair of a map"],
    [mapOf(text, text), ["map", [[1, "a"]]], "key of a map: 1 is not a string"],
    [mapOf(text, text), ["map", [["a", 1]]], "value of a map: 1 is not a string"],
  ];
  for (const [column, json, words] of bad) {
    it(`refuses ${JSON.stringify(json)}: ${words}`, () => {
      const decoded = column.decode(json);
      assert.ok(decoded instanceof Malformed);
      assert.equal(decoded.reason, words);
    });
  }

  it("reads a row, and names the column that is wrong or missing", () => {
    const columns = { name: text, ofport: optional(integer) };
    assert.deepEqual(decodeRow(columns, { name: "a", ofport: 1, more: 2 }), { name: "a", ofport: 1 });
    const missing = decodeRow(columns, { name: "a" });
    assert.ok(missing instanceof Malformed && missing.reason === "column ofport is missing");
    const wrong = decodeRow(columns, { name: 1, ofport: 1 });
    assert.ok(wrong instanceof Malformed && wrong.reason === "column name: 1 is not a string");
    // A row without the column must not find one in Object.prototype.
    const inherited = decodeRow({ constructor: text }, {});
    assert.ok(inherited instanceof Malformed && inherited.reason === "column constructor is missing");
  });
});
