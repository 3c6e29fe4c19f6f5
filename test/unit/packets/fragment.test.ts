import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { readU16, writeU16 } from "#core/base";
import {
  buildPacketTooBig,
  buildTcp,
  buildUdp,
  decodeFrame,
  fragmentIpv4,
  ICMPV6_QUOTE_MAX_BYTES,
  type Ipv4,
  type Ipv6,
  internetChecksum,
  type Layer,
  locate,
  type Mac,
} from "#core/packets";
import { reassemble } from "../../support/reassembly.ts";

const ENDS = { ethSrc: 0x02_00_00_00_00_01 as Mac, ethDst: 0x02_00_00_00_00_02 as Mac } as const;
const IPS = { ipSrc: 0x0a000101 as Ipv4, ipDst: 0x0a000202 as Ipv4 } as const;
const bytes = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
const udp = (payload: number, more: object = {}): Uint8Array =>
  buildUdp({ ...ENDS, ...IPS, id: 0x4242, srcPort: 1, dstPort: 2, payload: bytes(payload), ...more });

const ipBytes = (frame: Uint8Array): number => readU16(frame, locate(frame).l3Offset + 2);
function layerOf<K extends Layer["kind"]>(frame: Uint8Array, kind: K): Extract<Layer, { kind: K }> {
  const found = decodeFrame(frame).layers.find((l) => l.kind === kind);
  assert.ok(found, `no ${kind}`);
  return found as Extract<Layer, { kind: K }>;
}

describe("fragments of an IPv4 packet", () => {
  it("fit the MTU, are multiples of 8 but for the last, and make the packet again", () => {
    const frame = udp(3_000, { vlans: [12] });
    const fragments = fragmentIpv4(frame, 1_450);
    assert.deepEqual(fragments?.map(ipBytes), [1_444, 1_444, 180]);
    const headers = fragments.map((f) => layerOf(f, "ipv4"));
    assert.deepEqual(
      headers.map((h) => [h.fragmentOffset, h.moreFragments, h.id, h.checksumOk]),
      [
        [0, true, 0x4242, true],
        [1_424, true, 0x4242, true],
        [2_848, false, 0x4242, true],
      ],
    );
    for (const f of fragments)
      assert.deepEqual(
        layerOf(f, "ethernet").tags.map((t) => t.vid),
        [12],
      );
    assert.deepEqual(reassemble(fragments.toReversed()), frame);
  });

  it("is one frame, without what follows the packet, when it fits; whether it may be fragmented or not", () => {
    const frame = udp(100, { dontFragment: true });
    const padded = new Uint8Array(2_000);
    padded.set(frame);
    assert.deepEqual(fragmentIpv4(padded, 128), [frame]);
    assert.equal(fragmentIpv4(frame, 127), null, "must not be fragmented");
  });

  it("a fragment is fragmented further, in its place", () => {
    const frame = udp(4_000);
    const coarse = fragmentIpv4(frame, 1_500) as Uint8Array[];
    const fine = coarse.flatMap((f) => fragmentIpv4(f, 600) as Uint8Array[]);
    assert.ok(fine.length > 6);
    assert.deepEqual(fine.map((f) => layerOf(f, "ipv4").moreFragments).lastIndexOf(true), fine.length - 2);
    assert.deepEqual(reassemble(fine), frame);
  });

  it("later ones have only the options that are to be copied (RFC 791 §3.1)", () => {
    // No operation, record route (7, not copied), router alert (148, copied), end.
    const ipOptions = new Uint8Array([1, 7, 7, 4, 0, 0, 0, 0, 148, 4, 0, 0]);
    const frame = udp(2_000, { ipOptions });
    const fragments = fragmentIpv4(frame, 1_000) as Uint8Array[];
    const options = fragments.map((f) => [...layerOf(f, "ipv4").options]);
    assert.deepEqual(options[0], [...ipOptions]);
    for (const later of options.slice(1)) assert.deepEqual(later, [148, 4, 0, 0]);
    for (const f of fragments) assert.ok(ipBytes(f) <= 1_000 && layerOf(f, "ipv4").checksumOk);
    assert.deepEqual(reassemble(fragments), frame);
  });

  it("malformed options end the list, and nothing is read behind them", () => {
    const frame = udp(2_000, { ipOptions: new Uint8Array([148, 4, 0, 0, 131, 0, 0, 0]) });
    const [, later] = fragmentIpv4(frame, 1_000) as [Uint8Array, Uint8Array];
    assert.deepEqual([...layerOf(later, "ipv4").options], [148, 4, 0, 0]);
  });

  it("what is no whole IPv4 packet, or an MTU without room, gives none", () => {
    const frame = udp(2_000);
    assert.equal(fragmentIpv4(frame.subarray(0, 1_900), 1_000), null, "cut");
    assert.equal(fragmentIpv4(frame.subarray(0, 20), 1_000), null);
    assert.equal(fragmentIpv4(frame, 27), null, "no 8 bytes behind the header");
    assert.ok(fragmentIpv4(frame, 28));
    const other = frame.slice();
    writeU16(other, 12, 0x88cc);
    assert.equal(fragmentIpv4(other, 1_000), null);
    const short = frame.slice();
    short[14] = 0x44;
    assert.equal(fragmentIpv4(short, 1_000), null, "a header below 20 bytes");
  });

  it("any packet and MTU: every fragment fits, and together they are the packet", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 9_000 }),
        fc.integer({ min: 68, max: 2_000 }),
        fc.uint8Array({ maxLength: 40 }),
        fc.boolean(),
        (payload, mtu, ipOptions, tcp) => {
          const frame = tcp
            ? buildTcp({ ...ENDS, ...IPS, ipOptions, srcPort: 1, dstPort: 2, payload: bytes(payload) })
            : udp(payload, { ipOptions });
          const fragments = fragmentIpv4(frame, mtu) as Uint8Array[];
          for (const f of fragments) {
            assert.ok(ipBytes(f) <= mtu);
            assert.equal(f.length, 14 + ipBytes(f));
            const header = 14 + ((f[14] as number) & 15) * 4;
            assert.equal(internetChecksum(f, 14, header), 0);
          }
          assert.deepEqual(reassemble(fragments), frame);
        },
      ),
    );
  });
});

describe("ICMPv6 Packet Too Big", () => {
  it("says the MTU, quotes what fits into 1280 bytes, and has the right checksum", () => {
    const [src, dst] = [1n as Ipv6, 2n as Ipv6];
    const quotedFrame = new Uint8Array(14 + 40 + 1_460);
    quotedFrame.set([0x86, 0xdd, 0x60], 12);
    writeU16(quotedFrame, 18, 1_460);
    const frame = buildPacketTooBig({ ...ENDS, vlans: [7], ipSrc: dst, ipDst: src, mtu: 1_450, quotedFrame });
    const error = layerOf(frame, "icmpv6-error");
    assert.deepEqual([error.type, error.code, error.rest, error.checksumOk], [2, 0, 1_450, true]);
    assert.deepEqual(error.quote, quotedFrame.subarray(14, 14 + ICMPV6_QUOTE_MAX_BYTES));
    assert.equal(frame.length, 18 + 1_280);
    assert.deepEqual([layerOf(frame, "ipv6").src, layerOf(frame, "ipv6").dst], [dst, src]);
    const none = buildPacketTooBig({ ...ENDS, ipSrc: dst, ipDst: src, mtu: 1_450, quotedFrame: new Uint8Array(60) });
    assert.equal(layerOf(none, "icmpv6-error").quote.length, 0);
  });
});
