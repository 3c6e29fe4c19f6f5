import { FLOW_WORDS, MaskedWords, writeFlowWords } from "#core/datapath";
import { F, type FlowMask, FlowMatch, matchesMasked } from "#core/flows";
import type { PacketContext } from "#core/simulation";
import type { DropReason, Verdict } from "#core/tracing";
import type { Way } from "./flow-registry.ts";

/** Ways that are kept; one more, and all are forgotten. */
const MAX_WAYS = 2_048;
/** Masks that they are looked up by, for as many hashes cost less than a simulation; one more, and the least useful one goes. */
const MAX_MASKS = 16;

const PORTS = F.TpSrc | F.TpDst;

/** The way of a packet, and all packets that take it: those that are like it in `mask`, with ports within its ranges. */
export interface KnownWay {
  readonly way: Way;
  readonly verdict: Verdict;
  readonly dropReason: DropReason | null;
  /** See `tunnelTagGrowth`: of what goes into the tunnel, the length has to be looked at. */
  readonly tagGrowth: number | null;
  readonly match: FlowMatch;
  readonly mask: FlowMask;
  /** Inclusive. */
  readonly tpSrcLow: number;
  readonly tpSrcHigh: number;
  readonly tpDstLow: number;
  readonly tpDstHigh: number;
}

/** Ways with one mask, by the hash of what it compares. */
interface Tuple {
  readonly mask: FlowMask;
  readonly masked: MaskedWords;
  readonly ways: Map<number, KnownWay[]>;
  hits: number;
}

/**
 * Ways by which packets went, so that packets of new conversations between the same machines need not be simulated: rules
 * ask of a port whether it is in a range, and mostly answer the same for the next one. A flow cannot say so (a switch
 * compares whole ports), so each conversation has a flow of its own; they share the way. It holds as long as a flow
 * with its tags would. ADR 0018.
 */
export class KnownWays {
  private readonly tuples: Tuple[] = [];
  private readonly words = new Int32Array(FLOW_WORDS);
  private size = 0;

  /** The way that a packet with these fields takes; null: not known. */
  find(match: FlowMatch): KnownWay | null {
    const { tuples, words } = this;
    if (tuples.length === 0) return null;
    writeFlowWords(match, words);
    for (let t = 0; t < tuples.length; t++) {
      const tuple = tuples[t] as Tuple;
      const known = coveringOf(tuple.ways.get(tuple.masked.hash(words)), match);
      if (known === null) continue;
      tuple.hits++;
      return known;
    }
    return null;
  }

  /**
   * The packet of `ctx`, which was simulated, got a flow of `way`. Not kept where that flow covers all that take the way, nor
   * where it is known already and this packet did not fit.
   */
  remember(ctx: PacketContext, way: Way, tagGrowth: number | null): void {
    const { mask } = way;
    const ranged = mask.fields & PORTS & ~ctx.exactPorts;
    if (ranged === 0) return;
    const fields = mask.fields & ~ranged;
    const tuple = this.tupleOf({ ...mask, fields });
    writeFlowWords(ctx.original, this.words);
    const hash = tuple.masked.hash(this.words);
    const others = tuple.ways.get(hash);
    if (coveringOf(others, ctx.original) !== null) return;
    const known: KnownWay = {
      way,
      verdict: ctx.verdict,
      dropReason: ctx.dropReason,
      tagGrowth,
      match: ctx.original.clone(),
      mask: tuple.mask,
      tpSrcLow: ctx.tpSrcRange.low,
      tpSrcHigh: ctx.tpSrcRange.high,
      tpDstLow: ctx.tpDstRange.low,
      tpDstHigh: ctx.tpDstRange.high,
    };
    if (others === undefined) tuple.ways.set(hash, [known]);
    else others.push(known);
    this.size++;
  }

  /** Something changed that ways may rest on. */
  clear(): void {
    if (this.size === 0) return;
    this.tuples.length = 0;
    this.size = 0;
  }

  private tupleOf(mask: FlowMask): Tuple {
    if (this.size >= MAX_WAYS) this.clear();
    for (const tuple of this.tuples) if (sameMask(tuple.mask, mask)) return tuple;
    if (this.tuples.length >= MAX_MASKS) this.dropLeastUseful();
    const tuple: Tuple = { mask, masked: new MaskedWords(mask), ways: new Map(), hits: 0 };
    this.tuples.push(tuple);
    return tuple;
  }

  /** Hits count half from here on: what was useful long ago goes, too. */
  private dropLeastUseful(): void {
    let least = this.tuples[0] as Tuple;
    for (const tuple of this.tuples) {
      tuple.hits >>>= 1;
      if (tuple.hits < least.hits) least = tuple;
    }
    for (const ways of least.ways.values()) this.size -= ways.length;
    this.tuples.splice(this.tuples.indexOf(least), 1);
  }
}

function coveringOf(ways: readonly KnownWay[] | undefined, match: FlowMatch): KnownWay | null {
  if (ways === undefined) return null;
  for (let i = 0; i < ways.length; i++) {
    const known = ways[i] as KnownWay;
    if (covers(known, match)) return known;
  }
  return null;
}

function covers(known: KnownWay, m: FlowMatch): boolean {
  return (
    m.tpSrc >= known.tpSrcLow &&
    m.tpSrc <= known.tpSrcHigh &&
    m.tpDst >= known.tpDstLow &&
    m.tpDst <= known.tpDstHigh &&
    matchesMasked(known.match, known.mask, m)
  );
}

const sameMask = (a: FlowMask, b: FlowMask): boolean =>
  a.fields === b.fields && a.nwSrcBits === b.nwSrcBits && a.nwDstBits === b.nwDstBits;
