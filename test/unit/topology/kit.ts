import { CONDITION_FIELDS } from "#core/topology";

export { CompiledCondition, type Condition, EvaluationContext, evaluate } from "#core/topology";
/** Every field of a condition but the inversion of the whole. */
export const SUB_CONDITION_FIELDS: readonly string[] = CONDITION_FIELDS.map((f) => f.name).filter(
  (n) => n !== "condInvert",
);
