import * as fc from "fast-check";
import type { EthernetLayer, Ipv4, Ipv4Layer, Ipv6, Layer, Mac, Packet } from "#core/packets";

/** Frames of every kind that the codecs know, as layers; small domains only where a wide one would find nothing more. */

export const u8 = fc.nat(255);
export const u16 = fc.nat(65535);
export const u32 = fc.nat(0xffff_ffff);
export const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const words = (max: number) => fc.nat(max).chain((n) => fc.uint8Array({ minLength: n * 4, maxLength: n * 4 }));
export const macs = fc.maxSafeNat().map((v) => (v % 2 ** 48) as Mac);
export const ipv4s = u32.map((v) => v as Ipv4);
const ipv6s = fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((v) => v as Ipv6);
const tag = fc.record({
  tpid: fc.constantFrom(0x8100, 0x88a8, 0x9100),
  pcp: fc.nat(7),
  dei: fc.boolean(),
  vid: fc.nat(4095),
});
const checked = { checksumOk: fc.constant(true), rawChecksum: fc.constant(null) };
export const NONE = new Uint8Array(0);

const payload: fc.Arbitrary<Layer[]> = bytes(80).map((b) => [{ kind: "payload", bytes: b }]);
const tcp: fc.Arbitrary<Layer> = fc.record({
  kind: fc.constant("tcp" as const),
  srcPort: u16,
  dstPort: u16,
  seq: u32,
  ack: u32,
  flags: fc.nat(0xfff),
  window: u16,
  urgent: u16,
  options: words(10),
  ...checked,
});
const udp = (v4: boolean): fc.Arbitrary<Layer> =>
  fc.record({
    kind: fc.constant("udp" as const),
    srcPort: u16,
    dstPort: u16,
    noChecksum: v4 ? fc.boolean() : fc.constant(false),
    checksumOk: fc.constant(true),
    raw: fc.constant(null),
    surplus: fc.oneof(fc.constant(NONE), bytes(9)),
  });
const echo: fc.Arbitrary<Layer> = fc.record({
  kind: fc.constant("icmp-echo" as const),
  type: fc.constantFrom(0, 8),
  code: u8,
  id: u16,
  seq: u16,
  ...checked,
});
const icmpError: fc.Arbitrary<Layer> = fc.record({
  kind: fc.constant("icmp-error" as const),
  type: fc.constantFrom(3, 4, 5, 11, 12),
  code: u8,
  rest: u32,
  quote: bytes(60),
  quoted: fc.constant(null),
  ...checked,
});
const echo6: fc.Arbitrary<Layer> = fc.record({
  kind: fc.constant("icmpv6-echo" as const),
  type: fc.constantFrom(128, 129),
  code: u8,
  id: u16,
  seq: u16,
  ...checked,
});
const ethernet = (etherType: number): fc.Arbitrary<EthernetLayer> =>
  fc.record({
    kind: fc.constant("ethernet" as const),
    dst: macs,
    src: macs,
    tags: fc.array(tag, { maxLength: 4 }),
    etherType: fc.constant(etherType),
  });
const ipv4 = (protocol: number, fragment: boolean): fc.Arbitrary<Ipv4Layer> =>
  fc.record({
    kind: fc.constant("ipv4" as const),
    tos: u8,
    id: u16,
    reservedFlag: fc.boolean(),
    dontFragment: fc.boolean(),
    moreFragments: fc.constant(fragment),
    fragmentOffset: fragment ? fc.integer({ min: 1, max: 0x1fff }).map((v) => v * 8) : fc.constant(0),
    ttl: u8,
    protocol: fc.constant(protocol),
    src: ipv4s,
    dst: ipv4s,
    options: words(10),
    checksumOk: fc.constant(true),
  });
const extension = fc.record({ protocol: fc.constantFrom(0, 43, 60), body: fc.nat(2), fill: u8 });
const ipv6 = (protocol: number): fc.Arbitrary<Layer> =>
  fc
    .record({
      tc: u8,
      flow: fc.nat(0xf_ffff),
      hop: u8,
      src: ipv6s,
      dst: ipv6s,
      ext: fc.array(extension, { maxLength: 5 }),
    })
    .map(({ tc, flow, hop, src, dst, ext }) => ({
      kind: "ipv6",
      trafficClass: tc,
      flowLabel: flow,
      hopLimit: hop,
      src,
      dst,
      extensions: ext.map((e, i) => {
        const b = new Uint8Array((e.body + 1) * 8).fill(e.fill);
        b[0] = ext[i + 1]?.protocol ?? protocol;
        b[1] = e.body;
        return { protocol: e.protocol, bytes: b };
      }),
      protocol,
      fragment: null,
    }));
const join = (...parts: fc.Arbitrary<Layer | Layer[]>[]): fc.Arbitrary<Layer[]> =>
  fc.tuple(...parts).map((p) => p.flat());
const arp: fc.Arbitrary<Layer> = fc.record({
  kind: fc.constant("arp" as const),
  operation: u16,
  senderMac: macs,
  senderIp: ipv4s,
  targetMac: macs,
  targetIp: ipv4s,
});
export const l4v4 = fc.oneof(
  join(ethernet(0x800), ipv4(6, false), tcp, payload),
  join(ethernet(0x800), ipv4(17, false), udp(true), payload),
);
const stacks = fc.oneof(
  l4v4,
  join(ethernet(0x806), arp),
  join(ethernet(0x800), ipv4(1, false), echo, payload),
  join(ethernet(0x800), ipv4(1, false), icmpError),
  join(
    ethernet(0x800),
    fc.constantFrom(1, 6, 17, 47).chain((p) => ipv4(p, true)),
    payload,
  ),
  join(ethernet(0x86dd), ipv6(6), tcp, payload),
  join(ethernet(0x86dd), ipv6(17), udp(false), payload),
  join(ethernet(0x86dd), ipv6(58), echo6, payload),
);
export const packets: fc.Arbitrary<Packet> = fc.record({ layers: stacks, trailer: bytes(20) });

/** Up to six bytes changed, inserted or taken away, or the end cut off. */
export const edits: fc.Arbitrary<(frame: Uint8Array) => Uint8Array> = fc
  .array(fc.record({ how: fc.nat(3), at: fc.nat(200), value: u8 }), { minLength: 1, maxLength: 6 })
  .map((list) => (frame: Uint8Array) => {
    let b = [...frame];
    for (const { how, at, value } of list) {
      const i = at % (b.length + 1);
      if (how === 0) b[i] = value;
      else if (how === 1) b.splice(i, 0, value);
      else if (how === 2) b.splice(i, 1);
      else b = b.slice(0, i);
    }
    return Uint8Array.from(b);
  });
