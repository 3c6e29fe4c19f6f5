import assert from "node:assert/strict";
import test from "node:test";
import {
  type Layer,
  buildArpReply,
  buildArpRequest,
  buildIcmpEcho,
  buildIcmpError,
  buildTcp,
  buildUdp,
  decodeFrame,
  describeFrame,
  encodeFrame,
  icmpMtu,
  internetChecksum,
  setL4Src,
} from "#core/packets";
import { hex, readU16 } from "#core/base";
import { ENDS, bytesOf, corpus } from "./support.ts";

function layer<K extends Layer["kind"]>(bytes: Uint8Array, kind: K): Extract<Layer, { kind: K }> {
  const found = decodeFrame(bytes).layers.find((l): l is Extract<Layer, { kind: K }> => l.kind === kind);
  assert.ok(found, kind);
  return found;
}

test("RFC 1071 §3: the example's checksum", () => {
  assert.equal(internetChecksum(bytesOf("0001f203f4f5f6f7")), 0x220d);
  assert.equal(internetChecksum(bytesOf("01")), 0xfeff);
});

test("golden: ARP request and reply", () => {
  const [senderMac, senderIp, targetIp] = [ENDS.ethSrc, ENDS.ipSrc, ENDS.ipDst];
  const request = buildArpRequest({ senderMac, senderIp, targetIp });
  assert.equal(hex(request), "ffffffffffff020000000001080600010800060400010200000000010a00010a0000000000000a000214");
  const reply = buildArpReply({ senderMac, senderIp, targetMac: ENDS.ethDst, targetIp, vlans: [5] });
  assert.equal(describeFrame(reply), "vlan 5 ARP reply 10.0.1.10 is-at 02:00:00:00:00:01, length 46");
});

test("golden: an echo request, tagged twice", () => {
  const frame = buildIcmpEcho({ ...ENDS, vlans: [200, 30], icmpId: 7, seq: 1, payload: bytesOf("abcd") });
  const expected =
    "02000000000202000000000188a800c88100001e0800" +
    "4500001e00000000400163c20a00010a0a000214" +
    "08004c2a00070001abcd";
  assert.equal(hex(frame), expected);
  assert.equal(layer(frame, "icmp-echo").checksumOk, true);
  assert.equal(layer(frame, "ipv4").checksumOk, true);
});

test("an ICMP error quotes up to 548 bytes, without Ethernet padding", () => {
  const long = buildUdp({ ...ENDS, srcPort: 1, dstPort: 2, payload: new Uint8Array(1400) });
  const error = buildIcmpError({ ...ENDS, type: 3, code: 4, mtu: 1300, quotedFrame: long });
  const icmp = layer(error, "icmp-error");
  assert.equal(icmp.quote.length, 548);
  assert.equal(icmpMtu(icmp), 1300);
  assert.deepEqual(icmp.quoted?.ports, { src: 1, dst: 2 });
  assert.equal(icmp.quoted?.totalLength, 1428);
  const short = new Uint8Array(60);
  short.set(buildUdp({ ...ENDS, vlans: [3], srcPort: 1, dstPort: 2 }));
  assert.equal(
    layer(buildIcmpError({ ...ENDS, type: 11, code: 0, quotedFrame: short }), "icmp-error").quote.length,
    28,
  );
});

test("padding behind the IP packet is the trailer and comes back", () => {
  const padded = new Uint8Array(60).fill(0xee);
  padded.set(buildUdp({ ...ENDS, srcPort: 1, dstPort: 2 }));
  const decoded = decodeFrame(padded);
  assert.equal(decoded.trailer.length, 18);
  assert.deepEqual(encodeFrame(decoded), padded);
});

test("a wrong checksum is visible, and the encoder repairs it", () => {
  const good = buildTcp({ ...ENDS, srcPort: 1000, dstPort: 80, payload: bytesOf("0102") });
  const wrong = good.slice();
  wrong[wrong.length - 1] = 9;
  assert.equal(layer(wrong, "tcp").checksumOk, false);
  assert.equal(layer(encodeFrame(decodeFrame(wrong)), "tcp").checksumOk, true);
  assert.match(describeFrame(wrong), /bad checksum/);
});

test("UDP checksum 0 stays 0 over IPv4 (RFC 768)", () => {
  const frame = buildUdp({ ...ENDS, srcPort: 1, dstPort: 2, noChecksum: true, payload: bytesOf("01") });
  assert.equal(layer(frame, "udp").noChecksum, true);
  assert.deepEqual(encodeFrame(decodeFrame(frame)), frame);
});

test("a UDP checksum computed as 0 is sent as 0xffff, by the encoder and by an incremental rewrite", () => {
  const found = [...Array(65536).keys()].find((n) => {
    const payload = Uint8Array.of(n >>> 8, n & 255);
    return readU16(buildUdp({ ...ENDS, srcPort: 1, dstPort: 2, payload }), 40) === 0xffff;
  });
  assert.ok(found !== undefined);
  const payload = Uint8Array.of(found >>> 8, found & 255);
  const frame = buildUdp({ ...ENDS, srcPort: 1, dstPort: 2, payload });
  assert.equal(layer(frame, "udp").checksumOk, true);
  const other = buildUdp({ ...ENDS, srcPort: 99, dstPort: 2, payload });
  assert.ok(setL4Src(other, 1));
  assert.deepEqual(other, frame);
});

test("VXLAN is read only when asked for", () => {
  const frame = buildUdp({ ...ENDS, srcPort: 1, dstPort: 4789, payload: bytesOf("0800000000123400") });
  assert.equal(decodeFrame(frame).layers.at(-1)?.kind, "payload");
  const asked = decodeFrame(frame, { vxlanPort: 4789 });
  assert.deepEqual(
    asked.layers.map((l) => l.kind),
    ["ethernet", "ipv4", "udp", "vxlan", "payload"],
  );
  assert.deepEqual(encodeFrame(asked), frame);
});

for (const { name, bytes } of corpus()) {
  test(`corpus: ${name} ends undecoded for the reason in its name`, () => {
    const last = decodeFrame(bytes, { vxlanPort: 4789 }).layers.at(-1);
    assert.equal(last?.kind, "undecoded");
    assert.equal(last?.kind === "undecoded" ? last.reason : "", name.replace(/\..*$/, ""));
    encodeFrame(decodeFrame(bytes));
    describeFrame(bytes);
  });
}
