import { ETHERTYPE, IP_PROTO } from "#core/flows";
import { C, type CompiledCondition } from "./compiled-condition.ts";

/** A level of an index of traces: what a condition fixes, and how many bits of it. */
export interface Level {
  /** C.* bit of the sub-condition. */
  readonly field: number;
  /** Prefix length for addresses, else 0. */
  readonly bits: number;
}

/** Where a condition stands in an index of traces (see TraceIndex); found out once, for indexes are made again and again. */
export class IndexPlace {
  readonly levels: readonly Level[];
  /** The condition's key at each level. */
  readonly keys: readonly number[];
  /** Equal for conditions with equal levels. */
  readonly signature: string;

  constructor(condition: CompiledCondition) {
    this.levels = levelsOf(condition);
    this.keys = this.levels.map(({ field }) => keyOf(field, condition));
    this.signature = this.levels.map((l) => `${l.field}/${l.bits}`).join(" ");
  }
}

/** Fields worth an index level, the most telling of the cheap ones first. */
const INDEXED = [C.EtherType, C.NwProto, C.NwDst, C.NwSrc, C.TpDst, C.TpSrc, C.EthDst, C.EthSrc];

function levelsOf(c: CompiledCondition): Level[] {
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

function keyOf(field: number, c: CompiledCondition): number {
  switch (field) {
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
