import type { Violations } from "#core/base";
import type { Condition } from "./condition.ts";
import { isMacMask } from "./compiled-condition.ts";
import { CONDITION_FIELDS, type ConditionField } from "./condition-fields.ts";
import { FieldChecks, isSet, show } from "./field-checks.ts";

export const FRAGMENT_POLICIES = ["any", "header", "nonheader", "unfragmented"] as const;

/**
 * The ranges of midonet-rest 6.2, and beyond them: L4 ports from 0 (ICMP types and codes are written there). Null counts
 * as absent. A length, mask or inversion without the field it belongs to is ignored.
 *
 * @param prefix path of the condition object, "" when its fields stand inline (in rules).
 */
export function validateCondition(c: Condition, prefix: string, violations: Violations): void {
  const checks = new FieldChecks(violations, prefix);
  for (const field of CONDITION_FIELDS) {
    validateField(checks, field, c);
    if (field.inversion !== undefined) checks.flag(field.inversion, c[field.inversion]);
  }
  const l4 = isSet(c.tpSrc) || isSet(c.tpDst);
  if (l4 && (c.fragmentPolicy === "any" || c.fragmentPolicy === "nonheader"))
    checks.fail(
      "fragmentPolicy",
      `must be header or unfragmented when tpSrc or tpDst is set (later fragments carry no L4 header), not ${show(c.fragmentPolicy)}`,
    );
}

function validateField(checks: FieldChecks, field: ConditionField, c: Condition): void {
  const { name } = field;
  const value: unknown = c[name];
  const width: unknown = field.width === undefined ? undefined : c[field.width];
  switch (field.kind) {
    case "flag":
      return checks.flag(name, value);
    case "uuid":
      return checks.uuid(name, value);
    case "uuids":
      return checks.uuids(name, value);
    case "vlan":
      if (value !== 0) checks.integer(name, value, 1, 4094);
      return;
    case "u8":
      checks.integer(name, value, 0, 255);
      return;
    case "etherType":
      checks.integer(name, value, 0x0600, 0xffff);
      return;
    case "mac":
      checks.mac(name, value);
      if (isSet(value) && isSet(width) && (typeof width !== "string" || !isMacMask(width)))
        checks.fail(field.width ?? name, `must be a MAC mask such as ffff.ff00.0000, not ${show(width)}`);
      return;
    case "ipv4":
      checks.ipv4(name, value);
      if (isSet(value)) checks.integer(field.width ?? name, width, 0, 32);
      return;
    case "range":
      return validateRange(checks, name, value);
    case "fragment":
      checks.oneOf(name, value, FRAGMENT_POLICIES);
  }
}

function validateRange(checks: FieldChecks, name: string, value: unknown): void {
  if (!isSet(value)) return;
  if (typeof value !== "object" || Array.isArray(value)) {
    checks.fail(name, `must be a range {"start": n, "end": n}, not ${show(value)}`);
    return;
  }
  const { start, end } = value as { readonly start?: unknown; readonly end?: unknown };
  const startOk = checks.integer(`${name}.start`, start, 0, 0xffff);
  const endOk = checks.integer(`${name}.end`, end, 0, 0xffff);
  if (startOk && endOk && isSet(start) && isSet(end) && (start as number) > (end as number))
    checks.fail(name, `start must not be greater than end, as in ${start as number}..${end as number}`);
}
