import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import {
  type Ipv4,
  type Layer,
  decodeCapture,
  decodeFrame,
  describeFrame,
  encodeFrame,
  encodePcapng,
  locate,
  popVlan,
  pushVlan,
  setEthDst,
  setEthSrc,
  setIpv4Dst,
  setIpv4Src,
  setIpv4Tos,
  setIpv4Ttl,
  setL4Dst,
  setL4Src,
} from "#core/packets";
import { bytes, edits, ipv4s, l4v4, macs, NONE, packets, u16, u32, u8 } from "../support/packet-arbitraries.ts";

function forget(layers: readonly Layer[]): Layer[] {
  return layers.map((l) => (l.kind === "icmp-error" ? { ...l, quoted: null } : l));
}

test("decoding an encoded packet gives the packet, and encoding that the same bytes", () => {
  fc.assert(
    fc.property(packets, (packet) => {
      const frame = encodeFrame(packet);
      const decoded = decodeFrame(frame);
      assert.deepEqual({ layers: forget(decoded.layers), trailer: decoded.trailer }, structuredClone(packet));
      assert.deepEqual(encodeFrame(decoded), frame);
    }),
    { numRuns: 1000 },
  );
});

test("a first fragment keeps its transport checksum and length as they came", () => {
  fc.assert(
    fc.property(l4v4, (layers) => {
      const whole = encodeFrame({ layers, trailer: NONE });
      const decoded = decodeFrame(whole);
      const first = decoded.layers.map((l) => (l.kind === "ipv4" ? { ...l, moreFragments: true } : l));
      const at = locate(whole);
      const l4 = whole.slice(at.l4Offset, at.l4End);
      const head = first.slice(0, 2);
      const frame = encodeFrame({ layers: [...head, { kind: "payload", bytes: l4 }], trailer: NONE });
      assert.deepEqual(encodeFrame(decodeFrame(frame)), frame);
    }),
  );
});

test("mutated frames: nothing throws, and two repairs are enough", () => {
  fc.assert(
    fc.property(packets, edits, (packet, edit) => {
      const frame = edit(encodeFrame(packet));
      describeFrame(frame, { vxlanPort: 4789 });
      locate(frame);
      const once = encodeFrame(decodeFrame(frame, { vxlanPort: 4789 }));
      const twice = encodeFrame(decodeFrame(once, { vxlanPort: 4789 }));
      assert.deepEqual(encodeFrame(decodeFrame(twice)), twice);
    }),
    { numRuns: 2000 },
  );
});

test("incremental rewrites equal decode, change, encode", () => {
  fc.assert(
    fc.property(l4v4, macs, ipv4s, ipv4s, u16, u8, (layers, mac, src, dst, port, octet) => {
      const frame = encodeFrame({ layers, trailer: NONE });
      const expected = layers.map((l): Layer => {
        if (l.kind === "ethernet") return { ...l, src: mac, dst: mac };
        if (l.kind === "ipv4") return { ...l, src, dst, ttl: octet, tos: octet };
        return l.kind === "tcp" || l.kind === "udp" ? { ...l, srcPort: port, dstPort: port ^ 1 } : l;
      });
      const at = locate(frame);
      assert.ok(setEthSrc(frame, mac) && setEthDst(frame, mac));
      assert.ok(setIpv4Src(frame, src, at) && setIpv4Dst(frame, dst, at));
      assert.ok(setIpv4Ttl(frame, octet, at) && setIpv4Tos(frame, octet, at));
      assert.ok(setL4Src(frame, port, at) && setL4Dst(frame, port ^ 1, at));
      assert.deepEqual(frame, encodeFrame({ layers: expected, trailer: NONE }));
      const tagged = pushVlan(frame, 0xa005);
      assert.deepEqual(locate(tagged).l3Offset, at.l3Offset + 4);
      assert.deepEqual(popVlan(tagged), frame);
    }),
    { numRuns: 1000 },
  );
});

test("rewrites of arbitrary bytes never throw", () => {
  fc.assert(
    fc.property(packets, fc.nat(120), u32, (packet, cut, v) => {
      const frame = encodeFrame(packet).slice(0, cut);
      setIpv4Src(frame, v as Ipv4);
      setIpv4Ttl(frame, v & 255);
      setL4Dst(frame, v & 0xffff);
      popVlan(pushVlan(frame, 1));
      decodeFrame(frame);
    }),
  );
});

test("pcapng: what is written is read again, and mutated files never throw", () => {
  const frame = fc.record({
    timestampNs: fc.bigInt({ min: 0n, max: 2n ** 63n }),
    bytes: bytes(70),
    comment: fc.string(),
  });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 4 }), fc.nat(400), u8, (frames, at, value) => {
      const file = encodePcapng(frames);
      const read = decodeCapture(file);
      assert.equal(read.problem, null);
      assert.deepEqual(
        read.frames,
        frames.map((f) => ({ timestampNs: f.timestampNs, bytes: f.bytes, originalLength: f.bytes.length })),
      );
      file[at % file.length] = value;
      decodeCapture(file);
      decodeCapture(file.subarray(0, at));
    }),
  );
});
