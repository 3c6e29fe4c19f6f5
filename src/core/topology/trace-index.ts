import { ETHERTYPE, F } from "#core/flows";
import { prefixMask } from "#core/packets";
import type { ArmedTrace } from "./compiled.ts";
import { C } from "./compiled-condition.ts";
import { evaluate, type EvaluationContext } from "./evaluate.ts";
import type { Level } from "./index-place.ts";

/**
 * The enabled traces of one device, indexed by the header fields their conditions fix, so that a packet is compared
 * with the few that could match and not with all. Conditions that fix the same fields (with the same prefix lengths)
 * form a group; a group is a tree of maps, one level per field, walked until a level has no entry. Only the fields of
 * the levels that were looked at count as seen: a packet of another protocol stays as wide as the protocol.
 */
export class TraceIndex {
  readonly traces: readonly ArmedTrace[];
  /** Null until a packet asks: of many that are enabled at once, few of the indexes in between are ever looked at. */
  private groups: readonly Group[] | null = null;

  constructor(traces: readonly ArmedTrace[]) {
    this.traces = traces;
  }

  private grouped(): readonly Group[] {
    const bySignature = new Map<string, Group>();
    for (const trace of this.traces) {
      const { levels, signature } = trace.place;
      let group = bySignature.get(signature);
      if (group === undefined) {
        group = { levels, root: levels.length === 0 ? [] : new Map() };
        bySignature.set(signature, group);
      }
      insert(group, trace);
    }
    return [...bySignature.values()];
  }

  get size(): number {
    return this.traces.length;
  }

  /** Calls `found` for each trace whose condition matches; stops when it returns false. */
  forEachMatch(ctx: EvaluationContext, found: (trace: ArmedTrace) => boolean): void {
    const groups = (this.groups ??= this.grouped());
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

interface Group {
  readonly levels: readonly Level[];
  readonly root: Node;
}

function insert(group: Group, trace: ArmedTrace): void {
  const { keys } = trace.place;
  let node = group.root;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as number;
    const map = node as Map<number, Node>;
    let next = map.get(key);
    if (next === undefined) {
      next = i === keys.length - 1 ? [] : new Map();
      map.set(key, next);
    }
    node = next;
  }
  (node as ArmedTrace[]).push(trace);
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
