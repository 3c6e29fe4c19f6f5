import {
  F,
  FRAGMENT,
  hasL4,
  ETHERTYPE,
  IP_PROTO,
  type FlowMatch,
  type FlowTag,
  UNTAGGED,
  deviceTag,
} from "#core/flows";
import { ANY_FRAGMENT, C, type CompiledCondition } from "./compiled-condition.ts";
import type { PortDevice, TopologyView } from "./compiled.ts";

/**
 * The packet as conditions see it, and the memory of what they looked at. The simulation's context extends it; one
 * class for all, so that evaluation stays monomorphic.
 */
export class EvaluationContext {
  view: TopologyView;
  /** Header fields as they are here and now (after rewrites of earlier devices). */
  match: FlowMatch;
  /** Fields of the packet that decided something so far (F.* bits), and how many leading address bits. */
  seen = 0;
  nwSrcBits = 0;
  nwDstBits = 0;
  /** Of `seen`, the L4 ports that more than ranges were asked of: every value may have been decided otherwise. */
  exactPorts = 0;
  /** The ports for which what ranges were asked of decided as for this packet's. */
  readonly tpSrcRange = new SeenRange();
  readonly tpDstRange = new SeenRange();
  /** Ports of the current device; for a port's own filters: the port itself. */
  inPort: PortDevice | null = null;
  outPort: PortDevice | null = null;
  /** Groups of the first exterior port the packet entered by. */
  firstGroups: ReadonlySet<string> = EMPTY;
  generated = false;
  tags: FlowTag[] = [];
  /** Fields that an earlier device has overwritten: reading them depends on no header any more (F.* bits). */
  rewritten = 0;
  originalNwDst = 0;
  /** The sub-condition (C.* bit) that decided the last evaluation; 0 when all passed. */
  failed = 0;
  /** Set when an address group was not loaded: the evaluation has no meaning, the packet must wait. */
  missingGroup = "";
  /** Addresses quoted by an ICMP error, u32, or -1. */
  icmpDataSrc = -1;
  icmpDataDst = -1;

  constructor(view: TopologyView, match: FlowMatch) {
    this.view = view;
    this.match = match;
  }

  see(fields: number): void {
    this.seen |= fields & ~this.rewritten;
    this.exactPorts |= fields;
  }

  /** Of the source port (ICMP: the type) only whether it is within these bounds, inclusive. */
  seeTpSrc(start: number, end: number): void {
    this.seen |= (F.TpSrc | F.NwProto) & ~this.rewritten;
    this.tpSrcRange.narrow(this.match.tpSrc, start, end);
  }

  seeTpDst(start: number, end: number): void {
    this.seen |= (F.TpDst | F.NwProto) & ~this.rewritten;
    this.tpDstRange.narrow(this.match.tpDst, start, end);
  }

  seeNwSrc(bits: number): void {
    if ((this.rewritten & F.NwSrc) !== 0) return;
    this.seen |= F.NwSrc;
    if (bits > this.nwSrcBits) this.nwSrcBits = bits;
  }

  seeNwDst(bits: number): void {
    if ((this.rewritten & F.NwDst) !== 0) return;
    this.seen |= F.NwDst;
    if (bits > this.nwDstBits) this.nwDstBits = bits;
  }
}

const EMPTY: ReadonlySet<string> = new Set();

/** The largest interval of a 16-bit field's values for which every range that was asked of a packet answers the same. */
export class SeenRange {
  low = 0;
  high = 0xffff;

  reset(): void {
    this.low = 0;
    this.high = 0xffff;
  }

  /** The packet's `value` was compared with a range, its bounds included. */
  narrow(value: number, start: number, end: number): void {
    if (value < start) this.high = Math.min(this.high, start - 1);
    else if (value > end) this.low = Math.max(this.low, end + 1);
    else {
      this.low = Math.max(this.low, start);
      this.high = Math.min(this.high, end);
    }
  }
}

/**
 * MidoNet's semantics (midonet-semantics 1.2), reading lazily: only fields that the condition sets are looked at, in
 * order, up to the first that fails. `ctx.failed` says which one decided.
 */
export function evaluate(c: CompiledCondition, ctx: EvaluationContext): boolean {
  ctx.failed = 0;
  if (c.fragments !== ANY_FRAGMENT) {
    ctx.see(F.Fragment);
    if ((c.fragments & (1 << ctx.match.fragment)) === 0) {
      ctx.failed = C.FragmentPolicy;
      return false;
    }
  }
  let rest = c.present;
  while (rest !== 0) {
    const bit = rest & -rest;
    rest ^= bit;
    const test = (bit & COMMON) !== 0 ? testCommon(c, bit, ctx) : testOther(c, bit, ctx);
    if (test === ((c.inverted & bit) !== 0)) {
      ctx.failed = bit;
      return c.invertAll;
    }
  }
  return !c.invertAll;
}

const COMMON = C.EtherType | C.NwProto | C.NwSrc | C.NwDst | C.TpSrc | C.TpDst;

/** One sub-condition (a C.* bit that the condition sets), before its inversion. */
export function testSubCondition(c: CompiledCondition, bit: number, ctx: EvaluationContext): boolean {
  return (bit & COMMON) !== 0 ? testCommon(c, bit, ctx) : testOther(c, bit, ctx);
}

/** Apart from the others, and small, so that the compiler makes it part of the loop over a chain's rules. */
function testCommon(c: CompiledCondition, bit: number, ctx: EvaluationContext): boolean {
  const m = ctx.match;
  switch (bit) {
    case C.NwProto:
      ctx.see(F.NwProto);
      return m.nwProto === c.nwProto && hasNetwork(m) && !(c.protocolOfIp && m.etherType === ETHERTYPE.ARP);
    case C.NwSrc:
      if (!isIpv4Like(ctx)) return false;
      ctx.seeNwSrc(c.nwSrcBits);
      return ((m.nwSrc ^ c.nwSrc) & c.nwSrcMask) === 0;
    case C.NwDst:
      if (!isIpv4Like(ctx)) return false;
      ctx.seeNwDst(c.nwDstBits);
      return ((m.nwDst ^ c.nwDst) & c.nwDstMask) === 0;
    case C.TpSrc:
      ctx.seeTpSrc(c.tpSrcStart, c.tpSrcEnd);
      return (m.tpSrc >= c.tpSrcStart && m.tpSrc <= c.tpSrcEnd) || hasNoPort(m);
    case C.TpDst:
      ctx.seeTpDst(c.tpDstStart, c.tpDstEnd);
      return (m.tpDst >= c.tpDstStart && m.tpDst <= c.tpDstEnd) || hasNoPort(m);
    default:
      ctx.see(F.EtherType);
      return m.etherType === c.etherType;
  }
}

function testOther(c: CompiledCondition, bit: number, ctx: EvaluationContext): boolean {
  const m = ctx.match;
  switch (bit) {
    case C.EthSrc:
      ctx.see(F.EthSrc);
      return maskedMac(m.ethSrc, c.ethSrcMaskHigh, c.ethSrcMaskLow, c.ethSrcHigh, c.ethSrcLow);
    case C.EthDst:
      ctx.see(F.EthDst);
      return maskedMac(m.ethDst, c.ethDstMaskHigh, c.ethDstMaskLow, c.ethDstHigh, c.ethDstLow);
    case C.NwTos:
      ctx.see(F.NwTos);
      return m.nwTos === c.nwTos;
    case C.InPorts:
      return ctx.inPort !== null && c.inPorts.has(ctx.inPort.id);
    case C.OutPorts:
      return ctx.outPort !== null && c.outPorts.has(ctx.outPort.id);
    case C.Vlan:
      ctx.see(F.Vlan);
      return m.vlan === c.vlan;
    case C.NoVlan:
      ctx.see(F.Vlan);
      return m.vlan === UNTAGGED;
    default:
      return testRare(c, bit, ctx);
  }
}

function testRare(c: CompiledCondition, bit: number, ctx: EvaluationContext): boolean {
  const m = ctx.match;
  switch (bit) {
    // Without connection tracking every flow is a forward flow; packets that devices generate count as return flows.
    case C.ForwardFlow:
      return !ctx.generated;
    case C.ReturnFlow:
      return ctx.generated;
    case C.PortGroup:
      return ctx.firstGroups.has(c.portGroup);
    case C.InPortGroup:
      return ctx.inPort !== null && ctx.inPort.groups.has(c.inPortGroup);
    case C.OutPortGroup:
      return ctx.outPort !== null && ctx.outPort.groups.has(c.outPortGroup);
    case C.IpGroupSrc:
      if (!isIpv4Like(ctx)) return false;
      ctx.seeNwSrc(32);
      return inGroup(ctx, c.ipGroupSrc, m.nwSrc);
    case C.IpGroupDst:
      if (!isIpv4Like(ctx)) return false;
      ctx.seeNwDst(32);
      return inGroup(ctx, c.ipGroupDst, m.nwDst);
    case C.TraversedDevice:
      return ctx.tags.includes(deviceTag(c.traversedDevice));
    case C.IcmpDataSrc:
      ctx.see(F.IcmpData);
      return ctx.icmpDataSrc >= 0 && (ctx.icmpDataSrc & c.icmpDataSrcMask) >>> 0 === c.icmpDataSrc;
    case C.IcmpDataDst:
      ctx.see(F.IcmpData);
      return ctx.icmpDataDst >= 0 && (ctx.icmpDataDst & c.icmpDataDstMask) >>> 0 === c.icmpDataDst;
    case C.NwDstRewritten:
      ctx.see(F.EtherType);
      return m.nwDst !== ctx.originalNwDst;
    default:
      return false;
  }
}

function isIpv4Like(ctx: EvaluationContext): boolean {
  ctx.see(F.EtherType);
  const t = ctx.match.etherType;
  return t === ETHERTYPE.IPV4 || t === ETHERTYPE.ARP;
}

function hasNetwork(m: FlowMatch): boolean {
  const t = m.etherType;
  return t === ETHERTYPE.IPV4 || t === ETHERTYPE.ARP || t === ETHERTYPE.IPV6;
}

/** Later fragments and ARP have ports 0 (compared); what has no transport at all counts as inside (semantics 1.2). */
function hasNoPort(m: FlowMatch): boolean {
  if (m.nwProto === IP_PROTO.TCP || m.nwProto === IP_PROTO.UDP) return false;
  return !hasL4(m) && m.fragment !== FRAGMENT.LATER && m.etherType !== ETHERTYPE.ARP;
}

function maskedMac(mac: number, maskHigh: number, maskLow: number, high: number, low: number): boolean {
  return ((Math.floor(mac / 0x1_0000_0000) ^ high) & maskHigh) === 0 && (((mac >>> 0) ^ low) & maskLow) === 0;
}

function inGroup(ctx: EvaluationContext, id: string, ip: number): boolean {
  const group = ctx.view.ipAddrGroup(id);
  if (group === undefined) {
    ctx.missingGroup = id;
    return false;
  }
  const tag = deviceTag(id);
  if (!ctx.tags.includes(tag)) ctx.tags.push(tag);
  return group !== null && group.has(ip);
}
