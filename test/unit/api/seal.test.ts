import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Seal } from "../../../src/apps/api/seal.ts";

describe("a seal", () => {
  const seal = new Seal(() => "secret");

  it("opens what it sealed, and says nothing of it: not even the length", () => {
    for (const text of ["1", "1809639014400002", ""]) assert.equal(seal.open(seal.seal(text)), text);
    assert.equal(seal.seal("1").length, seal.seal("1809639014400002").length);
    assert.notEqual(seal.seal("1").slice(22), seal.seal("2").slice(22));
    assert.equal(seal.seal("1"), new Seal(() => "secret").seal("1"));
  });

  it("does not open what others sealed, what was changed, and what is none", () => {
    const sealed = seal.seal("17");
    const other = sealed.replace(/^./, (c) => (c === "A" ? "B" : "A"));
    for (const text of [new Seal(() => "another").seal("17"), other, sealed.slice(4), "17", "", "%%%", "é".repeat(99)])
      assert.equal(seal.open(text), null, text);
  });
});
