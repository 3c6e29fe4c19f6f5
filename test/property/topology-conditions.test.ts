import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ChainId, RuleId, TraceRequestId } from "#core/base";
import { completeMask, type FlowMask, type FlowMatch, F, isInstallable, matchesMasked } from "#core/flows";
import {
  ArmedTrace,
  CompiledCondition,
  type Condition,
  EvaluationContext,
  evaluate,
  LIMIT_MAX,
  TraceIndex,
} from "#core/topology";
import * as fc from "fast-check";
import {
  conditionArb,
  GROUP_A,
  groupView,
  packetArb,
  PORT_A,
  portDevice,
  wellFormed,
} from "../support/topology-arbitraries.ts";

const port = portDevice(PORT_A, [GROUP_A]);

function context(m: FlowMatch): EvaluationContext {
  const ctx = new EvaluationContext(groupView, m);
  ctx.inPort = port;
  ctx.firstGroups = port.groups;
  ctx.originalNwDst = m.nwDst;
  return ctx;
}

function armed(conditions: readonly Condition[]): ArmedTrace[] {
  return conditions.map(
    (c, n) =>
      new ArmedTrace({
        requestId: `t${n}` as TraceRequestId,
        ruleId: `r${n}` as RuleId,
        chainId: "c" as ChainId,
        deviceId: "d",
        limit: LIMIT_MAX,
        condition: new CompiledCondition(c),
      }),
  );
}

function matches(index: TraceIndex, ctx: EvaluationContext): string[] {
  const ids: string[] = [];
  index.forEachMatch(ctx, (t) => {
    ids.push(t.requestId);
    return true;
  });
  return ids.sort();
}

/** `q` with the fields of `p` that the flow (p, mask) compares: often covered by it. */
function agreeing(p: FlowMatch, q: FlowMatch, mask: FlowMask): FlowMatch {
  const take = (field: number): FlowMatch => ((mask.fields & field) === 0 ? q : p);
  const prefix = (a: number, b: number, bits: number): number =>
    bits === 0 ? b : bits === 32 ? a : (((a >>> (32 - bits)) << (32 - bits)) | (b & (2 ** (32 - bits) - 1))) >>> 0;
  const v6 = p.ip6Src !== 0n;
  return wellFormed({
    ethSrc: take(F.EthSrc).ethSrc,
    ethDst: take(F.EthDst).ethDst,
    etherType: take(F.EtherType).etherType,
    vlan: take(F.Vlan).vlan,
    nwProto: take(F.NwProto).nwProto,
    nwSrc: v6 ? Number(take(F.NwSrc).ip6Src) : prefix(p.nwSrc, q.nwSrc, mask.nwSrcBits),
    nwDst: v6 ? Number(take(F.NwDst).ip6Dst) : prefix(p.nwDst, q.nwDst, mask.nwDstBits),
    nwTos: take(F.NwTos).nwTos,
    fragment: take(F.Fragment).fragment,
    tpSrc: take(F.TpSrc).tpSrc,
    tpDst: take(F.TpDst).tpDst,
  });
}

describe("conditions and packets at random", () => {
  test("evaluation reads no field outside readsFields", () => {
    fc.assert(
      fc.property(conditionArb, packetArb, (c, m) => {
        const compiled = new CompiledCondition(c);
        const ctx = context(m);
        evaluate(compiled, ctx);
        assert.equal(ctx.seen & ~compiled.readsFields, 0);
      }),
      { numRuns: 2000 },
    );
  });

  test("packets under the mask of what was seen get the same result and the same reason", () => {
    let covered = 0;
    fc.assert(
      fc.property(conditionArb, packetArb, packetArb, (c, p, q) => {
        const compiled = new CompiledCondition(c);
        const ctx = context(p);
        const expected = evaluate(compiled, ctx);
        const mask = completeMask(p, ctx.seen, ctx.nwSrcBits, ctx.nwDstBits);
        const other = agreeing(p, q, mask);
        if (!isInstallable(mask) || !matchesMasked(p, mask, other)) return;
        covered++;
        const again = context(other);
        assert.equal(evaluate(compiled, again), expected);
        assert.equal(again.failed, ctx.failed);
      }),
      { numRuns: 10_000 },
    );
    assert.ok(covered > 5000, `only ${covered} pairs were compared`);
  });

  test("the trace index finds exactly what a linear evaluation finds", () => {
    let found = 0;
    fc.assert(
      fc.property(fc.array(conditionArb, { maxLength: 12 }), packetArb, (conditions, m) => {
        const traces = armed(conditions);
        const linear = traces.filter((t) => evaluate(t.condition, context(m))).map((t): string => t.requestId);
        found += linear.length;
        assert.deepEqual(matches(new TraceIndex(traces), context(m)), linear.sort());
      }),
      { numRuns: 5000 },
    );
    assert.ok(found > 2000, `only ${found} matches were compared`);
  });

  test("packets under the mask of what the index saw match the same traces", () => {
    let covered = 0;
    fc.assert(
      fc.property(fc.array(conditionArb, { maxLength: 6 }), packetArb, packetArb, (conditions, p, q) => {
        const index = new TraceIndex(armed(conditions));
        const ctx = context(p);
        const expected = matches(index, ctx);
        const mask = completeMask(p, ctx.seen, ctx.nwSrcBits, ctx.nwDstBits);
        const other = agreeing(p, q, mask);
        if (!matchesMasked(p, mask, other)) return;
        covered++;
        assert.deepEqual(matches(index, context(other)), expected);
      }),
      { numRuns: 5000 },
    );
    assert.ok(covered > 2500, `only ${covered} pairs were compared`);
  });
});
