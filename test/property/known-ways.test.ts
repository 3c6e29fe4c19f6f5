/** Packets that take the way of an earlier one unsimulated, held against what their simulation says; ADR 0018. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FLOW_WORDS, MaskedWords, writeFlowWords } from "#core/datapath";
import { ETHERTYPE, F, type FlowMask, FlowMatch, FRAGMENT, IP_PROTO, isInstallable, UNTAGGED } from "#core/flows";
import { pushVlan } from "#core/packets";
import { PacketContext, Simulation } from "#core/simulation";
import { type Condition, normalizeCondition, SeenRange } from "#core/topology";
import * as fc from "fast-check";
import { Way } from "../../src/apps/agent/flow-registry.ts";
import { type KnownWay, KnownWays } from "../../src/apps/agent/known-ways.ts";
import { type PhysicalView, translate, type Translation } from "../../src/apps/agent/translation.ts";
import { ipv6Frame } from "../support/datapath-frames.ts";
import {
  agreeing,
  type FrameFields,
  frameFieldsArb,
  frameOf,
  type Network,
  networkArb,
  START,
  TRACEABLE,
  traceArb,
} from "../support/simulation-arbitraries.ts";
import { asFlowWould, fieldsOf, maskOf } from "../support/simulation-flows.ts";
import { FakeGate } from "../support/simulation-scene.ts";
import { GROUP_A, GROUP_B, groupView } from "../support/topology-arbitraries.ts";
import { type RuleInput, TopologyBuilder } from "../support/topology-builder.ts";

const MAX_PORT = 0xffff;
/** Bounds of ranges, and ports beside them. ICMP types and codes are among the low ones. */
const EDGES = [0, 1, 3, 7, 8, 9, 11, 80, 81, 443, 1024, 40_000, MAX_PORT - 1, MAX_PORT];
const edgeArb = fc.constantFrom(...EDGES);
const rangeArb = fc.oneof(
  edgeArb.map((port) => ({ start: port, end: port })),
  fc.tuple(edgeArb, edgeArb).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) })),
  edgeArb.map((end) => ({ start: null, end })),
  edgeArb.map((start) => ({ start, end: null })),
);

const rarely = <T>(arb: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: arb });
const often = <T>(arb: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
  fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, { weight: 3, arbitrary: arb });
const seldomTrue = fc.constantFrom(true, false, false, false, false);

/** Asks of ports mostly, now and then of what else decides whether ports are asked of at all. */
const portConditionArb: fc.Arbitrary<Condition> = fc
  .record({
    nwProto: rarely(fc.constantFrom(IP_PROTO.ICMP, IP_PROTO.TCP, IP_PROTO.UDP)),
    dlType: rarely(fc.constantFrom(ETHERTYPE.IPV4, ETHERTYPE.IPV6)),
    nwSrcAddress: rarely(fc.constantFrom("10.0.1.1", "10.0.1.2")),
    nwSrcLength: fc.constantFrom(24, 31, 32),
    portGroup: rarely(fc.constantFrom(GROUP_A, GROUP_B)),
    ipAddrGroupDst: rarely(fc.constant(new TopologyBuilder().ipAddrGroupId("g1") as string)),
    fragmentPolicy: rarely(fc.constantFrom("header" as const, "unfragmented" as const)),
    tpSrc: often(rangeArb),
    invTpSrc: seldomTrue,
    tpDst: often(rangeArb),
    invTpDst: seldomTrue,
    condInvert: seldomTrue,
  })
  .map((fields) =>
    normalizeCondition(Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))),
  );

const CHAINS = ["c1", "c2", "c3", "c4"] as const;
const chainNameArb = fc.constantFrom(...CHAINS);
const ruleArb = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom("accept", "return"), condition: portConditionArb }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constantFrom("drop", "reject"), condition: portConditionArb }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("jump"), to: chainNameArb, condition: portConditionArb }) },
) as fc.Arbitrary<RuleInput>;
const chainArb = fc.array(ruleArb, { minLength: 1, maxLength: 4 });

const placeArb = fc.record({
  device: fc.constantFrom("b1/vm1", "b1", "r1/p1", "r1", "r1/p2", "b2", "b2/vm2"),
  filter: fc.constantFrom("inboundFilterId" as const, "outboundFilterId" as const),
  chain: chainNameArb,
});

/** Networks in which filters ask of ports, and sometimes two routes of equal weight lead to the packet's destination. */
const portNetworkArb: fc.Arbitrary<Network> = fc
  .record({
    net: networkArb,
    chains: fc.record({ c1: chainArb, c2: chainArb, c3: rarely(chainArb), c4: rarely(chainArb) }),
    places: fc.array(placeArb, { minLength: 1, maxLength: 3 }),
    twoRoutes: fc.constantFrom(true, false, false),
  })
  .map(({ net, chains, places, twoRoutes }) => ({
    state: () => net.state(),
    build: () => {
      const t = net.build();
      for (const name of CHAINS) if (chains[name] !== null) t.chain(name, chains[name]);
      for (const { device, filter, chain } of places) t.patch(device, { [filter]: t.chainId(chain) });
      if (twoRoutes) t.route("r1", { dst: "10.0.2.1/32", port: "p1" }).route("r1", { dst: "10.0.2.1/32", port: "p2" });
      return t;
    },
  }));

interface Packet extends FrameFields {
  /** An IPv6 packet that can be read to its ports. */
  readonly readable: boolean;
  readonly inPort: number;
}

const anyPacketArb: fc.Arbitrary<Packet> = fc
  .record({ fields: frameFieldsArb, readable: fc.boolean(), inPort: fc.constantFrom(1, 1, 1, 1, 1, 2) })
  .map(({ fields, readable, inPort }) => ({ ...fields, readable, inPort }));
/** Such as has ports, mostly. */
const packetArb: fc.Arbitrary<Packet> = fc
  .record({
    packet: anyPacketArb,
    tpSrc: edgeArb,
    tpDst: edgeArb,
    nwProto: fc.constantFrom(IP_PROTO.ICMP, IP_PROTO.TCP, IP_PROTO.UDP, IP_PROTO.UDP),
    etherType: fc.constantFrom(ETHERTYPE.IPV4, ETHERTYPE.IPV4, ETHERTYPE.IPV4, ETHERTYPE.IPV6),
    changed: fc.constantFrom(true, true, true, true, false),
  })
  .map(({ packet, changed, ...ports }) => (changed ? { ...packet, ...ports } : packet));

function bytesOf(p: Packet): Uint8Array {
  if (p.etherType !== ETHERTYPE.IPV6 || !p.readable) return frameOf(p);
  const icmp = p.nwProto === IP_PROTO.ICMP;
  const frame = ipv6Frame(BigInt(p.nwSrc), BigInt(p.nwDst), {
    ethSrc: p.ethSrc,
    ethDst: p.ethDst,
    ttl: p.nwTtl,
    sport: icmp ? ((p.tpSrc & 255) << 8) | (p.tpDst & 255) : p.tpSrc,
    dport: p.tpDst,
  });
  frame[20] = icmp ? IP_PROTO.ICMPV6 : p.nwProto;
  return p.vlan === UNTAGGED ? frame : pushVlan(frame, p.vlan);
}

type PortPick = number | "low" | "high" | "below" | "above";
const portPickArb: fc.Arbitrary<PortPick> = fc.oneof(
  edgeArb,
  fc.nat({ max: MAX_PORT }),
  fc.constantFrom("low" as const, "high" as const, "below" as const, "above" as const),
);

/** How a packet to come is made from an earlier one. */
const changeArb = fc.record({
  like: fc.nat({ max: 5 }),
  tpSrc: often(portPickArb),
  tpDst: often(portPickArb),
  /** Agrees with the earlier one in what its flow compares, as far as "masked". */
  other: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 2, arbitrary: packetArb }),
  masked: fc.constantFrom(true, true, true, false),
  inPort: fc.constantFrom(null, null, null, null, 1, 2),
});
type Change = typeof changeArb extends fc.Arbitrary<infer T> ? T : never;

function pick(port: PortPick | null, range: SeenRange, own: number): number {
  switch (port) {
    case null:
      return own;
    case "low":
      return range.low;
    case "high":
      return range.high;
    case "below":
      return Math.max(0, range.low - 1);
    case "above":
      return Math.min(MAX_PORT, range.high + 1);
    default:
      return port;
  }
}

function changed(p: Packet, ctx: PacketContext, change: Change): Packet {
  const { other, masked } = change;
  const base = other === null ? p : masked ? { ...p, ...agreeing(p, other, maskOf(ctx)) } : other;
  return {
    ...base,
    inPort: change.inPort ?? base.inPort,
    tpSrc: pick(change.tpSrc, ctx.tpSrcRange, base.tpSrc),
    tpDst: pick(change.tpDst, ctx.tpDstRange, base.tpDst),
  };
}

/** A trace of one port is found by that port, not by asking for a range. */
const onePortArb: fc.Arbitrary<Condition> = fc
  .tuple(fc.constantFrom(IP_PROTO.TCP, IP_PROTO.UDP), edgeArb, fc.constantFrom("tpSrc", "tpDst"))
  .map(([nwProto, port, end]) => ({ nwProto, [end]: { start: port, end: port } }));
const traceOfPortsArb = fc.record({
  device: fc.constantFrom(...TRACEABLE),
  condition: fc.oneof(portConditionArb, onePortArb),
});
const tracesArb = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  {
    weight: 2,
    arbitrary: fc.array(fc.oneof(traceArb, traceOfPortsArb, traceOfPortsArb), { minLength: 1, maxLength: 3 }),
  },
);

/** A host that reaches every port. */
function physicalOf(t: TopologyBuilder): PhysicalView {
  const ofports = new Map(
    ["b1/vm1", "b1/other", "b2/vm2", "b3/vm3", "b4/vm4"].map((name, n) => [t.portId(name), n + 1]),
  );
  return {
    hostId: t.hostId("h1"),
    ofportOf: (port) => ofports.get(port.id) ?? null,
    tunnelIpOf: () => 0xc000_0201,
    tunnelOfport: 99,
  };
}

/** The network at work: one view for all its packets. */
class Walker {
  readonly net: Network;
  readonly traces: typeof tracesArb extends fc.Arbitrary<infer T> ? T : never;
  readonly t: TopologyBuilder;
  private readonly view;
  private readonly physical: PhysicalView;

  constructor(net: Network, traces: Walker["traces"]) {
    this.net = net;
    this.traces = traces;
    this.t = net.build();
    traces.forEach((trace, n) => void this.t.trace(`t${n}`, trace.device, trace.condition));
    this.view = this.t.snapshot();
    this.physical = physicalOf(this.t);
  }

  begin(p: Packet): PacketContext {
    const ctx = new PacketContext(this.view).begin(bytesOf(p), this.t.portId(START), false);
    ctx.original.inPort = p.inPort;
    return ctx;
  }

  simulate(p: Packet): PacketContext {
    const ctx = this.begin(p);
    new Simulation(this.view, this.net.state(), new FakeGate("known")).run(ctx);
    return ctx;
  }

  translated(ctx: PacketContext): Translation {
    return translate(ctx.original, ctx.outputs, this.physical, (port) => port.tunnelKey);
  }
}

/** What a packet that takes a known way may not have caused; empty for one whose way is kept. */
const extras = (ctx: PacketContext): unknown[] => [
  ...(ctx.wait === null ? [] : [ctx.wait.for]),
  ...(ctx.consumed ? ["consumed"] : []),
  ...(ctx.shortLived ? ["short-lived"] : []),
  ...ctx.generatedPackets,
  ...ctx.decisions,
];

/** As PacketWorkflow.install does. Null: nothing is kept of it. */
function remember(ways: KnownWays, walker: Walker, ctx: PacketContext): Way | null {
  const mask = maskOf(ctx);
  const t = walker.translated(ctx);
  if (!isInstallable(mask) || extras(ctx).length > 0 || t.outputs.some((o) => o.kind === "lost")) return null;
  const way = new Way(mask, t.actions, [...ctx.tags, ...t.tags], ctx.startPort, { idleMs: 60_000, hardMs: 0 });
  ways.remember(ctx, way, null);
  return ways.find(ctx.original) === null ? null : way;
}

/** The packet of `ctx`, simulated, fares as the way says that was found for it. */
function assertSame(walker: Walker, ctx: PacketContext, first: PacketContext, known: KnownWay): void {
  assert.deepEqual(extras(ctx), []);
  assert.deepEqual([known.verdict, known.dropReason], [ctx.verdict, ctx.dropReason]);
  assert.deepEqual(
    ctx.outputs.map((o) => ({ port: o.port.id, header: fieldsOf(o.header) })),
    asFlowWould(first, ctx.original),
  );
  const t = walker.translated(ctx);
  assert.deepEqual(known.way.actions, t.actions);
  assert.deepEqual(known.way.tags, [...ctx.tags, ...t.tags]);
  assert.deepEqual(known.way.mask, maskOf(ctx));
  assert.deepEqual(first.learns, ctx.learns);
}

describe("a packet for which a way is known", () => {
  it("fares as its simulation says, whatever its ports", () => {
    const hits = { all: 0, otherPorts: 0, otherFields: 0, traces: 0, dropped: 0, forwarded: 0, flooded: 0 };
    const of = { icmp: 0, ipv6: 0, tagged: 0, fragments: 0 };
    let missed = 0;
    fc.assert(
      fc.property(
        portNetworkArb,
        tracesArb,
        fc.array(packetArb, { minLength: 3, maxLength: 8 }),
        fc.array(changeArb, { minLength: 10, maxLength: 10 }),
        (net, traces, packets, changes) => {
          const walker = new Walker(net, traces);
          const ways = new KnownWays();
          const firsts = packets.flatMap((packet) => {
            const ctx = walker.simulate(packet);
            const way = remember(ways, walker, ctx);
            return way === null ? [] : [{ packet, ctx, way }];
          });
          if (firsts.length === 0) return;
          for (const change of changes) {
            const { packet, ctx } = firsts[change.like % firsts.length] as (typeof firsts)[number];
            const next = changed(packet, ctx, change);
            const known = ways.find(walker.begin(next).original);
            if (known === null) {
              missed++;
              continue;
            }
            const again = walker.simulate(next);
            const first = firsts.find(({ way }) => way === known.way)?.ctx as PacketContext;
            assertSame(walker, again, first, known);
            const o = again.original;
            hits.all++;
            if (o.tpSrc !== first.original.tpSrc || o.tpDst !== first.original.tpDst) hits.otherPorts++;
            if (change.other !== null) hits.otherFields++;
            if (traces.length > 0) hits.traces++;
            if (again.outputs.length === 0) hits.dropped++;
            else if (again.outputs.length === 1) hits.forwarded++;
            else hits.flooded++;
            if (o.nwProto === IP_PROTO.ICMP) of.icmp++;
            if (o.etherType === ETHERTYPE.IPV6) of.ipv6++;
            if (o.vlan !== UNTAGGED) of.tagged++;
            if (o.fragment === FRAGMENT.FIRST) of.fragments++;
          }
        },
      ),
      { numRuns: 2500 },
    );
    const { all, ...kinds } = hits;
    assert.ok(all > 3_000 && missed > 3_000, `${all} hits, ${missed} missed`);
    for (const [kind, count] of Object.entries({ ...kinds, ...of })) assert.ok(count > 100, `${kind}: ${count} hits`);
  });

  it("is not another that only hashes alike", () => {
    const mask: FlowMask = {
      fields: F.InPort | F.EtherType | F.NwProto | F.Fragment | F.NwSrc | F.NwDst,
      nwSrcBits: 32,
      nwDstBits: 32,
    };
    const [a, b] = hashedAlike(mask);
    const ways = new KnownWays();
    const ctx = new PacketContext(groupView);
    ctx.original.copyFrom(a);
    const way = new Way({ ...mask, fields: mask.fields | F.TpDst }, [], [], null, { idleMs: 0, hardMs: 0 });
    ways.remember(ctx, way, null);
    assert.equal(ways.find(Object.assign(a.clone(), { tpDst: 1 }))?.way, way);
    assert.equal(ways.find(b), null);
  });
});

/** Two packets that the mask tells apart, and its hash does not. */
function hashedAlike(mask: FlowMask): [FlowMatch, FlowMatch] {
  const masked = new MaskedWords(mask);
  const words = new Int32Array(FLOW_WORDS);
  const byHash = new Map<number, FlowMatch>();
  for (let i = 1; i < 1_000_000; i++) {
    const m = new FlowMatch();
    m.etherType = ETHERTYPE.IPV4;
    m.nwProto = IP_PROTO.UDP;
    m.nwSrc = Math.imul(i, 0x6c07_8965) >>> 0;
    m.nwDst = Math.imul(i ^ (i >>> 7), 0x27d4_eb2f) >>> 0;
    writeFlowWords(m, words);
    const hash = masked.hash(words);
    const other = byHash.get(hash);
    if (other !== undefined) return [other, m];
    byHash.set(hash, m);
  }
  throw new Error("no two packets with one hash");
}

describe("the ports for which ranges answer as for a packet's", () => {
  const portArb = fc.oneof(fc.nat({ max: MAX_PORT }), edgeArb, fc.nat({ max: 20 }));
  const rangesArb = fc.array(
    fc.tuple(portArb, portArb).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const),
    { maxLength: 8 },
  );

  it("are all that lie between two bounds, and the ports beyond are answered otherwise", () => {
    fc.assert(
      fc.property(portArb, rangesArb, fc.array(portArb, { maxLength: 20 }), (value, ranges, others) => {
        const seen = new SeenRange();
        for (const [start, end] of ranges) seen.narrow(value, start, end);
        const { low, high } = seen;
        const answers = (port: number): string =>
          ranges.map(([start, end]) => +(port >= start && port <= end)).join("");
        assert.ok(low <= value && value <= high);
        const near = [low, high, ...ranges.flat()].flatMap((bound) => [bound - 1, bound, bound + 1]);
        for (const port of [...near, ...others]) {
          if (port >= low && port <= high) assert.equal(answers(port), answers(value), `port ${port}`);
        }
        if (low > 0) assert.notEqual(answers(low - 1), answers(value));
        if (high < MAX_PORT) assert.notEqual(answers(high + 1), answers(value));
      }),
      { numRuns: 5000 },
    );
  });

  it("are all ports again for the next packet", () => {
    const seen = new SeenRange();
    seen.narrow(5, 3, 9);
    seen.reset();
    assert.deepEqual([seen.low, seen.high], [0, MAX_PORT]);
  });
});
