import { formatIpv4, parseIpv4, prefixMask } from "#core/packets";
import { isSet } from "./field-checks.ts";
import type { Condition, PortRange } from "./condition.ts";
import { CONDITION_FIELDS, type ConditionField } from "./condition-fields.ts";
import { ETHERTYPE_WORDS, ICMP, ICMP6, PROTO_WORDS } from "./expression-words.ts";
import { normalizeCondition } from "./normalize.ts";

/**
 * A condition in the words of `parseExpression`, which reads it back to the same condition. What the words cannot say
 * (groups, masked MACs, a fragment policy of its own, …) is shown as `field=value` or `field!=value`, for reading only.
 */
export function describeCondition(condition: Condition): string {
  const c = normalizeCondition(condition);
  const parts: string[] = [];
  const icmp = isIcmp(c, ICMP);
  const whole = icmp || isIcmp(c, ICMP6);
  for (const field of CONDITION_FIELDS) {
    if (field.name === "condInvert" || !isSet(c[field.name])) continue;
    if (whole && field.name === "dlType") parts.push(icmp ? "icmp" : "icmp6");
    else if (!whole || field.name !== "nwProto") parts.push(describeField(field, c, icmp));
  }
  const text = parts.length === 0 ? "any" : parts.join(" and ");
  return c.condInvert === true ? `not (${text})` : text;
}

function isIcmp(c: Condition, kind: Condition): boolean {
  return c.dlType === kind.dlType && c.nwProto === kind.nwProto && c.invDlType !== true && c.invNwProto !== true;
}

function describeField(field: ConditionField, c: Condition, icmp: boolean): string {
  const inverted = field.inversion !== undefined && c[field.inversion] === true;
  const words = wordsOf(field, c, icmp);
  if (words !== null) return inverted ? `not ${words}` : words;
  const value = c[field.name] as string | number | boolean;
  const width = field.width === undefined ? undefined : (c[field.width] as string | number | undefined);
  return `${field.name}${inverted ? "!=" : "="}${value}${width === undefined ? "" : `/${width}`}`;
}

/** Null: the language has no words for it. */
function wordsOf(field: ConditionField, c: Condition, icmp: boolean): string | null {
  return WORDS[field.name]?.(c, icmp) ?? null;
}

const WORDS: Partial<Record<keyof Condition, (c: Condition, icmp: boolean) => string | null>> = {
  inPorts: (c) => `inport ${c.inPorts?.join(",")}`,
  outPorts: (c) => `outport ${c.outPorts?.join(",")}`,
  noVlan: () => "not vlan",
  vlan: (c) => `vlan ${c.vlan}`,
  dlType: (c) => wordFor(ETHERTYPE_WORDS, c.dlType) ?? `ether proto 0x${(c.dlType ?? 0).toString(16).padStart(4, "0")}`,
  dlSrc: (c) => (c.dlSrcMask === undefined ? `ether src ${c.dlSrc}` : null),
  dlDst: (c) => (c.dlDstMask === undefined ? `ether dst ${c.dlDst}` : null),
  nwTos: (c) => `tos ${c.nwTos}`,
  nwProto: (c) => wordFor(PROTO_WORDS, c.nwProto) ?? `proto ${c.nwProto}`,
  nwSrcAddress: (c) => `src ${describeAddress(c.nwSrcAddress, c.nwSrcLength)}`,
  nwDstAddress: (c) => `dst ${describeAddress(c.nwDstAddress, c.nwDstLength)}`,
  tpSrc: (c, icmp) => describeRange(c.tpSrc, "src", icmp ? "icmptype" : null),
  tpDst: (c, icmp) => describeRange(c.tpDst, "dst", icmp ? "icmpcode" : null),
};

function wordFor(words: ReadonlyMap<string, number>, value: number | undefined): string | null {
  for (const [word, meaning] of words) if (meaning === value) return word;
  return null;
}

function describeAddress(text = "", length = 32): string {
  const ip = parseIpv4(text);
  if (ip === null || length === 32) return `host ${text}`;
  return `net ${formatIpv4((ip & prefixMask(length)) >>> 0)}/${length}`;
}

function describeRange(range: PortRange | undefined, side: "src" | "dst", icmpWord: string | null): string {
  const start = range?.start ?? 0;
  const end = range?.end ?? 0xffff;
  if (start !== end) return `${side} portrange ${start}-${end}`;
  return icmpWord !== null && start <= 255 ? `${icmpWord} ${start}` : `${side} port ${start}`;
}
