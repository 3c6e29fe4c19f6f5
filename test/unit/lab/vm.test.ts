import assert from "node:assert/strict";
import { test } from "node:test";
import { buildIcmpError, buildTcp, decodeFrame, describeFrame, TCP_ACK, TCP_RST, type TcpLayer } from "#core/packets";
import { ip, pair, settled } from "./vm-pair.ts";

const B = ip("10.0.0.2");

test("a ping asks ARP once and is answered", async () => {
  const { a, time, frames } = pair();
  const answers = await settled(time, a.ping(B, { count: 3, id: 77 }));
  assert.deepEqual(
    answers.map((x) => x.kind),
    ["reply", "reply", "reply"],
  );
  assert.deepEqual(answers[1], { kind: "reply", from: B, ttl: 64, rttMs: 2 });
  const texts = frames.map((f) => `${f.from} ${describeFrame(f.bytes)}`);
  assert.deepEqual(texts.slice(0, 4), [
    "a ARP who-has 10.0.0.2 tell 10.0.0.1, length 42",
    "b ARP reply 10.0.0.2 is-at 02:00:00:00:00:0b, length 42",
    "a IPv4 10.0.0.1 > 10.0.0.2 ICMP echo request id 77 seq 1, length 98",
    "b IPv4 10.0.0.2 > 10.0.0.1 ICMP echo reply id 77 seq 1, length 98",
  ]);
  assert.equal(frames.length, 8, "b learned a from the request: nobody asks again");
});

test("what is sent while ARP is under way waits for it, in order", async () => {
  const { a, time, frames } = pair();
  const both = Promise.all([a.ping(B, { id: 1 }), a.ping(B, { id: 2 })]);
  const answers = (await settled(time, both)).flat();
  assert.deepEqual(
    answers.map((x) => x.kind),
    ["reply", "reply"],
  );
  assert.equal(frames.filter((f) => decodeFrame(f.bytes).layers[1]?.kind === "arp").length, 2);
});

test("nobody answers ARP: asked three times, then unresolved", async () => {
  const world = pair();
  world.lose = () => true;
  const [answer] = await settled(world.time, world.a.ping(B, { timeoutMs: 60_000 }));
  assert.deepEqual(answer, { kind: "unresolved", nextHop: B, rttMs: 3000 });
  assert.equal(world.frames.length, 3);
});

test("off its network without gateway: unresolved; with one, the gateway is asked for", async () => {
  const alone = pair();
  assert.equal((await settled(alone.time, alone.a.ping(ip("10.9.9.9"))))[0]?.kind, "unresolved");
  assert.equal(alone.frames.length, 0);
  const { a, time, frames } = pair({ a: { gateway: B } });
  const [answer] = await settled(time, a.ping(ip("10.9.9.9")));
  assert.equal(answer?.kind, "timeout");
  assert.match(describeFrame(frames[0]?.bytes ?? new Uint8Array()), /who-has 10.0.0.2 /);
  assert.match(describeFrame(frames[2]?.bytes ?? new Uint8Array()), /> 10.9.9.9 ICMP echo request/);
});

test("a lost reply is a timeout, and a later attempt is not disturbed by it", async () => {
  const world = pair();
  await settled(world.time, world.a.ping(B));
  world.lose = (from) => from === "b";
  assert.deepEqual(await settled(world.time, world.a.ping(B, { id: 5 })), [{ kind: "timeout", rttMs: 2000 }]);
  world.lose = () => false;
  assert.equal((await settled(world.time, world.a.ping(B, { id: 5 })))[0]?.kind, "reply");
});

test("UDP port 7 echoes; another port is unreachable", async () => {
  const { a, time, frames } = pair();
  const echo = await settled(time, a.udp(B, 7, Uint8Array.of(1, 2, 3)));
  assert.equal(echo.kind, "reply");
  const last = decodeFrame(frames.at(-1)?.bytes ?? new Uint8Array()).layers.at(-1);
  assert.deepEqual(last?.kind === "payload" ? [...last.bytes] : null, [1, 2, 3]);
  const refused = await settled(time, a.udp(B, 9999, new Uint8Array(0)));
  assert.deepEqual(refused, { kind: "icmp-error", from: B, type: 3, code: 3, rttMs: 2 });
});

test("TCP: handshake and close on a listening port", async () => {
  const { a, time, frames } = pair();
  const answer = await settled(time, a.tcpConnect(B, 80, { srcPort: 40_000 }));
  assert.equal(answer.kind, "reply");
  const flags = frames.flatMap((f) => {
    const tcp = decodeFrame(f.bytes).layers[2];
    return tcp?.kind === "tcp" ? [`${f.from}${tcp.flags}`] : [];
  });
  // SYN, SYN+ACK, ACK, FIN+ACK, FIN+ACK, ACK
  assert.deepEqual(flags, ["a2", "b18", "a16", "a17", "b17", "a16"]);
  assert.equal((await settled(time, a.tcpConnect(B, 80, { srcPort: 40_000 }))).kind, "reply", "the ends forgot it");
});

test("TCP: a reset on any other port", async () => {
  const { a, time, frames } = pair({ b: { listen: [5432] } });
  assert.deepEqual(await settled(time, a.tcpConnect(B, 80)), { kind: "refused", from: B, rttMs: 4 });
  assert.equal((await settled(time, a.tcpConnect(B, 5432))).kind, "reply");
  const reset = frames
    .map((f) => decodeFrame(f.bytes).layers[2])
    .find((l): l is TcpLayer => l?.kind === "tcp" && (l.flags & TCP_RST) !== 0);
  assert.equal(reset?.flags, TCP_RST | TCP_ACK);
});

test("an ICMP error from the way ends the attempt it quotes, and no other", async () => {
  const world = pair();
  await settled(world.time, world.a.ping(B));
  const { config } = world.a;
  const router = { ethSrc: world.b.config.mac, ethDst: config.mac, ipSrc: ip("10.0.0.254"), ipDst: config.ip };
  world.lose = (_from, bytes) => {
    if (decodeFrame(bytes).layers[2]?.kind !== "tcp") return false;
    world.time.after(1, () => world.a.receive(buildIcmpError({ ...router, type: 3, code: 13, quotedFrame: bytes })));
    return true;
  };
  const [tcp, echo] = await settled(world.time, Promise.all([world.a.tcpConnect(B, 23), world.a.ping(B)]));
  assert.deepEqual(tcp, { kind: "icmp-error", from: ip("10.0.0.254"), type: 3, code: 13, rttMs: 1 });
  assert.equal(echo[0]?.kind, "reply");
});

test("frames for others, with tags, from group addresses, damaged or in pieces are ignored", async () => {
  const { b, frames, a } = pair();
  const good = { ethSrc: a.config.mac, ethDst: b.config.mac, ipSrc: a.config.ip, ipDst: B, srcPort: 1, dstPort: 80 };
  const damaged = buildTcp(good);
  damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 0xff;
  b.receive(damaged);
  b.receive(buildTcp({ ...good, ethDst: a.config.mac }));
  b.receive(buildTcp({ ...good, ipDst: ip("10.0.0.3") }));
  b.receive(buildTcp({ ...good, vlans: [7] }));
  for (let n = 0; n < 54; n++) b.receive(buildTcp(good).subarray(0, n));
  assert.equal(frames.length, 0);
});

test("unplugged: everything that waits ends", async () => {
  const { a, time } = pair({ a: { gateway: B } });
  const begun = Promise.all([a.ping(B), a.tcpConnect(B, 80), a.udp(ip("9.9.9.9"), 7, new Uint8Array(0))]);
  a.detach();
  const answers = (await begun).flat();
  assert.ok(answers.every((x) => x.kind === "timeout" || x.kind === "unresolved"));
  await time.runUntilIdle();
});
