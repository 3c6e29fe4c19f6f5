import { CONDITION_FIELDS, CONDITION_KEYS, describeCondition } from "#core/topology";

const NAMES: ReadonlySet<string> = new Set(CONDITION_KEYS);

/** A condition as REST has it (with nulls, alone or inside a rule) in the words of `--match`. */
export function conditionText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return "any";
  const set = Object.entries(value).filter(([name, v]) => NAMES.has(name) && v !== null && v !== false);
  const said = Object.fromEntries(set) as Record<string, unknown>;
  // Lengths of addresses that are not there.
  for (const { name, width } of CONDITION_FIELDS)
    if (width !== undefined && said[name] === undefined) delete said[width];
  return describeCondition(said);
}
