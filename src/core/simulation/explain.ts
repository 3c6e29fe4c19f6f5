import { UNTAGGED } from "#core/flows";
import { formatIpv4, formatMac } from "#core/packets";
import {
  C,
  type CompiledCondition,
  conditionFieldOfBit,
  describeCondition,
  type EvaluationContext,
  type PortDevice,
  type VirtualDevice,
} from "#core/topology";
import type { DeviceRef, PortRef } from "#core/tracing";

/** Which field made a rule not match: its REST name, what the rule wanted, what the packet had. Only built when traced. */
export function explainMismatch(
  c: CompiledCondition,
  ctx: EvaluationContext,
): { failedField: string; wanted: string; had: string } {
  const bit = ctx.failed;
  if (bit === 0) return { failedField: "condInvert", wanted: "anything but these fields", had: "all of them" };
  const not = (c.inverted & bit) !== 0 ? "not " : "";
  return { failedField: conditionFieldOfBit(bit), wanted: not + wanted(c, bit), had: had(bit, ctx) };
}

/** Longest text of a condition, in characters, and most ids of a list: readers want to know what a rule is, not all its ports. */
const MAX_TEXT = 400;
const MAX_IDS = 8;
const texts = new WeakMap<CompiledCondition, string>();

/** The condition of a rule as an expression, cut when it is very long. Only built when traced, and once for each rule. */
export function conditionText(c: CompiledCondition): string {
  let text = texts.get(c);
  if (text === undefined) {
    text = describeCondition(c.source);
    if (text.length > MAX_TEXT) text = `${text.slice(0, MAX_TEXT - 1)}…`;
    texts.set(c, text);
  }
  return text;
}

function anyOf(ids: ReadonlySet<string>): string {
  const shown = [...ids].slice(0, MAX_IDS).join(" or ");
  return ids.size <= MAX_IDS ? shown : `${shown} or one of ${ids.size - MAX_IDS} more`;
}

const hex4 = (v: number): string => `0x${v.toString(16).padStart(4, "0")}`;
const range = (a: number, b: number): string => (a === b ? String(a) : `${a}-${b}`);
const FRAGMENT_WORD = ["not a fragment", "first fragment", "later fragment"];

function wanted(c: CompiledCondition, bit: number): string {
  const s = c.source;
  switch (bit) {
    case C.FragmentPolicy:
      return s.fragmentPolicy ?? "header";
    case C.EtherType:
      return hex4(c.etherType);
    case C.EthSrc:
      return s.dlSrcMask === undefined ? `${s.dlSrc}` : `${s.dlSrc}/${s.dlSrcMask}`;
    case C.EthDst:
      return s.dlDstMask === undefined ? `${s.dlDst}` : `${s.dlDst}/${s.dlDstMask}`;
    case C.NwTos:
      return String(c.nwTos);
    case C.NwProto:
      return String(c.nwProto);
    case C.NwSrc:
      return `${formatIpv4(c.nwSrc)}/${c.nwSrcBits}`;
    case C.NwDst:
      return `${formatIpv4(c.nwDst)}/${c.nwDstBits}`;
    case C.TpSrc:
      return range(c.tpSrcStart, c.tpSrcEnd);
    case C.TpDst:
      return range(c.tpDstStart, c.tpDstEnd);
    case C.Vlan:
      return String(c.vlan);
    case C.NoVlan:
      return "untagged";
    case C.InPorts:
      return anyOf(c.inPorts);
    case C.OutPorts:
      return anyOf(c.outPorts);
    case C.PortGroup:
      return `a port of group ${c.portGroup}`;
    case C.InPortGroup:
      return `a port of group ${c.inPortGroup}`;
    case C.OutPortGroup:
      return `a port of group ${c.outPortGroup}`;
    case C.IpGroupSrc:
      return `an address of group ${c.ipGroupSrc}`;
    case C.IpGroupDst:
      return `an address of group ${c.ipGroupDst}`;
    case C.TraversedDevice:
      return c.traversedDevice;
    case C.IcmpDataSrc:
      return `${s.icmpDataSrcIpAddress}/${s.icmpDataSrcIpLength ?? 32}`;
    case C.IcmpDataDst:
      return `${s.icmpDataDstIpAddress}/${s.icmpDataDstIpLength ?? 32}`;
    default:
      return "true";
  }
}

function had(bit: number, ctx: EvaluationContext): string {
  const m = ctx.match;
  switch (bit) {
    case C.FragmentPolicy:
      return FRAGMENT_WORD[m.fragment] ?? "?";
    case C.EtherType:
      return hex4(m.etherType);
    case C.EthSrc:
      return formatMac(m.ethSrc);
    case C.EthDst:
      return formatMac(m.ethDst);
    case C.NwTos:
      return String(m.nwTos);
    case C.NwProto:
      return String(m.nwProto);
    case C.NwSrc:
    case C.IpGroupSrc:
      return formatIpv4(m.nwSrc);
    case C.NwDst:
    case C.IpGroupDst:
      return formatIpv4(m.nwDst);
    case C.TpSrc:
      return String(m.tpSrc);
    case C.TpDst:
      return String(m.tpDst);
    case C.Vlan:
    case C.NoVlan:
      return m.vlan === UNTAGGED ? "untagged" : `VLAN ${m.vlan}`;
    case C.InPorts:
    case C.InPortGroup:
      return ctx.inPort === null ? "no in-port" : ctx.inPort.id;
    case C.OutPorts:
    case C.OutPortGroup:
      return ctx.outPort === null ? "no out-port yet" : ctx.outPort.id;
    case C.IcmpDataSrc:
      return ctx.icmpDataSrc < 0 ? "no quoted packet" : formatIpv4(ctx.icmpDataSrc);
    case C.IcmpDataDst:
      return ctx.icmpDataDst < 0 ? "no quoted packet" : formatIpv4(ctx.icmpDataDst);
    default:
      return "false";
  }
}

export function deviceRef(d: VirtualDevice): DeviceRef {
  return { type: d.kind, id: d.id, name: d.kind === "port" ? d.label : d.name };
}

export function portRef(p: PortDevice): PortRef {
  return { id: p.id, name: p.label };
}
