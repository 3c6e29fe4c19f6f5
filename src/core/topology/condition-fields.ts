import type { Condition } from "./condition.ts";

/** What a field of a condition holds; validation, normalization and the readable form are driven by this. */
export type ConditionFieldKind =
  /** true or absent */
  | "flag"
  | "uuid"
  | "uuids"
  /** 1..4094; 0 counts as absent */
  | "vlan"
  /** 1..255; 0 counts as absent */
  | "u8"
  | "etherType"
  | "mac"
  | "ipv4"
  | "range"
  | "fragment";

export interface ConditionField {
  readonly name: keyof Condition;
  readonly kind: ConditionFieldKind;
  /** The flag that inverts it, where there is one. */
  readonly inversion?: keyof Condition;
  /** Addresses: the field with the prefix length. MACs: the field with the mask. Meaningless without the address. */
  readonly width?: keyof Condition;
}

/** Every field that stands for itself, in canonical order. Inversions, lengths and masks hang on theirs. */
export const CONDITION_FIELDS: readonly ConditionField[] = [
  { name: "condInvert", kind: "flag" },
  { name: "matchForwardFlow", kind: "flag" },
  { name: "matchReturnFlow", kind: "flag" },
  { name: "inPorts", kind: "uuids", inversion: "invInPorts" },
  { name: "outPorts", kind: "uuids", inversion: "invOutPorts" },
  { name: "portGroup", kind: "uuid", inversion: "invPortGroup" },
  { name: "inPortGroup", kind: "uuid", inversion: "invInPortGroup" },
  { name: "outPortGroup", kind: "uuid", inversion: "invOutPortGroup" },
  { name: "ipAddrGroupSrc", kind: "uuid", inversion: "invIpAddrGroupSrc" },
  { name: "ipAddrGroupDst", kind: "uuid", inversion: "invIpAddrGroupDst" },
  { name: "traversedDevice", kind: "uuid", inversion: "invTraversedDevice" },
  { name: "noVlan", kind: "flag" },
  { name: "vlan", kind: "vlan" },
  { name: "dlType", kind: "etherType", inversion: "invDlType" },
  { name: "dlSrc", kind: "mac", inversion: "invDlSrc", width: "dlSrcMask" },
  { name: "dlDst", kind: "mac", inversion: "invDlDst", width: "dlDstMask" },
  { name: "nwTos", kind: "u8", inversion: "invNwTos" },
  { name: "nwProto", kind: "u8", inversion: "invNwProto" },
  { name: "nwSrcAddress", kind: "ipv4", inversion: "invNwSrc", width: "nwSrcLength" },
  { name: "nwDstAddress", kind: "ipv4", inversion: "invNwDst", width: "nwDstLength" },
  { name: "tpSrc", kind: "range", inversion: "invTpSrc" },
  { name: "tpDst", kind: "range", inversion: "invTpDst" },
  { name: "fragmentPolicy", kind: "fragment" },
  { name: "icmpDataSrcIpAddress", kind: "ipv4", inversion: "invIcmpDataSrcIp", width: "icmpDataSrcIpLength" },
  { name: "icmpDataDstIpAddress", kind: "ipv4", inversion: "invIcmpDataDstIp", width: "icmpDataDstIpLength" },
  { name: "matchNwDstRewritten", kind: "flag" },
];

/** All keys a condition may have. */
export const CONDITION_KEYS: readonly (keyof Condition)[] = CONDITION_FIELDS.flatMap((f) => [
  f.name,
  ...(f.width === undefined ? [] : [f.width]),
  ...(f.inversion === undefined ? [] : [f.inversion]),
]);
