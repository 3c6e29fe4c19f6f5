import { writeU16 } from "#core/base";
import { ETHERTYPE, F, type FlowMask, FlowMatch, FRAGMENT, IP_PROTO, parseFlowMatch, UNTAGGED } from "#core/flows";
import {
  buildArpReply,
  buildArpRequest,
  buildIcmpEcho,
  buildTcp,
  buildUdp,
  type Ipv4,
  type Mac,
  pushVlan,
} from "#core/packets";
import type { Condition } from "#core/topology";
import * as fc from "fast-check";
import { FakeFlowState, ip, mac } from "./simulation-scene.ts";
import { conditionArb as anyConditionArb, GROUP_A, GROUP_B } from "./topology-arbitraries.ts";
import { type RuleInput, TopologyBuilder } from "./topology-builder.ts";

/*
 * Random networks, and real frames for them. Addresses are those of topology-arbitraries.ts, so that random conditions and
 * random packets meet.
 */

/** The header fields a frame is built from. */
export interface FrameFields {
  readonly ethSrc: number;
  readonly ethDst: number;
  readonly etherType: number;
  readonly vlan: number;
  readonly nwProto: number;
  readonly nwSrc: number;
  readonly nwDst: number;
  readonly nwTos: number;
  readonly nwTtl: number;
  readonly fragment: number;
  readonly tpSrc: number;
  readonly tpDst: number;
  readonly icmpId: number;
}

const IPS = ["10.0.1.1", "10.0.1.2", "10.0.2.1", "10.0.2.254", "10.1.1.1", "192.168.0.1", "10.0.1.255"].map(ip);
const MACS = ["02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff", "ac:ca:00:00:00:01"].map(mac);
const ROUTER_MAC = mac("ac:ca:00:00:00:01");
const PORTS = [0, 3, 8, 11, 80, 443, 65535];

const often = <T>(value: T, others: readonly T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(value) }, { weight: 2, arbitrary: fc.constantFrom(...others) });

export const frameFieldsArb: fc.Arbitrary<FrameFields> = fc.record({
  ethSrc: often<number>(MACS[0] as Mac, MACS),
  ethDst: often<number>(ROUTER_MAC, MACS),
  etherType: often<number>(ETHERTYPE.IPV4, [ETHERTYPE.ARP, ETHERTYPE.IPV6, 0x88cc]),
  vlan: often(UNTAGGED, [5, 9]),
  nwProto: fc.constantFrom(1, 2, 6, 17),
  nwSrc: fc.constantFrom<number>(...IPS),
  nwDst: often<number>(ip("10.0.2.1"), IPS),
  nwTos: fc.constantFrom(0, 8),
  nwTtl: often(64, [1, 2, 3]),
  fragment: often<number>(FRAGMENT.NONE, [FRAGMENT.FIRST, FRAGMENT.LATER]),
  tpSrc: fc.constantFrom(...PORTS),
  tpDst: fc.constantFrom(...PORTS),
  icmpId: fc.constantFrom(7, 9),
});

/** A well-formed frame with these fields, as far as such a frame has them. */
export function frameOf(f: FrameFields): Uint8Array {
  const frame = untagged(f);
  return f.vlan === UNTAGGED ? frame : pushVlan(frame, f.vlan);
}

function untagged(f: FrameFields): Uint8Array {
  const eth = { ethSrc: f.ethSrc as Mac, ethDst: f.ethDst as Mac };
  if (f.etherType === ETHERTYPE.ARP) {
    const ends = { senderMac: f.ethSrc as Mac, senderIp: f.nwSrc as Ipv4, targetIp: f.nwDst as Ipv4 };
    if (f.nwProto === 2) return buildArpReply({ ...ends, targetMac: f.ethDst as Mac });
    return buildArpRequest({ ...ends, ethDst: f.ethDst as Mac });
  }
  const l3 = { ...eth, ipSrc: f.nwSrc as Ipv4, ipDst: f.nwDst as Ipv4, ttl: f.nwTtl, tos: f.nwTos };
  const ports = { srcPort: f.tpSrc, dstPort: f.tpDst };
  let frame: Uint8Array;
  if (f.nwProto === IP_PROTO.ICMP) {
    frame = buildIcmpEcho({ ...l3, icmpId: f.icmpId, seq: 1 });
    frame[34] = f.tpSrc & 255;
    frame[35] = f.tpDst & 255;
  } else if (f.nwProto === IP_PROTO.TCP) frame = buildTcp({ ...l3, ...ports });
  else {
    frame = buildUdp({ ...l3, ...ports, payload: new Uint8Array(8) });
    frame[23] = f.nwProto;
  }
  if (f.fragment !== FRAGMENT.NONE) writeU16(frame, 20, f.fragment === FRAGMENT.FIRST ? 0x2000 : 0x00b9);
  if (f.etherType === ETHERTYPE.IPV4) return frame;
  // Another ethertype over the same bytes: as IPv6 it is unreadable behind the ethertype, which is a case of its own.
  writeU16(frame, 12, f.etherType);
  return frame;
}

export function matchOf(frame: Uint8Array): FlowMatch {
  const m = new FlowMatch();
  parseFlowMatch(frame, m);
  return m;
}

/** `q` with the fields of `p` that the mask compares: mostly covered by the flow (p, mask). */
export function agreeing(p: FrameFields, q: FrameFields, mask: FlowMask): FrameFields {
  const of = (field: number): FrameFields => ((mask.fields & field) === 0 ? q : p);
  return {
    ethSrc: of(F.EthSrc).ethSrc,
    ethDst: of(F.EthDst).ethDst,
    etherType: of(F.EtherType).etherType,
    vlan: of(F.Vlan).vlan,
    nwProto: of(F.NwProto).nwProto,
    nwSrc: leading(p.nwSrc, q.nwSrc, mask.nwSrcBits),
    nwDst: leading(p.nwDst, q.nwDst, mask.nwDstBits),
    nwTos: of(F.NwTos).nwTos,
    nwTtl: of(F.NwTtl).nwTtl,
    fragment: of(F.Fragment).fragment,
    tpSrc: of(F.TpSrc).tpSrc,
    tpDst: of(F.TpDst).tpDst,
    icmpId: of(F.IcmpId).icmpId,
  };
}

/** The leading bits of `a`, the others of `b`. */
export function leading(a: number, b: number, bits: number): number {
  const low = bits === 32 ? 0 : 0xffff_ffff >>> bits;
  return ((a & ~low) | (b & low)) >>> 0;
}

/** Address groups as the builder numbers them. */
const ADDRESS_GROUP: Readonly<Record<string, string>> = {
  [GROUP_A]: new TopologyBuilder().ipAddrGroupId("g1"),
  [GROUP_B]: "40000000-0000-4000-8000-000000000002",
};

const conditionArb: fc.Arbitrary<Condition> = anyConditionArb.map((c) => ({
  ...c,
  ...(c.ipAddrGroupSrc === undefined ? {} : { ipAddrGroupSrc: ADDRESS_GROUP[c.ipAddrGroupSrc] as string }),
  ...(c.ipAddrGroupDst === undefined ? {} : { ipAddrGroupDst: ADDRESS_GROUP[c.ipAddrGroupDst] as string }),
}));

const CHAINS = ["c1", "c2", "c3", "c4"] as const;
type ChainName = (typeof CHAINS)[number];

interface NetworkPlan {
  readonly chains: Readonly<Record<ChainName, readonly RuleInput[]>>;
  /** Per filter slot, in a fixed order: the chain there, if any. */
  readonly filters: readonly (ChainName | null)[];
  readonly down: readonly string[];
  readonly inactive: readonly string[];
  readonly vlans: boolean;
  readonly second: boolean;
  readonly routes: readonly {
    src: string;
    dst: string;
    type: "Normal" | "BlackHole" | "Reject";
    port: string;
    weight: number;
  }[];
  readonly learned: readonly boolean[];
}

const ruleArb: fc.Arbitrary<RuleInput> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constantFrom("accept", "drop", "reject", "return"), condition: conditionArb }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("jump"), to: fc.constantFrom(...CHAINS), condition: conditionArb }),
  },
) as fc.Arbitrary<RuleInput>;

/** Mostly conditions that do not match, or every packet ends at the first filter. */
const chainArb = fc.array(ruleArb, { maxLength: 4 });
const slotArb = fc.oneof(
  { weight: 3, arbitrary: fc.constant(null) },
  { weight: 1, arbitrary: fc.constantFrom(...CHAINS) },
);
const DEVICES = ["b1", "r1", "b2", "b1/vm1", "r1/p1", "r1/p2", "b2/up", "b2/vm2"] as const;

const planArb: fc.Arbitrary<NetworkPlan> = fc.record({
  chains: fc.record({ c1: chainArb, c2: chainArb, c3: chainArb, c4: chainArb }),
  filters: fc.array(slotArb, { minLength: 12, maxLength: 12 }),
  down: fc.oneof({ weight: 5, arbitrary: fc.constant([]) }, fc.subarray([...DEVICES], { maxLength: 1 })),
  inactive: fc.oneof({ weight: 5, arbitrary: fc.constant([]) }, fc.constant(["b2/vm2"])),
  vlans: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true)),
  second: fc.boolean(),
  routes: fc.array(
    fc.record({
      src: fc.constantFrom("0.0.0.0/0", "10.0.1.0/24", "10.0.1.2/32"),
      dst: fc.constantFrom("0.0.0.0/0", "10.0.0.0/8", "10.0.2.0/24", "10.0.2.0/25", "10.1.1.1/32", "192.168.0.0/16"),
      type: fc.oneof(
        { weight: 4, arbitrary: fc.constant("Normal" as const) },
        fc.constantFrom("BlackHole" as const, "Reject" as const),
      ),
      port: fc.constantFrom("p1", "p2"),
      weight: fc.constantFrom(100, 100, 50),
    }),
    { maxLength: 4 },
  ),
  learned: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
});

export interface Network {
  /** A new builder each time, so that a test can add traces. */
  build(): TopologyBuilder;
  state(): FakeFlowState;
}

/** b1 (vm1, other) — r1 — b2 (vm2), sometimes with a VLAN-aware bridge in front or a second uplink. */
export const networkArb: fc.Arbitrary<Network> = planArb.map((plan) => ({
  build: () => buildNetwork(plan),
  state: () => learnedState(plan),
}));

export const START = "b1/vm1";
/** Where traces can be asked for. */
export const TRACEABLE = ["b1/vm1", "b1", "r1/p1", "r1", "b2", "b2/up"] as const;
export const traceArb: fc.Arbitrary<{ device: (typeof TRACEABLE)[number]; condition: Condition }> = fc.record({
  device: fc.constantFrom(...TRACEABLE),
  condition: conditionArb,
});

function buildNetwork(plan: NetworkPlan): TopologyBuilder {
  const t = new TopologyBuilder();
  const slot = (n: number): { inFilter?: string; outFilter?: string } => {
    const [inFilter, outFilter] = [plan.filters[2 * n], plan.filters[2 * n + 1]];
    return {
      ...(inFilter === null || inFilter === undefined ? {} : { inFilter }),
      ...(outFilter === null || outFilter === undefined ? {} : { outFilter }),
    };
  };
  // The first port's id is PORT_A of topology-arbitraries.ts, the second's PORT_B.
  t.portId(START);
  t.portId("b2/vm2");
  t.bridge("b1", slot(0)).bridge("b2", slot(1)).router("r1", slot(2));
  t.port(START, { host: "h1", ...slot(3) });
  t.port("b1/other", { host: "h2", vlan: plan.vlans ? 5 : 0 });
  t.port("b2/vm2", { host: "h2", ...slot(4), active: !plan.inactive.includes("b2/vm2") });
  t.port("b1/up").port("b2/up", slot(5));
  t.routerPort("r1/p1", "10.0.1.1/24", { mac: "ac:ca:00:00:00:01" });
  t.routerPort("r1/p2", "10.0.2.254/24", { mac: "ac:ca:00:00:00:02" });
  t.link("b1/up", "r1/p1").link("b2/up", "r1/p2");
  if (plan.vlans) {
    t.bridge("b3").port("b1/v9", { vlan: 9 }).port("b3/up").port("b3/vm3", { host: "h3" });
    t.link("b1/v9", "b3/up");
  }
  if (plan.second) t.bridge("b4").port("b1/side").port("b4/up").port("b4/vm4", { host: "h3" }).link("b1/side", "b4/up");
  t.route("r1", { dst: "10.0.1.0/24", port: "p1" }).route("r1", { dst: "10.0.2.0/24", port: "p2" });
  for (const r of plan.routes) t.route("r1", { ...r, ...(r.type === "Normal" ? {} : { port: "p1" }) });
  for (const name of CHAINS) t.chain(name, plan.chains[name]);
  for (const name of plan.down) t.patch(name, { adminStateUp: false });
  t.ipAddrGroup("g1", ["10.0.1.1", "10.0.2.1"]).ipAddrGroup("g2", ["192.168.0.1"]);
  t.portGroup("g1", [START]).portGroup("g2", ["b2/vm2"]);
  return t;
}

function learnedState(plan: NetworkPlan): FakeFlowState {
  const t = buildNetwork(plan);
  const state = new FakeFlowState();
  const [a, b, c, d, e] = plan.learned;
  if (a === true) state.knowMac(t.bridgeId("b1"), 0, MACS[0] as Mac, t.portId(START));
  if (b === true) state.knowMac(t.bridgeId("b2"), 0, MACS[1] as Mac, t.portId("b2/vm2"));
  if (c === true) state.knowMac(t.bridgeId("b1"), 0, MACS[1] as Mac, t.portId("b1/other"));
  if (d === true) state.knowArp(t.routerId("r1"), ip("10.0.1.2"), MACS[0] as Mac);
  if (e === true) state.knowMac(t.bridgeId("b1"), 5, MACS[1] as Mac, t.portId("b1/other"));
  state.knowArp(t.routerId("r1"), ip("10.0.2.1"), MACS[1] as Mac);
  return state;
}
