import assert from "node:assert/strict";
import test from "node:test";
import { decodeFrame, describeFrame, encodeFrame, encodePcapng, decodeCapture } from "#core/packets";
import { realCapture } from "./support.ts";

const capture = realCapture();

test("the capture of a real kernel is read to its end", () => {
  assert.equal(capture.problem, null);
  assert.ok(capture.frames.length > 100);
});

test("every real frame decodes without undecoded tail, with right checksums, and comes back byte for byte", () => {
  const kinds = new Set<string>();
  for (const [i, { bytes }] of capture.frames.entries()) {
    const decoded = decodeFrame(bytes);
    const line = `frame ${i + 1}: ${describeFrame(bytes)}`;
    for (const layer of decoded.layers) {
      kinds.add(layer.kind);
      assert.notEqual(layer.kind, "undecoded", line);
      if ("checksumOk" in layer) assert.notEqual(layer.checksumOk, false, line);
    }
    assert.deepEqual(encodeFrame(decoded), bytes, line);
  }
  for (const kind of ["arp", "icmp-echo", "icmp-error", "icmpv6-echo", "icmpv6-error", "icmpv6-other", "tcp", "udp"]) {
    assert.ok(kinds.has(kind), kind);
  }
});

test("every real ICMP error quotes a packet that can be read", () => {
  for (const { bytes } of capture.frames) {
    for (const layer of decodeFrame(bytes).layers) {
      if (layer.kind === "icmp-error") assert.ok(layer.quoted?.ports ?? layer.quoted?.icmp, describeFrame(bytes));
    }
  }
});

test("descriptions of real frames", () => {
  const lines = new Set(capture.frames.map(({ bytes }) => describeFrame(bytes, { vxlanPort: 4789 })));
  const has = (pattern: RegExp): void =>
    assert.ok(
      [...lines].some((l) => pattern.test(l)),
      String(pattern),
    );
  has(/^IPv4 10\.0\.1\.10 > 10\.0\.2\.20 ICMP echo request id \d+ seq 1, length 98$/);
  has(/^IPv4 10\.0\.1\.10 > 10\.0\.2\.20 fragment id \d+ offset 1480\+ ICMP, length 1514$/);
  has(/ICMP fragmentation needed mtu 1400 for \(IPv4 10\.0\.1\.10 > 10\.0\.2\.20 ICMP type 8 id \d+ seq 1\)/);
  has(/ICMP redirect to 10\.0\.1\.77/);
  has(/ICMP port unreachable for \(IPv4 10\.0\.1\.10\.\d+ > 10\.0\.2\.20\.33436 UDP\)/);
  has(/UDP VXLAN vni 4660 \[ARP who-has 10\.10\.10\.11 tell 10\.10\.10\.10, length 42\]/);
  has(/^vlan 200 vlan 30 p 5 IPv4 10\.1\.0\.1 > 10\.1\.0\.2 ICMP echo request/);
  has(/TCP \[S\.\] seq/);
});

test("real frames survive being written as pcapng", () => {
  const again = decodeCapture(encodePcapng(capture.frames.map((f, i) => ({ ...f, comment: `flöw ${i}` }))));
  assert.deepEqual(again, capture);
});
