import { formatIpv4, formatMac, parseIpv4, parseMac, prefixMask } from "#core/packets";
import { type Condition, effectiveFragmentPolicy, type PortRange } from "./condition.ts";
import { parseMacMask } from "./compiled-condition.ts";
import { CONDITION_FIELDS, type ConditionField } from "./condition-fields.ts";

/**
 * The canonical form: keys in a fixed order; without what is unset, a default (null, false, an empty list, `nwProto`,
 * `nwTos` and `vlan` 0, an all-ones mask, the fragment policy that would apply anyway) or hangs on an absent field
 * (inversion, length, mask); ids and MACs in lower case, port lists sorted and without repetition, prefix lengths and
 * both bounds of ranges explicit. Host bits of addresses are kept as written. Texts that do not parse are kept.
 */
export function normalizeCondition(c: Condition): Condition {
  const out: Record<string, unknown> = {};
  for (const field of CONDITION_FIELDS) {
    const value = normalizeField(field, c);
    if (value === undefined) continue;
    out[field.name] = value;
    if (field.width !== undefined) {
      const width = normalizeWidth(field, c[field.width] as string | number | null | undefined);
      if (width !== undefined) out[field.width] = width;
    }
    if (field.inversion !== undefined && c[field.inversion] === true) out[field.inversion] = true;
  }
  return out;
}

/** Whether two conditions mean the same, field by field: the effective fragment policy counts, host bits do not. */
export function sameCondition(a: Condition, b: Condition): boolean {
  return a === b || JSON.stringify(withoutHostBits(a)) === JSON.stringify(withoutHostBits(b));
}

/** Normalized, and addresses (and masked MACs) without the bits that are not compared. */
function withoutHostBits(c: Condition): Record<string, unknown> {
  const out: Record<string, unknown> = { ...normalizeCondition(c) };
  for (const { name, kind, width } of CONDITION_FIELDS) {
    const value = out[name];
    if (width === undefined || typeof value !== "string") continue;
    if (kind === "ipv4") {
      const ip = parseIpv4(value);
      if (ip !== null) out[name] = formatIpv4((ip & prefixMask(out[width] as number)) >>> 0);
    } else {
      const mac = parseMac(value);
      const [high, low] = parseMacMask(out[width] as string | undefined);
      if (mac !== null) out[name] = formatMac((Math.floor(mac / 2 ** 32) & high) * 2 ** 32 + ((mac & low) >>> 0));
    }
  }
  return out;
}

/** `undefined`: unset. */
function normalizeField(field: ConditionField, c: Condition): unknown {
  const value: unknown = c[field.name];
  if (value === undefined || value === null) return undefined;
  switch (field.kind) {
    case "flag":
      return value === true ? true : undefined;
    case "uuid":
      return (value as string).toLowerCase();
    case "uuids": {
      const ids = new Set((value as readonly string[]).map((id) => id.toLowerCase()));
      return ids.size === 0 ? undefined : [...ids].sort();
    }
    case "vlan":
    case "u8":
      return value === 0 ? undefined : value;
    case "etherType":
      return value;
    case "mac": {
      const mac = parseMac(value as string);
      return mac === null ? value : formatMac(mac);
    }
    case "ipv4": {
      const ip = parseIpv4(value as string);
      return ip === null ? value : formatIpv4(ip);
    }
    case "range": {
      const range = value as PortRange;
      return { start: range.start ?? 0, end: range.end ?? 0xffff };
    }
    case "fragment": {
      const { fragmentPolicy: _, ...rest } = c;
      return value === effectiveFragmentPolicy(withoutNullRanges(rest)) ? undefined : value;
    }
  }
}

const ALL_ONES = "ffff.ffff.ffff";

function normalizeWidth(field: ConditionField, value: string | number | null | undefined): string | number | undefined {
  if (field.kind !== "mac") return value ?? 32;
  const mask = String(value ?? ALL_ONES).toLowerCase();
  return mask === ALL_ONES ? undefined : mask;
}

/** REST and the store may say null for "unset". */
function withoutNullRanges(c: Condition): Condition {
  const { tpSrc, tpDst, ...rest } = c;
  return {
    ...rest,
    ...((tpSrc ?? null) === null ? {} : { tpSrc }),
    ...((tpDst ?? null) === null ? {} : { tpDst }),
  };
}
