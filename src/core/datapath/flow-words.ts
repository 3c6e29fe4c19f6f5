import { ETHERTYPE, F, type FlowMask, type FlowMatch } from "#core/flows";
import { prefixMask } from "#core/packets";

/**
 * A match as sixteen 32-bit words, so that "the masked fields" of any mask is a list of (word, bits): hashing costs one
 * multiplication per compared word and builds nothing.
 *
 *    0 input port          4 eth src, low 32        8 proto:16 tos:8 ttl:8     12,13 IPv6 source, low 64 bits
 *    1 tunnel key          5 eth dst, low 32        9 IPv4 source              14,15 IPv6 destination, low 64 bits
 *    2 tunnel source       6 eth hi 16: src, dst   10 IPv4 destination
 *    3 tunnel destination  7 type:16 vlan:13 frag:2 11 L4 ports 16, 16
 */
export const FLOW_WORDS = 16;

/** Writes the words of `m`, whose IPv6 addresses are looked at only when its ethertype says IPv6. */
export function writeFlowWords(m: FlowMatch, w: Int32Array): void {
  w[0] = m.inPort;
  w[1] = m.tunnelKey;
  w[2] = m.tunnelSrc;
  w[3] = m.tunnelDst;
  w[4] = m.ethSrc;
  w[5] = m.ethDst;
  w[6] = ((m.ethSrc / 0x1_0000_0000) << 16) | (m.ethDst / 0x1_0000_0000);
  w[7] = (m.etherType << 16) | ((m.vlan + 1) << 2) | m.fragment;
  w[8] = (m.nwProto << 16) | (m.nwTos << 8) | m.nwTtl;
  w[9] = m.nwSrc;
  w[10] = m.nwDst;
  w[11] = (m.tpSrc << 16) | m.tpDst;
  if (m.etherType === ETHERTYPE.IPV6) {
    w[12] = Number(BigInt.asUintN(32, m.ip6Src));
    w[13] = Number(BigInt.asUintN(32, m.ip6Src >> 32n));
    w[14] = Number(BigInt.asUintN(32, m.ip6Dst));
    w[15] = Number(BigInt.asUintN(32, m.ip6Dst >> 32n));
  } else {
    w[12] = 0;
    w[13] = 0;
    w[14] = 0;
    w[15] = 0;
  }
}

/** Hashes the words that one mask compares. Packets that the mask cannot tell apart have equal hashes. */
export class MaskHash {
  private readonly index: Uint8Array;
  private readonly bits: Int32Array;

  constructor(mask: FlowMask) {
    const bits = maskWords(mask);
    this.index = Uint8Array.from([...bits.keys()].filter((i) => bits[i] !== 0));
    this.bits = Int32Array.from(this.index, (i) => bits[i] as number);
  }

  /** @returns a signed 32-bit integer. */
  of(words: Int32Array): number {
    const { index, bits } = this;
    let h = 0x2545f491;
    for (let i = 0; i < index.length; i++) {
      h = Math.imul(h ^ ((words[index[i] as number] as number) & (bits[i] as number)), 0x9e3779b1);
      h ^= h >>> 15;
    }
    return h;
  }
}

function maskWords(mask: FlowMask): Int32Array {
  const w = new Int32Array(FLOW_WORDS);
  const add = (field: number, word: number, bits: number): void => {
    if ((mask.fields & field) !== 0) w[word] = (w[word] as number) | bits;
  };
  add(F.InPort, 0, -1);
  add(F.TunnelKey, 1, -1);
  add(F.TunnelSrc, 2, -1);
  add(F.TunnelDst, 3, -1);
  add(F.EthSrc, 4, -1);
  add(F.EthSrc, 6, 0xffff << 16);
  add(F.EthDst, 5, -1);
  add(F.EthDst, 6, 0xffff);
  add(F.EtherType, 7, 0xffff << 16);
  add(F.Vlan, 7, 0x1fff << 2);
  add(F.Fragment, 7, 3);
  add(F.NwProto, 8, 0xffff << 16);
  add(F.NwTos, 8, 0xff << 8);
  add(F.NwTtl, 8, 0xff);
  add(F.NwSrc, 9, prefixMask(mask.nwSrcBits));
  add(F.NwDst, 10, prefixMask(mask.nwDstBits));
  add(F.TpSrc, 11, 0xffff << 16);
  add(F.TpDst, 11, 0xffff);
  for (const word of [12, 13]) add(F.NwSrc, word, -1);
  for (const word of [14, 15]) add(F.NwDst, word, -1);
  return w;
}

const CONVERSATION = new MaskHash({
  fields: F.EthSrc | F.EthDst | F.EtherType | F.Vlan | F.NwProto | F.NwSrc | F.NwDst | F.TpSrc | F.TpDst,
  nwSrcBits: 32,
  nwDstBits: 32,
});
const conversationWords = new Int32Array(FLOW_WORDS);

/** The outer UDP source port of a tunnelled packet, 49152..65535, from its inner headers (RFC 7348 §5). */
export function flowSourcePort(inner: FlowMatch): number {
  writeFlowWords(inner, conversationWords);
  return 0xc000 | (CONVERSATION.of(conversationWords) & 0x3fff);
}
