import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { C, CompiledCondition, type Condition, type EvaluationContext } from "#core/topology";
import { conditionText, explainMismatch } from "../../../src/core/simulation/explain.ts";

const port = (n: number): string => `a0000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
const ports = (many: number): Condition => ({ inPorts: Array.from({ length: many }, (_, n) => port(n)) });
const compiled = (c: Condition): CompiledCondition => new CompiledCondition(c);

describe("what a rule asks for, in words", () => {
  it("is its expression", () => {
    assert.equal(conditionText(compiled({})), "any");
    const web = compiled({ dlType: 0x0800, nwProto: 6, tpDst: { start: 80, end: 80 }, condInvert: true });
    assert.match(conditionText(web), /^not \(.*tcp.*dst port 80\)$/);
    assert.equal(conditionText(web), conditionText(web));
  });

  it("is cut where it is longer than anybody reads: a delivery with a longer one would be refused", () => {
    const text = conditionText(compiled(ports(5_000)));
    assert.equal(text.length, 400);
    assert.match(text, /^inport a0000000-.*…$/);
  });

  it("names some of many ports and counts the others", () => {
    const ctx = { failed: C.InPorts, inPort: null } as EvaluationContext;
    assert.equal(explainMismatch(compiled(ports(2)), ctx).wanted, `${port(0)} or ${port(1)}`);
    const many = explainMismatch(compiled(ports(5_000)), ctx).wanted;
    assert.match(many, new RegExp(`^${port(0)} or .* or ${port(7)} or one of 4992 more$`));
  });
});
