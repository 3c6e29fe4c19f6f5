import { type Condition, normalizeCondition, parseExpression, type PortRange } from "#core/topology";
import type { MidotraceError } from "#core/base";

/** What the condition builder asks for; empty texts ask for nothing. */
export interface ConditionForm {
  readonly protocol: Protocol;
  /** An address or a network, "10.0.1.0/24". */
  readonly src: string;
  readonly srcNot: boolean;
  readonly dst: string;
  readonly dstNot: boolean;
  /** A port or a range, "80" or "8000-8100"; of ICMP the type. */
  readonly srcPort: string;
  readonly dstPort: string;
  readonly vlan: string;
}

export const PROTOCOLS = {
  any: "Any",
  ip: "IPv4",
  tcp: "TCP",
  udp: "UDP",
  icmp: "ICMP",
  arp: "ARP",
  ip6: "IPv6",
  icmp6: "ICMPv6",
} as const;
export type Protocol = keyof typeof PROTOCOLS;

export const EMPTY_FORM: ConditionForm = {
  protocol: "any",
  src: "",
  srcNot: false,
  dst: "",
  dstNot: false,
  srcPort: "",
  dstPort: "",
  vlan: "",
};

/** Fields that a protocol does not have; the builder shows them as not to be filled in. */
export function fieldsOff(protocol: Protocol): { readonly addresses: boolean; readonly ports: boolean } {
  return {
    addresses: protocol === "ip6" || protocol === "icmp6",
    ports: protocol === "arp" || protocol.startsWith("icmp"),
  };
}

/** The form in the words of a filter expression; what is wrong in it is found when the expression is read. */
export function expressionOf(form: ConditionForm): string {
  const off = fieldsOff(form.protocol);
  const words: string[] = form.protocol === "any" ? [] : [form.protocol];
  const address = (side: "src" | "dst", text: string, not: boolean): void => {
    const value = text.trim();
    if (value === "" || off.addresses) return;
    words.push(`${not ? "not " : ""}${side} ${value.includes("/") ? "net" : "host"} ${value}`);
  };
  const port = (side: "src" | "dst", text: string): void => {
    const value = text.replaceAll(/\s/g, "");
    if (value === "" || off.ports) return;
    words.push(`${side} ${value.includes("-") ? "portrange" : "port"} ${value}`);
  };
  address("src", form.src, form.srcNot);
  address("dst", form.dst, form.dstNot);
  port("src", form.srcPort);
  port("dst", form.dstPort);
  if (form.vlan.trim() !== "") words.push(`vlan ${form.vlan.trim()}`);
  return words.length === 0 ? "any" : words.join(" and ");
}

/** The form that says the same as a condition; null when it says something that the form has no field for. */
export function formOf(condition: Condition): ConditionForm | null {
  const { dlType, nwProto, nwSrcAddress, nwSrcLength, invNwSrc, nwDstAddress, nwDstLength, invNwDst, ...more } =
    normalizeCondition(condition);
  const { tpSrc, tpDst, vlan, ...rest } = more;
  const protocol = protocolOf(dlType, nwProto);
  if (Object.keys(rest).length > 0 || protocol === null) return null;
  const off = fieldsOff(protocol);
  if (off.ports && (tpSrc !== undefined || tpDst !== undefined)) return null;
  return {
    protocol,
    src: addressText(nwSrcAddress, nwSrcLength),
    srcNot: invNwSrc === true,
    dst: addressText(nwDstAddress, nwDstLength),
    dstNot: invNwDst === true,
    srcPort: rangeText(tpSrc),
    dstPort: rangeText(tpDst),
    vlan: vlan === undefined ? "" : String(vlan),
  };
}

export type ReadExpression =
  | { readonly ok: true; readonly condition: Condition }
  /** `at`: column of the word, from 1. */
  | { readonly ok: false; readonly message: string; readonly at: number };

/** An expression as the server will read it: the same code, run here. */
export function readExpression(text: string): ReadExpression {
  try {
    return { ok: true, condition: parseExpression(text) };
  } catch (error) {
    const { message, violations } = error as MidotraceError;
    const at = violations.find((v) => v.property === "position")?.message;
    return { ok: false, message, at: Number(at ?? 1) };
  }
}

/** A condition as the API answers it, unset fields being null, false or 0. */
export function conditionOfDto(dto: Readonly<Record<string, unknown>>): Condition {
  const set = Object.entries(dto).filter(([, value]) => value !== null && value !== false);
  const fields = Object.fromEntries(set) as Condition & { readonly uri?: unknown };
  const { uri: _, ...condition } = fields;
  return normalizeCondition(condition);
}

function protocolOf(dlType: number | undefined, nwProto: number | undefined): Protocol | null {
  if (dlType === undefined && nwProto === undefined) return "any";
  if (dlType === undefined) return nwProto === 6 ? "tcp" : nwProto === 17 ? "udp" : null;
  if (dlType === 0x0806) return nwProto === undefined ? "arp" : null;
  if (dlType === 0x86dd) return nwProto === undefined ? "ip6" : nwProto === 58 ? "icmp6" : null;
  if (dlType === 0x0800) return nwProto === undefined ? "ip" : nwProto === 1 ? "icmp" : null;
  return null;
}

const addressText = (address: string | undefined, length = 32): string =>
  address === undefined ? "" : length === 32 ? address : `${address}/${length}`;

function rangeText(range: PortRange | undefined): string {
  if (range === undefined) return "";
  const { start, end } = range;
  return start === end ? String(start) : `${start ?? 0}-${end ?? 65_535}`;
}
