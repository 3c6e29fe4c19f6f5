import type { Violations } from "#core/base";
import { type Condition, effectiveFragmentPolicy, normalizeCondition, validateCondition } from "#core/topology";
import type * as z from "zod";
import { answerOf, bodyOf, ro, rw } from "./fields.ts";

const POLICIES = ["any", "header", "nonheader", "unfragmented"] as const;

/** The fields of midonet-rest 6.2, inlined in rules and an object of their own in trace requests. */
export const conditionFields = {
  condInvert: rw.bool(false),
  matchForwardFlow: rw.bool(false),
  matchReturnFlow: rw.bool(false),
  inPorts: rw.uuidsOrNull,
  invInPorts: rw.bool(false),
  outPorts: rw.uuidsOrNull,
  invOutPorts: rw.bool(false),
  portGroup: rw.uuidOrNull,
  invPortGroup: rw.bool(false),
  inPortGroup: rw.uuidOrNull,
  invInPortGroup: rw.bool(false),
  outPortGroup: rw.uuidOrNull,
  invOutPortGroup: rw.bool(false),
  ipAddrGroupSrc: rw.uuidOrNull,
  invIpAddrGroupSrc: rw.bool(false),
  ipAddrGroupDst: rw.uuidOrNull,
  invIpAddrGroupDst: rw.bool(false),
  traversedDevice: rw.uuidOrNull,
  invTraversedDevice: rw.bool(false),
  noVlan: rw.bool(false),
  vlan: rw.intOrNull,
  dlType: rw.intOrNull,
  invDlType: rw.bool(false),
  dlSrc: rw.text(null),
  dlSrcMask: rw.text(null),
  invDlSrc: rw.bool(false),
  dlDst: rw.text(null),
  dlDstMask: rw.text(null),
  invDlDst: rw.bool(false),
  nwTos: rw.intOrNull,
  invNwTos: rw.bool(false),
  nwProto: rw.intOrNull,
  invNwProto: rw.bool(false),
  nwSrcAddress: rw.text(null),
  nwSrcLength: rw.intOrNull,
  invNwSrc: rw.bool(false),
  nwDstAddress: rw.text(null),
  nwDstLength: rw.intOrNull,
  invNwDst: rw.bool(false),
  tpSrc: rw.rangeOrNull,
  invTpSrc: rw.bool(false),
  tpDst: rw.rangeOrNull,
  invTpDst: rw.bool(false),
  fragmentPolicy: rw.oneOf(POLICIES),
  icmpDataSrcIpAddress: rw.text(null),
  icmpDataSrcIpLength: rw.intOrNull,
  invIcmpDataSrcIp: rw.bool(false),
  icmpDataDstIpAddress: rw.text(null),
  icmpDataDstIpLength: rw.intOrNull,
  invIcmpDataDstIp: rw.bool(false),
  matchNwDstRewritten: rw.bool(false),
} as const;

export const conditionBody = bodyOf(conditionFields);
export const conditionAnswer = answerOf({ ...conditionFields, uri: ro.nothing });
export type ConditionFields = z.output<ReturnType<typeof answerOf<typeof conditionFields>>>;

/** What each field is when it is not set. Worked out once: a list has as many conditions as it has requests. */
const UNSET: Readonly<Record<string, unknown>> = Object.fromEntries(
  Object.entries(conditionFields).map(([name, { out }]) => {
    const length = name.endsWith("Length");
    return [name, length ? 0 : out.safeParse(false).success ? false : null];
  }),
);

type ConditionBody = z.output<typeof conditionBody>;

/**
 * The condition in canonical form. Wrong fields are added to `violations`, their paths below `prefix` ("" for rules,
 * where the fields stand inline). An address without length is that one address.
 */
export function conditionFromBody(body: ConditionBody, prefix: string, violations: Violations): Condition {
  const set: Record<string, unknown> = {};
  for (const name of Object.keys(conditionFields) as (keyof ConditionBody)[]) {
    const value = body[name];
    if (value !== null && value !== false) set[name] = value;
  }
  const before = violations.list.length;
  validateCondition(set, prefix, violations);
  return violations.list.length === before ? normalizeCondition(set) : {};
}

/** All fields, unset ones as null, false, and 0 for lengths; the fragment policy is the one that applies. */
export function conditionToFields(condition: Condition): ConditionFields {
  const set: Condition = normalizeCondition(condition);
  return { ...UNSET, ...set, fragmentPolicy: effectiveFragmentPolicy(set) } as ConditionFields;
}
