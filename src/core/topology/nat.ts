import type { Condition } from "./condition.ts";
import type { NatTarget, RuleRecord } from "./model.ts";

/** A floating IP: one address to one address, no ports, no L4 fields: needs no state and works for every fragment. */
export function isSimpleNat(targets: readonly NatTarget[], c: Condition): boolean {
  const t = targets[0];
  return (
    targets.length === 1 &&
    t !== undefined &&
    t.addressFrom === t.addressTo &&
    t.portFrom === 0 &&
    t.portTo === 0 &&
    (c.tpSrc ?? null) === null &&
    (c.tpDst ?? null) === null
  );
}

/** The condition of a rule with the fragment policy that its kind implies when it names none (midonet-rest 6.8). */
export function effectiveRuleCondition(rule: RuleRecord): Condition {
  if (rule.type !== "snat" && rule.type !== "dnat") return rule.condition;
  if (rule.condition.fragmentPolicy !== undefined || isSimpleNat(rule.natTargets, rule.condition))
    return rule.condition;
  return { ...rule.condition, fragmentPolicy: "unfragmented" };
}
