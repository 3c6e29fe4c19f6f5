import { ETHERTYPE, F, type FlowMask, type FlowMatch, NO_ICMP_ID } from "#core/flows";
import { prefixMask } from "#core/packets";

const TWO_32 = 0x1_0000_0000;

/**
 * A match as 22 words of 32 bits, so that "the masked fields" of any mask is a list of (word, bits): hashing and comparing
 * cost a step per compared word and build nothing, and a match that is kept needs no object.
 *
 *    0 input port          5 eth dst, low 32                11 L4 ports 16, 16
 *    1 tunnel key          6 eth hi 16: src, dst            12 … 15 IPv6 source, low word first
 *    2 tunnel source       7 type:16 echo:1 vlan:13 frag:2  16 … 19 IPv6 destination
 *    3 tunnel destination  8 proto:16 tos:8 ttl:8           20 ARP sender MAC, low 32
 *    4 eth src, low 32     9, 10 IPv4 source, destination   21 its high 16, ICMP identifier (if echo)
 *
 * Of IPv6 packets 9 and 10 have the addresses, too, folded: so no mask has to hash more of them.
 */
export const FLOW_WORDS = 22;

const ECHO = 1 << 15;

/** Writes the words of `m` to `w`; its IPv6 addresses are looked at only when its ethertype says IPv6. */
export function writeFlowWords(m: FlowMatch, w: Int32Array): void {
  w[0] = m.inPort;
  w[1] = m.tunnelKey;
  w[2] = m.tunnelSrc;
  w[3] = m.tunnelDst;
  w[4] = m.ethSrc;
  w[5] = m.ethDst;
  w[6] = ((m.ethSrc / TWO_32) << 16) | (m.ethDst / TWO_32);
  const echo = m.icmpId !== NO_ICMP_ID;
  w[7] = (m.etherType << 16) | (echo ? ECHO : 0) | ((m.vlan + 1) << 2) | m.fragment;
  w[8] = (m.nwProto << 16) | (m.nwTos << 8) | m.nwTtl;
  w[11] = (m.tpSrc << 16) | m.tpDst;
  if (m.etherType === ETHERTYPE.IPV6) {
    w[9] = writeIpv6(m.ip6Src, w, 12);
    w[10] = writeIpv6(m.ip6Dst, w, 16);
  } else {
    w[9] = m.nwSrc;
    w[10] = m.nwDst;
    for (let i = 12; i < 20; i++) w[i] = 0;
  }
  w[20] = m.arpSha;
  w[21] = ((m.arpSha / TWO_32) << 16) | (echo ? m.icmpId : 0);
}

/** @returns the address, folded. */
function writeIpv6(ip: bigint, w: Int32Array, at: number): number {
  let folded = 0;
  for (let i = 0; i < 4; i++) {
    const word = Number(BigInt.asIntN(32, ip >> BigInt(32 * i)));
    w[at + i] = word;
    folded = Math.imul(folded, 0x9e3779b1) ^ word;
  }
  return folded;
}

/** Reads the words from `w[at]` on into `m`. */
export function readFlowWords(w: Int32Array, at: number, m: FlowMatch): FlowMatch {
  const word = (i: number): number => (w[at + i] as number) >>> 0;
  m.inPort = word(0);
  m.tunnelKey = word(1);
  m.tunnelSrc = word(2);
  m.tunnelDst = word(3);
  m.ethSrc = (word(6) >>> 16) * TWO_32 + word(4);
  m.ethDst = (word(6) & 0xffff) * TWO_32 + word(5);
  m.etherType = word(7) >>> 16;
  m.vlan = ((word(7) >>> 2) & 0x1fff) - 1;
  m.fragment = word(7) & 3;
  m.nwProto = word(8) >>> 16;
  m.nwTos = (word(8) >>> 8) & 0xff;
  m.nwTtl = word(8) & 0xff;
  m.tpSrc = word(11) >>> 16;
  m.tpDst = word(11) & 0xffff;
  const ipv6 = m.etherType === ETHERTYPE.IPV6;
  m.nwSrc = ipv6 ? 0 : word(9);
  m.nwDst = ipv6 ? 0 : word(10);
  m.ip6Src = ipv6 ? readIpv6(w, at + 12) : 0n;
  m.ip6Dst = ipv6 ? readIpv6(w, at + 16) : 0n;
  m.arpSha = (word(21) >>> 16) * TWO_32 + word(20);
  m.icmpId = (word(7) & ECHO) === 0 ? NO_ICMP_ID : word(21) & 0xffff;
  return m;
}

function readIpv6(w: Int32Array, at: number): bigint {
  let ip = 0n;
  for (let i = 3; i >= 0; i--) ip = (ip << 32n) | BigInt((w[at + i] as number) >>> 0);
  return ip;
}

/** Words that are compared, but not hashed: those of IPv6 addresses. */
const isHashed = (word: number): boolean => word < 12 || word >= 20;

/** Hashes and compares the words that one mask compares. */
export class MaskedWords {
  /** (word, bits) one after the other: those that are hashed, and all. */
  private readonly hashed: Int32Array;
  private readonly compared: Int32Array;

  constructor(mask: FlowMask) {
    const bits = maskWords(mask);
    const compared = [...bits.keys()].filter((i) => bits[i] !== 0);
    const pairs = (of: readonly number[]): Int32Array => Int32Array.from(of.flatMap((i) => [i, bits[i] as number]));
    this.compared = pairs(compared);
    this.hashed = pairs(compared.filter(isHashed));
  }

  /** Packets that the mask cannot tell apart have equal hashes. @returns a signed 32-bit integer. */
  hash(words: Int32Array): number {
    const { hashed } = this;
    let h = 0x2545f491;
    for (let i = 0; i < hashed.length; i += 2) {
      h = Math.imul(h ^ ((words[hashed[i] as number] as number) & (hashed[i + 1] as number)), 0x9e3779b1);
      h ^= h >>> 15;
    }
    return h;
  }

  /** True when the mask cannot tell `words` from those at `others[at]`. */
  same(words: Int32Array, others: Int32Array, at: number): boolean {
    const { compared } = this;
    for (let i = 0; i < compared.length; i += 2) {
      const word = compared[i] as number;
      if ((((words[word] as number) ^ (others[at + word] as number)) & (compared[i + 1] as number)) !== 0) return false;
    }
    return true;
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
  for (let word = 12; word < 16; word++) add(F.NwSrc, word, -1);
  for (let word = 16; word < 20; word++) add(F.NwDst, word, -1);
  add(F.ArpSha, 20, -1);
  add(F.ArpSha, 21, 0xffff << 16);
  return w;
}

const CONVERSATION = new MaskedWords({
  fields: F.EthSrc | F.EthDst | F.EtherType | F.Vlan | F.NwProto | F.NwSrc | F.NwDst | F.TpSrc | F.TpDst,
  nwSrcBits: 32,
  nwDstBits: 32,
});
const conversationWords = new Int32Array(FLOW_WORDS);

/** The outer UDP source port of a tunnelled packet, 49152..65535, from its inner headers (RFC 7348 §5). */
export function flowSourcePort(inner: FlowMatch): number {
  writeFlowWords(inner, conversationWords);
  return 0xc000 | (CONVERSATION.hash(conversationWords) & 0x3fff);
}
