import { ETHERTYPE, F, type FlowMask, type FlowMatch, FRAGMENT } from "#core/flows";
import { ANY_FRAGMENT, C, type CompiledCondition, FIELDS_READ } from "./compiled-condition.ts";
import { type EvaluationContext, testSubCondition } from "./evaluate.ts";

/**
 * Could a packet of an installed flow match the condition at this device? The flow compares only some fields
 * (`flow`, `mask`, of the packet as it came in); what it does not compare may have any value, unless a device on the way
 * has overwritten it (`ctx.rewritten`; `ctx.match` has the values here). False only when no packet of the flow can match.
 */
export function couldMatch(c: CompiledCondition, ctx: EvaluationContext, flow: FlowMatch, mask: FlowMask): boolean {
  const known = mask.fields | ctx.rewritten;
  if (c.fragments !== ANY_FRAGMENT && fragmentExcludes(c, flow, known)) return false;
  // All sub-conditions certainly true / one certainly false / neither is certain.
  let certain = true;
  let rest = c.present;
  while (rest !== 0) {
    const bit = rest & -rest;
    rest ^= bit;
    const outcome = decide(c, bit, ctx, known, mask);
    if (outcome === null) certain = false;
    else if (outcome === ((c.inverted & bit) !== 0)) return c.invertAll;
  }
  return certain ? !c.invertAll : true;
}

function fragmentExcludes(c: CompiledCondition, flow: FlowMatch, known: number): boolean {
  const ip = flow.etherType === ETHERTYPE.IPV4 || flow.etherType === ETHERTYPE.IPV6;
  if ((known & F.EtherType) === 0) return false;
  return (c.fragments & (1 << (ip ? flow.fragment : FRAGMENT.NONE))) === 0;
}

/** True, false, or null: it depends on fields the flow does not compare. */
function decide(
  c: CompiledCondition,
  bit: number,
  ctx: EvaluationContext,
  known: number,
  mask: FlowMask,
): boolean | null {
  const needs = FIELDS_READ.get(bit);
  if (needs === undefined) return testSubCondition(c, bit, ctx);
  if ((needs & known) !== needs) return null;
  if (bit === C.NwSrc && (ctx.rewritten & F.NwSrc) === 0)
    return prefix(c, bit, ctx, c.nwSrc ^ ctx.match.nwSrc, c.nwSrcBits, mask.nwSrcBits);
  if (bit === C.NwDst && (ctx.rewritten & F.NwDst) === 0)
    return prefix(c, bit, ctx, c.nwDst ^ ctx.match.nwDst, c.nwDstBits, mask.nwDstBits);
  if (bit === C.IpGroupSrc && mask.nwSrcBits < 32) return null;
  if (bit === C.IpGroupDst && mask.nwDstBits < 32) return null;
  return testSubCondition(c, bit, ctx);
}

function prefix(
  c: CompiledCondition,
  bit: number,
  ctx: EvaluationContext,
  difference: number,
  wanted: number,
  compared: number,
): boolean | null {
  if (compared >= wanted || ctx.match.etherType !== ETHERTYPE.IPV4) return testSubCondition(c, bit, ctx);
  return compared > 0 && difference >>> (32 - compared) !== 0 ? false : null;
}
