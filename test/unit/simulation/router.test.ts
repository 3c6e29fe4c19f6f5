import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { completeMask, F, isInstallable } from "#core/flows";
import {
  buildArpReply,
  buildArpRequest,
  buildIcmpEcho,
  buildIcmpError,
  buildTcp,
  buildUdp,
  decodeFrame,
  formatIpv4,
  formatMac,
  MAC_BROADCAST,
} from "#core/packets";
import { ICMP, PacketContext, neighbourKey, Simulation } from "#core/simulation";
import { FakeGate, ip, mac, type Outcome, Scene } from "../../support/simulation-scene.ts";
import { type DeviceOptions, type RouteInput, TopologyBuilder } from "../../support/topology-builder.ts";

const A = "02:00:00:00:00:0a";
const B = "02:00:00:00:00:0b";
const IN = "ac:ca:ba:00:00:01";
const OUT = "ac:ca:ba:00:00:02";

interface Options {
  readonly dst?: string;
  readonly src?: string;
  readonly ttl?: number;
  readonly ethDst?: string;
  readonly vlans?: readonly number[];
  readonly srcPort?: number;
}

function udp(o: Options = {}): Uint8Array {
  return buildUdp({
    ethSrc: mac(A),
    ethDst: mac(o.ethDst ?? IN),
    ipSrc: ip(o.src ?? "10.0.1.10"),
    ipDst: ip(o.dst ?? "10.0.2.20"),
    ttl: o.ttl ?? 64,
    srcPort: o.srcPort ?? 1000,
    dstPort: 53,
    ...(o.vlans === undefined ? {} : { vlans: o.vlans }),
  });
}

/** r/in 10.0.1.1/24 and r/out 10.0.2.1/24, both bound; 10.0.2.20 is B. */
function network(routes: readonly RouteInput[] = [], o: DeviceOptions = {}): Scene {
  const t = new TopologyBuilder().router("r", o);
  t.routerPort("r/in", "10.0.1.1/24", { host: "h1", mac: IN });
  t.routerPort("r/out", "10.0.2.1/24", { host: "h2", mac: OUT });
  t.route("r", { dst: "10.0.1.0/24", port: "in" }).route("r", { dst: "10.0.2.0/24", port: "out" });
  for (const route of routes) t.route("r", route);
  return new Scene(t).neighbour("r", "10.0.2.20", B).neighbour("r", "10.0.1.10", A);
}

/** Type and code of the ICMP error that was sent back, or null. */
function answer(o: Outcome): readonly number[] | null {
  const frame = o.ctx.generatedPackets[0]?.frame;
  return frame === undefined ? null : [...frame.subarray(34, 36)];
}

const installable = (o: Outcome): boolean =>
  isInstallable(completeMask(o.ctx.original, o.ctx.seen, o.ctx.nwSrcBits, o.ctx.nwDstBits));

describe("a router", () => {
  it("forwards: next hop's MAC, own source MAC, time to live less one", () => {
    const o = network().send("r/in", udp());
    assert.equal(o.verdict, "delivered");
    const out = o.ctx.outputs[0];
    assert.equal(formatMac(out?.header.ethSrc ?? 0), OUT);
    assert.equal(formatMac(out?.header.ethDst ?? 0), B);
    assert.equal(out?.header.nwTtl, 63);
    assert.equal(out?.rewritten, F.EthSrc | F.EthDst);
    assert.deepEqual(o.kinds(), [
      "packet-received",
      "port-in",
      "device-in",
      "route-lookup",
      "ttl",
      "next-hop",
      "rewrite",
      "port-out",
    ]);
    assert.equal(o.of("rewrite")[0]?.before.nwTtl, 64);
    assert.equal(o.of("rewrite")[0]?.after.ethDst, B);
    for (const prefix of ["routing:", "route:", "arp "])
      assert.ok(
        o.ctx.tags.some((tag) => tag.startsWith(prefix)),
        prefix,
      );
  });

  const refused: readonly (readonly [string, Uint8Array, string])[] = [
    ["a VLAN-tagged frame", udp({ vlans: [5] }), "dropped: router-vlan-tagged"],
    ["an ethertype other than IPv4 and ARP", withEthertype(udp(), 0x86dd), "dropped: router-ethertype"],
    ["a broadcast frame other than ARP", udp({ ethDst: "ff:ff:ff:ff:ff:ff" }), "dropped: router-broadcast"],
    ["a frame for another MAC", udp({ ethDst: B }), "dropped: router-foreign-mac"],
    ["an IPv4 header that is cut off", udp().subarray(0, 30), "dropped: router-malformed"],
    ["an IPv4 packet longer than its frame", udp().subarray(0, 40), "dropped: router-malformed"],
  ];
  for (const [what, frame, verdict] of refused) {
    it(`refuses ${what}, silently`, () => {
      const o = network().send("r/in", frame);
      assert.equal(o.verdict, verdict);
      assert.equal(answer(o), null);
    });
  }

  it("installs no flow for a malformed packet, whose fields well-formed ones share", () => {
    assert.equal(installable(network().send("r/in", udp().subarray(0, 40))), false);
    assert.equal(installable(network().send("r/in", udp())), true);
  });

  it("tells the sender when it is administratively down", () => {
    const o = network([], { up: false }).send("r/in", udp());
    assert.equal(o.verdict, "dropped: router-admin-down");
    assert.deepEqual(answer(o), ICMP.PROHIBITED);
  });

  it("drops by its filters silently, and rejects with an ICMP error", () => {
    for (const filter of [{ inFilter: "c" }, { outFilter: "c" }]) {
      const drop = network([], filter);
      drop.t.chain("c", [{ type: "drop" }]);
      assert.equal(drop.send("r/in", udp()).verdict, "dropped: filter-drop");
      assert.equal(answer(drop.send("r/in", udp())), null);
      const reject = network([], filter);
      reject.t.chain("c", [{ type: "reject" }]);
      const o = reject.send("r/in", udp());
      assert.equal(o.verdict, "rejected: filter-reject");
      assert.deepEqual(answer(o), ICMP.PROHIBITED);
    }
  });

  it("knows the out-port in post-routing only", () => {
    const condition = (s: Scene) => ({ outPorts: [s.t.portId("r/out")] });
    const pre = network([], { inFilter: "c" });
    pre.t.chain("c", [{ type: "drop", condition: condition(pre) }]);
    assert.equal(pre.send("r/in", udp()).verdict, "delivered");
    const post = network([], { outFilter: "c" });
    post.t.chain("c", [{ type: "drop", condition: condition(post) }]);
    assert.equal(post.send("r/in", udp()).verdict, "dropped: filter-drop");
  });

  const routes: readonly (readonly [string, readonly RouteInput[], Options, string, readonly number[] | null])[] = [
    ["no route", [], { dst: "10.9.9.9" }, "dropped: no-route", ICMP.NET_UNREACHABLE],
    [
      "a black hole",
      [{ dst: "10.9.0.0/16", type: "BlackHole" }],
      { dst: "10.9.9.9" },
      "dropped: route-blackhole",
      null,
    ],
    [
      "a reject route",
      [{ dst: "10.9.0.0/16", type: "Reject" }],
      { dst: "10.9.9.9" },
      "rejected: route-reject",
      ICMP.PROHIBITED,
    ],
    ["its own address", [], { dst: "10.0.2.1" }, "dropped: local-address", null],
    ["a time to live of 1", [], { ttl: 1 }, "dropped: ttl-expired", ICMP.TTL_EXPIRED],
    [
      "a next hop outside the network of its port",
      [{ dst: "10.9.0.0/16", port: "out" }],
      { dst: "10.9.9.9" },
      "dropped: next-hop-unreachable",
      ICMP.HOST_UNREACHABLE,
    ],
    [
      "a gateway outside the network of its port",
      [{ dst: "10.9.0.0/16", port: "out", gateway: "10.7.7.7" }],
      { dst: "10.9.9.9" },
      "dropped: next-hop-unreachable",
      ICMP.NET_UNREACHABLE,
    ],
  ];
  for (const [what, extra, packet, verdict, error] of routes) {
    it(`meets ${what}`, () => {
      const o = network(extra).send("r/in", udp(packet));
      assert.equal(o.verdict, verdict);
      assert.deepEqual(answer(o), error);
      assert.equal(o.of("drop").length, 1);
    });
  }

  it("prefers the longer prefix, then the source, then the lesser weight", () => {
    const s = network([
      { dst: "10.0.2.20/32", src: "10.0.9.0/24", type: "BlackHole" },
      { dst: "10.0.2.16/28", type: "BlackHole", weight: 200 },
      { dst: "10.0.2.16/28", port: "out", weight: 50 },
    ]);
    assert.equal(s.send("r/in", udp()).verdict, "delivered");
    assert.equal(s.send("r/in", udp({ src: "10.0.9.1" })).verdict, "dropped: route-blackhole");
  });

  it("chooses among equal routes by the conversation: the same on repeat, spread over conversations", () => {
    const s = network([
      { dst: "10.9.0.0/16", port: "out", gateway: "10.0.2.20" },
      { dst: "10.9.0.0/16", port: "out", gateway: "10.0.2.21" },
    ]).neighbour("r", "10.0.2.21", "02:00:00:00:00:0c");
    const chosen = new Set<string>();
    for (let srcPort = 1; srcPort <= 64; srcPort++) {
      const frame = udp({ dst: "10.9.9.9", srcPort });
      const [a, b] = [s.send("r/in", frame), s.send("r/in", frame)];
      assert.equal(a.of("route-lookup")[0]?.candidates, 2);
      assert.deepEqual(a.of("route-lookup"), b.of("route-lookup"));
      chosen.add(a.of("route-lookup")[0]?.route?.gateway ?? "");
    }
    assert.equal(chosen.size, 2);
  });

  it("waits for the MAC of an unknown neighbour, and tells the sender when nobody answers", () => {
    const s = network();
    const o = s.send("r/in", udp({ dst: "10.0.2.99" }));
    const { wait } = o.ctx;
    assert.ok(wait?.for === "arp");
    assert.equal(formatIpv4(wait.ip), "10.0.2.99");
    assert.equal(wait.port.id, s.t.portId("r/out"));
    assert.equal(o.of("next-hop")[0]?.source, "asked");
    o.ctx.unanswered.add(neighbourKey(wait.router, wait.ip));
    new Simulation(s.view, s.state, new FakeGate()).run(o.ctx);
    assert.equal(o.verdict, "dropped: arp-timeout");
    assert.deepEqual(answer(o), ICMP.HOST_UNREACHABLE);
    assert.ok(o.ctx.shortLived);
  });

  it("asks nobody for the MAC of a router linked to it", () => {
    const t = new TopologyBuilder().router("r").router("s");
    t.routerPort("r/in", "10.0.1.1/24", { host: "h1", mac: IN }).routerPort("r/s", "10.0.3.1/30", { mac: OUT });
    t.routerPort("s/r", "10.0.3.2/30", { mac: "ac:ca:ba:00:00:03" }).routerPort("s/out", "10.0.2.1/24", { host: "h1" });
    t.link("r/s", "s/r");
    t.route("r", { dst: "10.0.2.0/24", port: "s", gateway: "10.0.3.2" }).route("s", {
      dst: "10.0.2.0/24",
      port: "out",
    });
    const o = new Scene(t).neighbour("s", "10.0.2.20", B).send("r/in", udp());
    assert.equal(o.verdict, "delivered");
    assert.deepEqual(
      o.of("next-hop").map((s) => [s.source, s.mac]),
      [
        ["linked-port", "ac:ca:ba:00:00:03"],
        ["arp-table", B],
      ],
    );
    assert.equal(o.ctx.outputs[0]?.header.nwTtl, 62);
  });

  it("answers an echo request for any of its addresses, and forwards no flow", () => {
    for (const dst of ["10.0.1.1", "10.0.2.1"]) {
      const ends = { ethSrc: mac(A), ethDst: mac(IN), ipSrc: ip("10.0.1.10"), ipDst: ip(dst) };
      const payload = Uint8Array.of(1, 2, 3);
      const o = network().send("r/in", buildIcmpEcho({ ...ends, icmpId: 7, seq: 3, payload }));
      assert.equal(o.verdict, "consumed");
      const reply = o.ctx.generatedPackets[0];
      const back = { ethSrc: mac(IN), ethDst: mac(A), ipSrc: ip(dst), ipDst: ip("10.0.1.10") };
      assert.deepEqual(reply?.frame, buildIcmpEcho({ ...back, reply: true, icmpId: 7, seq: 3, payload }));
      assert.equal(o.of("answer")[0]?.what, "echo-reply");
    }
  });
});

describe("ARP at a router port", () => {
  const request = (o: { from?: string; to?: string; ethDst?: string } = {}): Uint8Array =>
    buildArpRequest({
      senderMac: mac(A),
      senderIp: ip(o.from ?? "10.0.1.10"),
      targetIp: ip(o.to ?? "10.0.1.1"),
      ethDst: o.ethDst === undefined ? MAC_BROADCAST : mac(o.ethDst),
    });
  const reply = (to: string, o: { from?: string; target?: string } = {}): Uint8Array => {
    const ends = { senderMac: mac(A), senderIp: ip(o.from ?? "10.0.1.10"), targetIp: ip(o.target ?? "10.0.1.1") };
    return buildArpReply({ ...ends, targetMac: mac(to) });
  };

  const rows: readonly (readonly [string, Uint8Array, string, boolean, boolean])[] = [
    ["a request for it is learned and answered", request(), "consumed", true, true],
    ["a unicast request for it too", request({ ethDst: IN }), "consumed", true, true],
    ["a request for another is not its business", request({ to: "10.0.1.77" }), "dropped: arp-not-ours", false, false],
    [
      "a request from outside its network is refused",
      request({ from: "10.7.7.7" }),
      "dropped: arp-not-ours",
      false,
      false,
    ],
    ["a gratuitous request is learned, not answered", request({ to: "10.0.1.10" }), "consumed", true, false],
    ["a reply to it is learned", reply(IN), "consumed", true, false],
    ["a gratuitous reply is learned", reply(IN, { target: "10.0.1.10" }), "consumed", true, false],
    ["a message from its own address teaches nothing", request({ from: "10.0.1.1" }), "consumed", false, false],
    ["a truncated message is malformed", request().subarray(0, 30), "dropped: router-malformed", false, false],
  ];
  for (const [what, frame, verdict, learns, answers] of rows) {
    it(what, () => {
      const s = network();
      const o = s.send("r/in", frame);
      assert.equal(o.verdict, verdict);
      const learned = learns ? [{ router: s.t.routerId("r"), ip: ip("10.0.1.10"), mac: mac(A) }] : [];
      assert.deepEqual(o.ctx.arpLearns, learned);
      assert.equal(o.ctx.generatedPackets.length, answers ? 1 : 0);
      assert.equal(o.of("arp-learned").length, learns ? 1 : 0);
    });
  }

  it("the flow of a refused message refuses no other message", () => {
    const o = network().send("r/in", request({ to: "10.0.1.77" }));
    const mask = completeMask(o.ctx.original, o.ctx.seen, o.ctx.nwSrcBits, o.ctx.nwDstBits);
    assert.equal(mask.fields & (F.NwSrc | F.NwDst | F.NwProto), F.NwSrc | F.NwDst | F.NwProto);
    assert.deepEqual([mask.nwSrcBits, mask.nwDstBits], [32, 32]);
  });

  it("the answer names the port", () => {
    const frame = network().send("r/in", request()).ctx.generatedPackets[0]?.frame;
    const targets = { targetMac: mac(A), targetIp: ip("10.0.1.10") };
    assert.deepEqual(frame, buildArpReply({ senderMac: mac(IN), senderIp: ip("10.0.1.1"), ...targets }));
  });
});

describe("ICMP errors", () => {
  const ends = { ethSrc: mac(A), ethDst: mac(IN), ipSrc: ip("10.0.1.10"), ipDst: ip("10.9.9.9") };

  it("go out of the in-port, from its address, quoting the packet as the router got it", () => {
    const o = network().send("r/in", udp({ dst: "10.9.9.9", ttl: 9 }));
    const packet = decodeFrame(o.ctx.generatedPackets[0]?.frame ?? new Uint8Array(0));
    const ipv4 = packet.layers.find((l) => l.kind === "ipv4");
    assert.ok(ipv4?.kind === "ipv4");
    assert.deepEqual([formatIpv4(ipv4.src), formatIpv4(ipv4.dst)], ["10.0.1.1", "10.0.1.10"]);
    const error = packet.layers.find((l) => l.kind === "icmp-error");
    assert.ok(error?.kind === "icmp-error");
    assert.equal(error.quote[8], 9);
    assert.ok(packet.layers.every((l) => !("checksumOk" in l) || l.checksumOk));
    assert.equal(o.ctx.generatedPackets[0]?.port, o.ctx.startPort);
  });

  const later = udp({ dst: "10.9.9.9" });
  later.set([0x00, 0xb9], 20);
  const suppressed: readonly (readonly [string, Uint8Array])[] = [
    ["an ICMP error", buildIcmpError({ ...ends, type: 3, code: 1, quotedFrame: udp() })],
    ["a later fragment", later],
    ["a multicast destination", udp({ dst: "239.1.1.1" })],
    ["a broadcast destination", udp({ dst: "255.255.255.255" })],
    ["the broadcast address of the port's network", udp({ dst: "10.0.1.255", ttl: 1 })],
    ["the unspecified source", udp({ src: "0.0.0.0", dst: "10.9.9.9" })],
    ["a broadcast source", udp({ src: "255.255.255.255", dst: "10.9.9.9" })],
    ["a multicast source", udp({ src: "239.1.1.1", dst: "10.9.9.9" })],
  ];
  for (const [what, frame] of suppressed) {
    it(`are not sent about ${what}`, () => {
      const o = network().send("r/in", frame);
      assert.match(o.verdict, /^dropped/);
      assert.equal(answer(o), null);
      assert.equal(o.of("answer-suppressed").length, 1);
    });
  }

  it("are not sent from a port without address", () => {
    const t = new TopologyBuilder().router("r").routerPort("r/in", null, { host: "h1", mac: IN });
    const o = new Scene(t).send("r/in", udp());
    assert.equal(o.verdict, "dropped: no-route");
    assert.equal(answer(o), null);
  });

  it("are sent about echo requests and TCP", () => {
    for (const frame of [buildIcmpEcho({ ...ends, icmpId: 1, seq: 1 }), buildTcp({ ...ends, srcPort: 1, dstPort: 2 })])
      assert.deepEqual(answer(network().send("r/in", frame)), ICMP.NET_UNREACHABLE);
  });
});

describe("a trace rule", () => {
  function tracedTwice(decision: "trace" | "known" | "exhausted"): { ctx: PacketContext; gate: FakeGate } {
    const s = network();
    s.t
      .trace("t1", "r", { nwProto: 17 })
      .trace("t2", "r", {})
      .trace("other", "r", { nwProto: 6 })
      .trace("p", "r/out", {});
    const gate = new FakeGate(decision);
    const ctx = new PacketContext(s.view).begin(udp(), s.t.portId("r/in"), false);
    new Simulation(s.view, s.state, gate).run(ctx);
    return { ctx, gate };
  }

  it("starts the simulation again, once for all that match at a device, each decided once", () => {
    const { ctx, gate } = tracedTwice("trace");
    assert.equal(ctx.runs, 2);
    assert.equal(gate.asked.length, 2);
    assert.equal(ctx.verdict, "delivered");
    assert.deepEqual(
      ctx.recorder?.steps.filter((s) => s.kind === "trace-matched").map((s) => s.device.type),
      ["router", "router"],
    );
  });

  it("of a flow that is known narrows the flow without a restart; when exhausted it does not even that", () => {
    const known = tracedTwice("known").ctx;
    assert.equal(known.runs, 1);
    assert.ok(known.narrow && known.recorder === null);
    assert.equal(known.seen & (F.TpSrc | F.TpDst), F.TpSrc | F.TpDst);
    assert.equal(tracedTwice("exhausted").ctx.narrow, false);
  });
});

function withEthertype(frame: Uint8Array, type: number): Uint8Array {
  frame.set([type >>> 8, type & 255], 12);
  return frame;
}
