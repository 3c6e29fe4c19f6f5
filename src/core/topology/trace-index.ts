import { ETHERTYPE, F, IP_PROTO } from "#core/flows";
import { prefixMask } from "#core/packets";
import type { ArmedTrace } from "./compiled.ts";
import { C, type CompiledCondition } from "./compiled-condition.ts";
import { evaluate, type EvaluationContext } from "./evaluate.ts";

/**
 * The enabled traces of one device, indexed by the header fields their conditions fix, so that a packet is compared
 * with the few that could match and not with all. Conditions that fix the same fields (with the same prefix lengths)
 * form a group; a group is a tree of maps, one level per field, walked until a level has no entry. Only the fields of
 * the levels that were looked at count as seen: a packet of another protocol stays as wide as the protocol.
 */
export class TraceIndex {
  readonly traces: readonly ArmedTrace[];
  private readonly groups: Group[] = [];

  constructor(traces: readonly ArmedTrace[]) {
    this.traces = traces;
    const bySignature = new Map<string, Group>();
    for (const trace of traces) {
      const levels = levelsOf(trace);
      const signature = levels.map((l) => `${l.field}/${l.bits}`).join(" ");
      let group = bySignature.get(signature);
      if (group === undefined) {
        group = { levels, root: levels.length === 0 ? [] : new Map() };
        bySignature.set(signature, group);
        this.groups.push(group);
      }
      insert(group, trace);
    }
  }

  get size(): number {
    return this.traces.length;
  }

  /** Calls `found` for each trace whose condition matches; stops when it returns false. */
  forEachMatch(ctx: EvaluationContext, found: (trace: ArmedTrace) => boolean): void {
    const groups = this.groups;
    for (let g = 0; g < groups.length; g++) {
      const group = groups[g] as Group;
      let node: Node | undefined = group.root;
      for (let i = 0; i < group.levels.length && node !== undefined; i++) {
        node = (node as Map<number, Node>).get(keyOf(group.levels[i] as Level, ctx));
      }
      if (node === undefined) continue;
      const leaf = node as ArmedTrace[];
      for (let i = 0; i < leaf.length; i++) {
        const trace = leaf[i] as ArmedTrace;
        if (evaluate(trace.condition, ctx) && !found(trace)) return;
      }
    }
  }
}

type Node = Map<number, Node> | ArmedTrace[];

interface Level {
  /** C.* bit of the sub-condition. */
  readonly field: number;
  /** Prefix length for addresses, else 0. */
  readonly bits: number;
}

interface Group {
  readonly levels: readonly Level[];
  readonly root: Node;
}

/** Fields worth an index level, the most telling of the cheap ones first. */
const INDEXED = [C.EtherType, C.NwProto, C.NwDst, C.NwSrc, C.TpDst, C.TpSrc, C.EthDst, C.EthSrc];

function levelsOf(trace: ArmedTrace): Level[] {
  const c = trace.condition;
  if (c.invertAll) return [];
  const fixed = c.present & ~c.inverted;
  const levels: Level[] = [];
  for (const field of INDEXED) {
    if ((fixed & field) === 0) continue;
    if (field === C.NwDst) {
      if (c.nwDstBits > 0) levels.push({ field, bits: c.nwDstBits });
    } else if (field === C.NwSrc) {
      if (c.nwSrcBits > 0) levels.push({ field, bits: c.nwSrcBits });
    } else if (field === C.TpDst) {
      // A packet without a transport counts as inside every range: only an index below a protocol level is safe.
      if (c.tpDstStart === c.tpDstEnd && fixesTransport(c)) levels.push({ field, bits: 0 });
    } else if (field === C.TpSrc) {
      if (c.tpSrcStart === c.tpSrcEnd && fixesTransport(c)) levels.push({ field, bits: 0 });
    } else if (field === C.EthDst) {
      if (c.ethDstMaskHigh === 0xffff && c.ethDstMaskLow === 0xffff_ffff) levels.push({ field, bits: 0 });
    } else if (field === C.EthSrc) {
      if (c.ethSrcMaskHigh === 0xffff && c.ethSrcMaskLow === 0xffff_ffff) levels.push({ field, bits: 0 });
    } else levels.push({ field, bits: 0 });
  }
  return levels;
}

/** Every packet that meets the condition's protocol has ports (hasL4 of #core/flows: each ICMP only under its own IP). */
function fixesTransport(c: CompiledCondition): boolean {
  const fixed = c.present & ~c.inverted;
  if ((fixed & C.NwProto) === 0) return false;
  if (c.nwProto === IP_PROTO.TCP || c.nwProto === IP_PROTO.UDP) return true;
  if ((fixed & C.EtherType) === 0) return false;
  return (
    (c.nwProto === IP_PROTO.ICMP && c.etherType === ETHERTYPE.IPV4) ||
    (c.nwProto === IP_PROTO.ICMPV6 && c.etherType === ETHERTYPE.IPV6)
  );
}

function insert(group: Group, trace: ArmedTrace): void {
  let node = group.root;
  for (let i = 0; i < group.levels.length; i++) {
    const key = keyOfCondition(group.levels[i] as Level, trace);
    const map = node as Map<number, Node>;
    let next = map.get(key);
    if (next === undefined) {
      next = i === group.levels.length - 1 ? [] : new Map();
      map.set(key, next);
    }
    node = next;
  }
  (node as ArmedTrace[]).push(trace);
}

function keyOfCondition(level: Level, trace: ArmedTrace): number {
  const c = trace.condition;
  switch (level.field) {
    case C.EtherType:
      return c.etherType;
    case C.NwProto:
      return c.nwProto;
    case C.NwDst:
      return c.nwDst;
    case C.NwSrc:
      return c.nwSrc;
    case C.TpDst:
      return c.tpDstStart;
    case C.TpSrc:
      return c.tpSrcStart;
    case C.EthDst:
      return c.ethDstHigh * 0x1_0000_0000 + c.ethDstLow;
    default:
      return c.ethSrcHigh * 0x1_0000_0000 + c.ethSrcLow;
  }
}

/** The packet's key at a level; -1 (no entry) where the packet has no such field. */
function keyOf(level: Level, ctx: EvaluationContext): number {
  const m = ctx.match;
  switch (level.field) {
    case C.EtherType:
      ctx.see(F.EtherType);
      return m.etherType;
    case C.NwProto:
      ctx.see(F.NwProto);
      return m.nwProto;
    case C.NwDst:
      ctx.see(F.EtherType);
      if (m.etherType !== ETHERTYPE.IPV4 && m.etherType !== ETHERTYPE.ARP) return -1;
      ctx.seeNwDst(level.bits);
      return (m.nwDst & prefixMask(level.bits)) >>> 0;
    case C.NwSrc:
      ctx.see(F.EtherType);
      if (m.etherType !== ETHERTYPE.IPV4 && m.etherType !== ETHERTYPE.ARP) return -1;
      ctx.seeNwSrc(level.bits);
      return (m.nwSrc & prefixMask(level.bits)) >>> 0;
    case C.TpDst:
      ctx.see(F.TpDst);
      return m.tpDst;
    case C.TpSrc:
      ctx.see(F.TpSrc);
      return m.tpSrc;
    case C.EthDst:
      ctx.see(F.EthDst);
      return m.ethDst;
    default:
      ctx.see(F.EthSrc);
      return m.ethSrc;
  }
}
