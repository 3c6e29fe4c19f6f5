import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { writeU16 } from "#core/base";
import {
  buildIcmpError,
  buildUdp,
  decodeFrame,
  formatIpv4,
  ICMP_QUOTE_MAX_BYTES,
  icmpMtu,
  type Ipv6,
  type Layer,
  locate,
  MAC_BROADCAST,
  type Mac,
} from "#core/packets";
import { type Cluster, type ClusterPlan, ip, routedPlan, vmPlan } from "../support/cluster.ts";
import {
  assertComplete,
  assertDropped,
  egressOf,
  GATEWAY,
  onCluster,
  onlyIngress,
  rawFrame,
  SILENT,
  stepsOf,
  wireOf,
  wireText,
} from "../support/cluster-kit.ts";
import { ipv6Frame } from "../support/datapath-frames.ts";
import { reassemble } from "../support/reassembly.ts";

const UNDERLAY_MTU = 1_500;
/** Of an IP packet in the tunnel: less 20 (IPv4), 8 (UDP), 8 (VXLAN) and 14 (Ethernet). */
const MTU = 1_450;
const DB = { mac: 0x02_00_00_00_00_02, ip: "10.0.2.20" };
const WEB3 = { mac: 0x02_00_00_00_00_03, ip: "10.0.1.30" };

type Found<K extends Layer["kind"]> = Extract<Layer, { kind: K }>;
function layerOf<K extends Layer["kind"]>(frame: Uint8Array | undefined, kind: K): Found<K> {
  assert.ok(frame, "a frame");
  const found = decodeFrame(frame).layers.find((l) => l.kind === kind);
  assert.ok(found, `no ${kind}`);
  return found as Found<K>;
}
const has = (frame: Uint8Array, kind: Layer["kind"]): boolean => decodeFrame(frame).layers.some((l) => l.kind === kind);

const onMtu = (plan: ClusterPlan, work: (c: Cluster) => Promise<void>): Promise<void> =>
  onCluster({ ...plan, underlayMtu: UNDERLAY_MTU }, async (c) => {
    // Neighbours are known, and every device is loaded.
    for (const vm of c.vms.keys()) c.inject(vm, greeting(c, vm));
    await c.settle(100);
    for (const got of c.received.values()) got.length = 0;
    c.wire.length = 0;
    await work(c);
  });
/** A short broadcast, so that every bridge knows where the VM is. */
function greeting(c: Cluster, vm: string): Uint8Array {
  const { mac, ip: own } = c.vm(vm).config;
  return buildUdp({ ethSrc: mac, ethDst: MAC_BROADCAST, ipSrc: own, ipDst: ip("10.0.1.255"), srcPort: 9, dstPort: 9 });
}
const onRouted = (work: (c: Cluster) => Promise<void>): Promise<void> =>
  onMtu(routedPlan(), async (c) => {
    await c.during(c.vm("red-1").ping(ip(DB.ip), { id: 1 }));
    for (const got of c.received.values()) got.length = 0;
    c.wire.length = 0;
    await work(c);
  });

/** UDP of red-1 in an IP packet of so many bytes. */
function packet(
  to: { mac: number; ip: string },
  ipBytes: number,
  more: { dontFragment?: boolean; vlans?: readonly number[]; sport?: number; from?: string; ethSrc?: number } = {},
): Uint8Array {
  return buildUdp({
    ethSrc: (more.ethSrc ?? 0x02_00_00_00_00_01) as Mac,
    ethDst: to.mac as Mac,
    ipSrc: ip(more.from ?? "10.0.1.10"),
    ipDst: ip(to.ip),
    id: 0x1234,
    dontFragment: more.dontFragment ?? true,
    srcPort: more.sport ?? 4_000,
    dstPort: SILENT,
    payload: Uint8Array.from({ length: ipBytes - 28 }, (_, i) => (i * 13 + (i >> 8)) & 0xff),
    ...(more.vlans === undefined ? {} : { vlans: more.vlans }),
  });
}

async function send(c: Cluster, frame: Uint8Array, from = "red-1"): Promise<void> {
  c.inject(from, frame);
  await c.settle(100);
}

/** The ICMP error that red-1 got, checked: whole, for red-1, about this frame as red-1 sent it. */
function theError(
  c: Cluster,
  about: Uint8Array,
  mtu = MTU,
): { error: Found<"icmp-error">; from: string; frame: Uint8Array } {
  const errors = c.got("red-1").filter((f) => has(f, "icmp-error"));
  assert.equal(errors.length, 1, "one error");
  const frame = errors[0] as Uint8Array;
  const error = layerOf(frame, "icmp-error");
  const l3 = layerOf(frame, "ipv4");
  assert.deepEqual([error.type, error.code, icmpMtu(error)], [3, 4, mtu]);
  assert.ok(error.checksumOk === true && l3.checksumOk);
  assert.equal(formatIpv4(l3.dst), "10.0.1.10");
  assert.equal(layerOf(frame, "ethernet").dst, 0x02_00_00_00_00_01);
  const quoted = about.subarray(locate(about).l3Offset).subarray(0, ICMP_QUOTE_MAX_BYTES);
  assert.deepEqual(error.quote, quoted, "the packet as it was sent");
  assert.ok(frame.length <= 576 + 22, "RFC 1812 §4.3.2.3");
  return { error, from: formatIpv4(l3.src), frame };
}

/** A VM as Linux does it (RFC 1191 §3): sends with DF, and lowers its packet size as it is told. */
async function discover(c: Cluster, to: { mac: number; ip: string }): Promise<number[]> {
  const tried: number[] = [];
  for (let size = 1_500; tried.length < 5; ) {
    tried.push(size);
    c.got("red-1").length = 0;
    await send(c, packet(to, size));
    const told = c.got("red-1").find((f) => has(f, "icmp-error"));
    if (told === undefined) return tried;
    const mtu = icmpMtu(layerOf(told, "icmp-error"));
    assert.ok(mtu !== null && mtu < size, "it is told to send less");
    size = mtu;
  }
  return tried;
}

describe("packets too long for the tunnel that must not be fragmented", () => {
  it("routed: the sender is told by the router it sent to, lowers its size, and gets through", () =>
    onRouted(async (c) => {
      const frame = packet(GATEWAY, 1_500);
      await send(c, frame);
      const { from, frame: error } = theError(c, frame);
      assert.equal(from, "10.0.1.1", "as the first hop of a traceroute");
      assert.equal(layerOf(error, "ethernet").src, GATEWAY.mac);
      assert.deepEqual(c.got("red-2"), []);
      assert.deepEqual(wireOf(c), [], "nothing went into the tunnel");
      assert.equal(c.agent("h1").counters().drops["too-big-for-tunnel"], 1);
      assert.deepEqual(await discover(c, GATEWAY), [1_500, MTU]);
      assert.equal(layerOf(c.got("red-2").at(-1), "payload").bytes.length, MTU - 28);
    }));

  it("bridged: the error comes from the destination, back out of the port, with its MAC", () =>
    onRouted(async (c) => {
      const frame = packet(WEB3, MTU + 1);
      await send(c, frame);
      const { from, frame: error } = theError(c, frame);
      assert.equal(from, WEB3.ip);
      assert.equal(layerOf(error, "ethernet").src, WEB3.mac);
      assert.deepEqual(c.got("red-3"), []);
      assert.deepEqual(await discover(c, WEB3), [1_500, MTU]);
      assert.equal(c.got("red-3").length, 1);
    }));

  it("tagged: the error has the tags that the packet had", () =>
    onRouted(async (c) => {
      for (const vlans of [[12], [100, 12]]) {
        c.got("red-1").length = 0;
        const frame = packet(WEB3, 1_500, { vlans });
        await send(c, frame);
        // Each tag takes four bytes of what fits.
        const mtu = MTU - 4 * vlans.length;
        const { frame: error, from } = theError(c, frame, mtu);
        assert.equal(from, WEB3.ip);
        assert.deepEqual(
          layerOf(error, "ethernet").tags.map((t) => t.vid),
          vlans,
        );
        assert.equal(c.got("red-3").length, 0);
        await send(c, packet(WEB3, mtu, { vlans }));
        assert.equal(c.got("red-3").splice(0).length, 1);
      }
    }));

  it("each of them comes up, and its flow serves the short ones from the first on", () =>
    onRouted(async (c) => {
      const { agent, datapath } = { agent: c.agent("h1"), datapath: c.switch("h1") };
      const before = agent.counters();
      for (let i = 0; i < 3; i++) await send(c, packet(GATEWAY, 1_500, { sport: 7_000 }));
      assert.equal(agent.counters().tooBigTold - before.tooBigTold, 3);
      const { hits, upcalls } = datapath.stats();
      await send(c, packet(GATEWAY, 500, { sport: 7_000 }));
      assert.deepEqual(
        [datapath.stats().hits - hits, datapath.stats().upcalls - upcalls],
        [1, 0],
        "the short one was served by the flow that the long one installed",
      );
      assert.equal(c.got("red-2").length, 1);
      await c.time.advance(6_000);
      await send(c, packet(GATEWAY, 500, { sport: 7_000 }));
      assert.equal(datapath.stats().upcalls, upcalls, "it is an ordinary flow, no drop that passes");
    }));

  it("to a VM on the same host any length passes", () =>
    onMtu(floodPlan(), async (c) => {
      await send(c, packet({ mac: 0x02_00_00_00_00_05, ip: "10.0.1.50" }, 1_500), "red-1");
      assert.equal(c.got("red-5").length, 1);
      assert.deepEqual(c.got("red-1"), []);
    }));
});

describe("packets too long for the tunnel that may be fragmented", () => {
  it("routed: fragments make the packet again, as the router has rewritten it", () =>
    onRouted(async (c) => {
      await send(c, packet(GATEWAY, 4_000, { dontFragment: false }));
      const got = c.got("red-2");
      assert.equal(got.length, 3);
      for (const f of got) assert.ok(f.length <= MTU + 14 && layerOf(f, "ipv4").checksumOk);
      const whole = reassemble(got);
      const l3 = layerOf(whole, "ipv4");
      assert.deepEqual([l3.ttl, l3.checksumOk, layerOf(whole, "udp").checksumOk], [63, true, true]);
      assert.equal(layerOf(whole, "ethernet").dst, DB.mac);
      const sent = packet(GATEWAY, 4_000, { dontFragment: false });
      assert.deepEqual(layerOf(whole, "payload").bytes, layerOf(sent, "payload").bytes);
      assert.deepEqual(c.got("red-1"), [], "nobody is told");
      assert.equal(c.agent("h1").counters().fragmented, 1);
    }));

  it("bridged, tagged and with padding behind the packet", () =>
    onRouted(async (c) => {
      const frame = packet(WEB3, 2_000, { dontFragment: false, vlans: [12] });
      const padded = new Uint8Array(frame.length + 30);
      padded.set(frame);
      await send(c, padded);
      assert.deepEqual(reassemble(c.got("red-3").splice(0)), frame);
      const fits = packet(WEB3, MTU);
      const fat = new Uint8Array(fits.length + 30);
      fat.set(fits);
      await send(c, fat);
      assert.deepEqual(c.got("red-3"), [fits], "only the padding was too much");
      assert.deepEqual(c.got("red-1"), []);
    }));

  it("a flood: the copy for this host stays whole, each other host gets fragments", () =>
    onMtu(floodPlan(), async (c) => {
      const frame = packet({ mac: MAC_BROADCAST, ip: "10.0.1.255" }, 3_000, { dontFragment: false });
      await send(c, frame);
      assert.deepEqual(c.got("red-5"), [frame]);
      for (const vm of ["red-2", "red-3"]) {
        assert.equal(c.got(vm).length, 3, vm);
        assert.deepEqual(reassemble(c.got(vm)), frame);
      }
      assert.deepEqual(c.got("red-1"), []);
      await send(c, packet({ mac: MAC_BROADCAST, ip: "10.0.1.255" }, 3_000));
      assert.deepEqual([c.got("red-5").length, c.got("red-2").length, c.got("red-3").length], [2, 3, 3]);
      assert.deepEqual(c.got("red-1"), [], "no error about a broadcast");
    }));
});

describe("packets too long for the tunnel that nobody is told of", () => {
  const silent: readonly [what: string, because: RegExp, frame: (c: Cluster) => Uint8Array][] = [
    ["not IP", /neither IPv4 nor IPv6/, () => rawFrame(WEB3.mac, 0x02_00_00_00_00_01, 0x88b5, new Uint8Array(1_500))],
    [
      "an ICMP error",
      /itself an ICMP message/,
      () => {
        const quotedFrame = packet(WEB3, 100);
        const error = buildIcmpError({
          ethSrc: 0x02_00_00_00_00_01 as Mac,
          ethDst: WEB3.mac as Mac,
          ipSrc: ip("10.0.1.10"),
          ipDst: ip(WEB3.ip),
          dontFragment: true,
          ipOptions: new Uint8Array(40).fill(1),
          type: 3,
          code: 1,
          quotedFrame,
        });
        return stretched(error, 1_500);
      },
    ],
    ["a later fragment", /later fragment/, () => patched(packet(WEB3, 1_500), (f) => writeU16(f, 20, 0x4000 | 100))],
    ["no source address", /no single sender/, () => packet(WEB3, 1_500, { from: "0.0.0.0" })],
    ["a multicast source", /no single sender/, () => packet(WEB3, 1_500, { from: "224.1.1.1" })],
    ["a multicast destination", /multicast address/, () => packet({ mac: WEB3.mac, ip: "224.1.1.1" }, 1_500)],
    ["a group MAC", /group MAC/, () => packet({ mac: 0x01_00_5e_00_00_09, ip: WEB3.ip }, 1_500)],
  ];
  for (const [what, because, frameOf] of silent)
    it(`${what}: dropped, and a trace says why`, () =>
      onRouted(async (c) => {
        await c.trace("BRIDGE", await c.deviceNamed("bridges", "web"), {});
        await send(c, frameOf(c));
        assert.deepEqual(
          c.got("red-1").filter((f) => has(f, "icmp-error")),
          [],
        );
        assert.deepEqual(c.got("red-3"), []);
        const segment = onlyIngress(c);
        assert.equal(segment.verdict, "dropped");
        assertDropped(segment, "too-big-for-tunnel");
        assert.deepEqual(
          stepsOf(segment, "too-big").map((s) => [s.limitBytes, s.mtuBytes, s.fragments]),
          [[MTU + 14, MTU, 0]],
        );
        assert.match(stepsOf(segment, "answer-suppressed")[0]?.because ?? "", because);
        assertComplete(c.flowTraces());
      }));

  it("a router without an address by which the packet came has none to send from", () => {
    const { topology, ...plan } = routedPlan();
    const text = JSON.stringify(topology).replace('"address":"10.0.1.1/24",', "");
    return onMtu({ ...plan, topology: JSON.parse(text) as Record<string, unknown> }, async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "web"), { nwProto: 17, dlType: 0x0800 });
      await send(c, packet(GATEWAY, 1_500));
      await c.settle(1_000);
      const segment = onlyIngress(c);
      assertDropped(segment, "too-big-for-tunnel");
      assert.equal(stepsOf(segment, "answer-suppressed")[0]?.because, "the router port has no address to send from");
      assert.deepEqual(
        c.got("red-1").filter((f) => has(f, "icmp-error")),
        [],
      );
    });
  });

  it("errors are limited for each port, and a trace says so", () =>
    onRouted(async (c) => {
      const last = { nwProto: 17, tpSrc: { start: 4_001, end: 4_001 } };
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "web"), last);
      for (let i = 0; i < 150; i++) c.inject("red-1", packet(WEB3, 1_500, { sport: i < 149 ? 4_000 : 4_001 }));
      await c.settle(5);
      assert.equal(c.got("red-1").length, 100);
      const segment = onlyIngress(c);
      assertDropped(segment, "too-big-for-tunnel");
      assert.equal(segment.verdict, "dropped", "nobody was told of this one");
      assert.equal(stepsOf(segment, "answer-suppressed")[0]?.because, "more than 100 errors a second for this port");
      c.got("red-1").length = 0;
      const back = { from: WEB3.ip, ethSrc: WEB3.mac };
      await send(c, packet({ mac: 0x02_00_00_00_00_01, ip: "10.0.1.10" }, 1_500, back), "red-3");
      assert.equal(c.got("red-3").length, 1, "the port of another VM has its own");
      await c.time.advance(2_000);
      await send(c, packet(WEB3, 1_500));
      assert.equal(c.got("red-1").length, 1, "later there are tokens again");
    }));
});

describe("IPv6 packets too long for the tunnel", () => {
  const [src, dst] = [0xfd00_0000_0000_0000_0000_0000_0000_0001n, 0xfd00_0000_0000_0000_0000_0000_0000_0003n];
  const six = (ipBytes: number, more: { src?: bigint; dst?: bigint } = {}): Uint8Array =>
    ipv6Frame(more.src ?? src, more.dst ?? dst, {
      ethSrc: 0x02_00_00_00_00_01,
      ethDst: WEB3.mac,
      payload: new Uint8Array(ipBytes - 48).fill(0x5a),
    });

  it("the sender is told: Packet Too Big from the destination; then it gets through", () =>
    onRouted(async (c) => {
      const frame = six(1_500);
      await send(c, frame);
      const [error] = c.got("red-1");
      const big = layerOf(error, "icmpv6-error");
      assert.deepEqual([big.type, big.code, big.rest, big.checksumOk], [2, 0, MTU, true]);
      assert.deepEqual(big.quote, frame.subarray(14, 14 + 1_232));
      const l3 = layerOf(error, "ipv6");
      assert.deepEqual([l3.src, l3.dst], [dst as Ipv6, src as Ipv6]);
      assert.deepEqual(
        [layerOf(error, "ethernet").src, layerOf(error, "ethernet").dst],
        [WEB3.mac, 0x02_00_00_00_00_01],
      );
      assert.deepEqual(c.got("red-3"), []);
      await send(c, six(MTU));
      assert.equal(c.got("red-3").length, 1);
    }));

  it("is not told of multicast, without a source, or of an error", () =>
    onRouted(async (c) => {
      const error = six(1_500);
      error[20] = 58;
      error[54] = 2;
      for (const frame of [six(1_500, { dst: 0xff02n << 112n }), six(1_500, { src: 0n }), error]) await send(c, frame);
      assert.deepEqual(c.got("red-1"), []);
      assert.equal(c.agent("h1").counters().tooBigSilent, 3);
    }));
});

describe("traces of packets too long for the tunnel", () => {
  it("not sent: the trace says the lengths, the error and the verdict; the error is traced as any generated packet", () =>
    onRouted(async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "web"), {});
      await send(c, packet(GATEWAY, 1_500));
      const traces = c.flowTraces();
      assertComplete(traces);
      const [first, second] = traces;
      assert.deepEqual([first?.verdict, first?.dropReason], ["rejected", "too-big-for-tunnel"]);
      const segment = first?.segments[0];
      const tooBig = stepsOf(segment, "too-big")[0];
      assert.deepEqual([tooBig?.lengthBytes, tooBig?.limitBytes, tooBig?.mtuBytes], [1_514, 1_464, MTU]);
      assert.equal(stepsOf(segment, "answer")[0]?.summary, "packet too big to 10.0.1.10, next-hop MTU 1450");
      assert.equal(stepsOf(segment, "answer")[0]?.device.name, "router");
      assert.equal(stepsOf(segment, "tunnel-sent").length, 0);
      assert.notEqual(stepsOf(segment, "flow")[0]?.match, null, "the short ones have their flow");
      assert.deepEqual(egressOf(c), []);
      assert.equal(second?.verdict, "delivered");
      const made = stepsOf(second?.segments[0], "packet-generated")[0];
      assert.equal(made?.cause, "ICMP error of router router: too big for the tunnel");
      assert.deepEqual([made.header.icmpType, made.header.icmpCode], [3, 4]);
    }));

  it("sent in fragments: each with its state ahead of it, joined to one complete trace", () =>
    onRouted(async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "web"), {});
      await send(c, packet(GATEWAY, 4_000, { dontFragment: false }));
      const kinds = wireText(wireOf(c).filter((w) => w.from === "h1"));
      assert.deepEqual(kinds, [
        ...Array.from({ length: 3 }, () => "h1>h2 state"),
        ...Array.from({ length: 3 }, () => "h1>h2 traced"),
      ]);
      const traces = c.flowTraces();
      assert.equal(traces.length, 1);
      assertComplete(traces);
      assert.equal(traces[0]?.verdict, "delivered");
      assert.equal(traces[0].segments.length, 4, "the ingress, and an egress for each fragment");
      assert.equal(stepsOf(onlyIngress(c), "tunnel-sent").length, 3);
      assert.deepEqual(
        stepsOf(onlyIngress(c), "too-big").map((s) => s.fragments),
        [3],
      );
      assert.equal(layerOf(reassemble(c.got("red-2")), "udp").checksumOk, true);
    }));

  it("a flood: what stays here is delivered, the rest is dropped, and both are said", () =>
    onMtu(floodPlan(), async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "web"), {});
      await send(c, packet({ mac: MAC_BROADCAST, ip: "10.0.1.255" }, 1_500));
      const segment = onlyIngress(c);
      assert.equal(segment.verdict, "flooded");
      assert.equal(stepsOf(segment, "delivered").length, 1);
      assert.deepEqual(
        stepsOf(segment, "drop").map((s) => s.reason),
        ["too-big-for-tunnel", "too-big-for-tunnel"],
      );
      assertComplete(c.flowTraces());
      assert.deepEqual(wireOf(c), []);
    }));
});

/** A bridge over three hosts: red-1 and red-5 on h1, red-2 on h2, red-3 on h3. */
function floodPlan(): ClusterPlan {
  const vms = [
    ["red-1", "h1", "02:00:00:00:00:01", "10.0.1.10"],
    ["red-5", "h1", "02:00:00:00:00:05", "10.0.1.50"],
    ["red-2", "h2", "02:00:00:00:00:02", "10.0.1.20"],
    ["red-3", "h3", "02:00:00:00:00:03", "10.0.1.30"],
  ] as const;
  return {
    hosts: { h1: "192.0.2.1", h2: "192.0.2.2", h3: "192.0.2.3" },
    topology: {
      bridges: [
        {
          name: "web",
          tenant: "red",
          ports: vms.map(([name, host]) => ({ name, bind: { host, interface: `tap-${name}` } })),
        },
      ],
    },
    vms: vms.map(([name, host, mac, address]) => vmPlan(name, host, mac, address, null)),
  };
}

function patched(frame: Uint8Array, change: (f: Uint8Array) => void): Uint8Array {
  change(frame);
  return frame;
}

/** The packet made longer by zeros that belong to it. */
function stretched(frame: Uint8Array, ipBytes: number): Uint8Array {
  const long = new Uint8Array(14 + ipBytes);
  long.set(frame);
  writeU16(long, 16, ipBytes);
  return long;
}
