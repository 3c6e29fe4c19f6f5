import assert from "node:assert/strict";
import test from "node:test";
import { buildArpRequest, buildIcmpEcho, buildTcp, buildUdp, headerBytes, type Ipv4, type Mac } from "#core/packets";

const ends = { ethSrc: 2 as Mac, ethDst: 4 as Mac, ipSrc: 0x0a000001 as Ipv4, ipDst: 0x0a000002 as Ipv4 };
const ports = { srcPort: 1, dstPort: 2 };
const payload = new Uint8Array(100).fill(7);
const [ETH, IP, UDP, TCP, ICMP, TAG] = [14, 20, 8, 20, 8, 4];

test("headers end where the transport's ends", () => {
  assert.equal(headerBytes(buildUdp({ ...ends, ...ports, payload })), ETH + IP + UDP);
  assert.equal(headerBytes(buildUdp({ ...ends, ...ports, payload, vlans: [7] })), ETH + TAG + IP + UDP);
  assert.equal(headerBytes(buildIcmpEcho({ ...ends, icmpId: 1, seq: 1, payload })), ETH + IP + ICMP);
  const tcp = buildTcp({ ...ends, ...ports, payload });
  assert.equal(headerBytes(tcp), ETH + IP + TCP);
  const options = tcp.slice();
  options[ETH + IP + 12] = 0x80;
  assert.equal(headerBytes(options), ETH + IP + 32, "TCP options are headers");
  const none = tcp.slice();
  none[ETH + IP + 12] = 0;
  assert.equal(headerBytes(none), ETH + IP + TCP, "no data offset is no reason to call the header payload");
});

test("IP options count, later fragments have no transport header", () => {
  const frame = buildUdp({ ...ends, ...ports, payload });
  const later = frame.slice();
  later[ETH + 7] = 1;
  assert.equal(headerBytes(later), ETH + IP);
  const options = frame.slice();
  options[ETH] = 0x46;
  assert.equal(headerBytes(options), ETH + IP + 4 + UDP);
});

test("what is no IP, or cut, has what is there of its headers and no payload", () => {
  const arp = buildArpRequest({ senderMac: ends.ethSrc, senderIp: ends.ipSrc, targetIp: ends.ipDst });
  assert.equal(headerBytes(arp), ETH + 28);
  const unknown = new Uint8Array(60);
  unknown.set([0x88, 0xcc], 12);
  assert.equal(headerBytes(unknown), ETH);
  const udp = buildUdp({ ...ends, ...ports, payload });
  for (let cut = 0; cut < ETH + IP + UDP; cut++) assert.ok(headerBytes(udp.subarray(0, cut)) <= cut, `cut at ${cut}`);
});
