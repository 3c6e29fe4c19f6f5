import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { ETHERTYPE, FlowMatch, FRAGMENT, parseFlowMatch, UNTAGGED } from "#core/flows";
import {
  decodeFrame,
  describeFrame,
  encodeFrame,
  type EthernetLayer,
  IPV6_FRAGMENT,
  type Ipv4Layer,
  type Ipv6Layer,
  isIpv4Fragment,
  isIpv6Fragment,
  type Layer,
  TPID_9100,
} from "#core/packets";
import { edits, l4v4, NONE, packets, u8 } from "../support/packet-arbitraries.ts";
import { corpus, realCapture } from "../unit/packets/support.ts";

/** ADR 0006: the two readers of headers agree. */

/**
 * The fields that the layers of a frame give; null where the readers may differ (they stop at different places in a
 * header that is cut, or whose lengths contradict each other).
 */
function fieldsOf(layers: readonly Layer[]): { readonly match: FlowMatch; readonly l4Known: boolean } | null {
  const [ethernet, l3, l4] = layers;
  const m = new FlowMatch();
  // Not even Ethernet, or cut inside its tags: nothing is said about what can be read of it.
  if (ethernet?.kind !== "ethernet") return null;
  m.ethDst = ethernet.dst;
  m.ethSrc = ethernet.src;
  const { vlan, etherType, behindOneTag } = tagOf(ethernet);
  m.vlan = vlan;
  m.etherType = etherType;
  let l4Known = true;
  if (behindOneTag && l3?.kind === "arp") {
    m.nwProto = l3.operation;
    m.arpSha = l3.senderMac;
    m.nwSrc = l3.senderIp;
    m.nwDst = l3.targetIp;
  } else if (behindOneTag && (l3?.kind === "ipv4" || l3?.kind === "ipv6")) {
    // A datagram is a fragment of one datagram: RFC 8200 §4.1 allows one such header.
    if (l3.kind === "ipv6" && l3.extensions.filter((e) => e.protocol === IPV6_FRAGMENT).length > 1) return null;
    readIp(l3, m);
    l4Known = readL4(l4, m);
  }
  return { match: m, l4Known };
}

/** What a switch sees that looks behind one tag of 802.1Q or 802.1ad. */
function tagOf(l: EthernetLayer): { vlan: number; etherType: number; behindOneTag: boolean } {
  const [first, second] = l.tags;
  if (first === undefined) return { vlan: UNTAGGED, etherType: l.etherType, behindOneTag: true };
  if (first.tpid === TPID_9100) return { vlan: UNTAGGED, etherType: TPID_9100, behindOneTag: false };
  return { vlan: first.vid, etherType: second?.tpid ?? l.etherType, behindOneTag: second === undefined };
}

function readIp(ip: Ipv4Layer | Ipv6Layer, m: FlowMatch): void {
  m.nwProto = ip.protocol;
  if (ip.kind === "ipv4") {
    m.nwTos = ip.tos;
    m.nwTtl = ip.ttl;
    m.nwSrc = ip.src;
    m.nwDst = ip.dst;
    if (isIpv4Fragment(ip)) m.fragment = ip.fragmentOffset === 0 ? FRAGMENT.FIRST : FRAGMENT.LATER;
  } else {
    m.nwTos = ip.trafficClass;
    m.nwTtl = ip.hopLimit;
    m.ip6Src = ip.src;
    m.ip6Dst = ip.dst;
    if (isIpv6Fragment(ip)) m.fragment = ip.fragment?.offset === 0 ? FRAGMENT.FIRST : FRAGMENT.LATER;
  }
}

/** @returns false when there is a transport header that the reader of layers did not take: it is cut or contradicts itself. */
function readL4(l: Layer | undefined, m: FlowMatch): boolean {
  if (l === undefined) return true;
  if (l.kind === "undecoded") return l.reason === "unknown-protocol" || l.reason === "too-many-headers";
  if (l.kind === "tcp" || l.kind === "udp") {
    m.tpSrc = l.srcPort;
    m.tpDst = l.dstPort;
  } else if ("type" in l && "code" in l) {
    m.tpSrc = l.type;
    m.tpDst = l.code;
    if ("id" in l) m.icmpId = l.id;
  }
  return true;
}

function compare(frame: Uint8Array): "agree" | "agree but for transport" | "not compared" {
  // Whatever it held before must be gone.
  const m = new FlowMatch();
  m.nwTtl = m.icmpId = m.tpSrc = m.tpDst = m.nwProto = m.vlan = 99;
  m.ip6Src = m.ip6Dst = 99n;
  parseFlowMatch(frame, m);
  const expected = fieldsOf(decodeFrame(frame).layers);
  if (expected === null) return "not compared";
  const { match, l4Known } = expected;
  if (!l4Known) {
    match.tpSrc = m.tpSrc;
    match.tpDst = m.tpDst;
    match.icmpId = m.icmpId;
  }
  assert.deepEqual(m, match, describeFrame(frame));
  return l4Known ? "agree" : "agree but for transport";
}

test("both readers read the same fields of every frame that was encoded", () => {
  fc.assert(
    fc.property(packets, (packet) => {
      assert.equal(compare(encodeFrame(packet)), "agree");
    }),
    { numRuns: 3000 },
  );
});

test("both read the same fields of mutated frames, as far as the layers go", () => {
  const outcomes = new Map<string, number>();
  fc.assert(
    fc.property(packets, edits, (packet, edit) => {
      const outcome = compare(edit(encodeFrame(packet)));
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }),
    { numRuns: 5000 },
  );
  assert.ok((outcomes.get("agree") ?? 0) > 2000, JSON.stringify([...outcomes]));
});

test("both read the same fields of IP headers with one byte changed", () => {
  fc.assert(
    fc.property(packets, fc.nat(13 + 40), u8, (packet, at, value) => {
      const frame = encodeFrame(packet);
      if (at < frame.length) frame[at] = value;
      compare(frame);
    }),
    { numRuns: 5000 },
  );
});

test("both find fragments, first and later ones, of IPv4", () => {
  const seen = new Set<number>();
  fc.assert(
    fc.property(l4v4, fc.boolean(), fc.constantFrom(0, 8, 65_528), (layers, moreFragments, fragmentOffset) => {
      const frame = encodeFrame({
        layers: layers.map((l) => (l.kind === "ipv4" ? { ...l, moreFragments, fragmentOffset } : l)),
        trailer: NONE,
      });
      if (compare(frame) === "not compared") assert.fail("an encoded frame is compared");
      const m = new FlowMatch();
      parseFlowMatch(frame, m);
      seen.add(m.fragment);
    }),
  );
  assert.equal(seen.size, 3);
});

test("both walk the same extension headers of IPv6, fragment and authentication headers among them", () => {
  const header = fc.record({ protocol: fc.constantFrom(0, 43, 44, 51, 60), units: fc.nat(3), word: fc.nat(0xffff) });
  const seen = new Set<number>();
  fc.assert(
    fc.property(packets, fc.array(header, { minLength: 1, maxLength: 18 }), fc.boolean(), (packet, list, cut) => {
      const plain = encodeFrame(packet);
      const [ethernet, ip] = packet.layers;
      fc.pre(ethernet?.kind === "ethernet" && ip?.kind === "ipv6" && ethernet.tags.length <= 1);
      const l3 = 14 + 4 * ethernet.tags.length;
      const inserted = list.flatMap(({ protocol, units, word }, i) => {
        const bytes = protocol === IPV6_FRAGMENT ? 8 : protocol === 51 ? (units + 2) * 4 : (units + 1) * 8;
        const next = list[i + 1]?.protocol ?? (plain[l3 + 6] as number);
        const head = [next, units, word >>> 8, word & 0xff];
        return [...head, ...Array.from({ length: bytes - 4 }, () => 0)];
      });
      const frame = Uint8Array.from([...plain.subarray(0, l3 + 40), ...inserted, ...plain.subarray(l3 + 40)]);
      frame[l3 + 6] = list[0]?.protocol ?? 0;
      // With the old length, the packet ends inside its headers.
      const length = ((plain[l3 + 4] as number) << 8) + (plain[l3 + 5] as number) + (cut ? 0 : inserted.length);
      frame[l3 + 4] = length >>> 8;
      frame[l3 + 5] = length & 0xff;
      compare(frame);
      const m = new FlowMatch();
      parseFlowMatch(frame, m);
      seen.add(m.fragment);
    }),
    // A fixed seed: what the packets of this run cover is asserted below.
    { numRuns: 2000, seed: 20261123 },
  );
  assert.equal(seen.size, 3);
});

test("what lies behind the IP or ARP packet is never read", () => {
  fc.assert(
    fc.property(packets, fc.uint8Array({ minLength: 1, maxLength: 60 }), fc.nat(60), (packet, padding, less) => {
      const frame = encodeFrame({ ...packet, trailer: NONE });
      const [ethernet, ip] = packet.layers;
      fc.pre(ethernet?.kind === "ethernet" && ethernet.tags.length <= 1);
      const l3 = 14 + 4 * ethernet.tags.length;
      // Also where the packet ends within its transport header.
      if (ip?.kind === "ipv4") {
        const headerBytes = ((frame[l3] as number) & 15) * 4;
        const total = Math.max(headerBytes, frame.length - l3 - less);
        frame[l3 + 2] = total >>> 8;
        frame[l3 + 3] = total & 0xff;
      }
      const end =
        ip?.kind === "ipv4" ? l3 + ((frame[l3 + 2] as number) << 8) + (frame[l3 + 3] as number) : frame.length;
      const alone = new FlowMatch();
      const padded = new FlowMatch();
      parseFlowMatch(frame.subarray(0, end), alone);
      parseFlowMatch(Uint8Array.from([...frame.subarray(0, end), ...padding]), padded);
      assert.deepEqual(padded, alone);
    }),
    { numRuns: 3000 },
  );
});

test("both read the same fields of every real frame", () => {
  const kinds = new Map<number, number>();
  for (const { bytes } of realCapture().frames) {
    assert.equal(compare(bytes), "agree", describeFrame(bytes));
    const m = new FlowMatch();
    parseFlowMatch(bytes, m);
    kinds.set(m.etherType, (kinds.get(m.etherType) ?? 0) + 1);
  }
  for (const etherType of [ETHERTYPE.ARP, ETHERTYPE.IPV4, ETHERTYPE.IPV6, ETHERTYPE.VLAN]) {
    assert.ok(kinds.has(etherType), etherType.toString(16));
  }
});

test("both read the same fields of the fuzzer's finds", () => {
  for (const { name, bytes } of corpus()) assert.doesNotThrow(() => compare(bytes), name);
});
