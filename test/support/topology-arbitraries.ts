import type { HostId, PortId, TenantId } from "#core/base";
import { ETHERTYPE, FRAGMENT, FlowMatch, hasL4, IP_PROTO, NO_ICMP_ID, UNTAGGED } from "#core/flows";
import { type Condition, normalizeCondition, PortDevice, type TopologyView } from "#core/topology";
import * as fc from "fast-check";

/*
 * Packets and conditions over small domains, so that random ones meet. Packets are well formed, as parseFlowMatch makes
 * them: fields that a packet does not have are 0.
 */

export const PORT_A = "a0000000-0000-4000-8000-000000000001" as PortId;
export const PORT_B = "a0000000-0000-4000-8000-000000000002" as PortId;
export const GROUP_A = "30000000-0000-4000-8000-000000000001";
export const GROUP_B = "30000000-0000-4000-8000-000000000002";

const IPS = [0x0a000101, 0x0a000102, 0x0a000201, 0x0a010101, 0xc0a80001];
const IP_TEXTS = ["10.0.1.1", "10.0.1.2", "10.0.2.1", "10.1.1.1", "192.168.0.1"];
const MACS = [0x020000000001, 0x020000000002, 0xffffffffffff, 0xacca00000001];
const MAC_TEXTS = ["02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff", "ac:ca:00:00:00:01"];
const PORTS = [0, 8, 80, 443, 65535];
const ETHERTYPES = [ETHERTYPE.IPV4, ETHERTYPE.ARP, ETHERTYPE.IPV6, 0x88cc, ETHERTYPE.VLAN];
const PROTOS = [1, 2, 6, 17, 47, 58];

export function portDevice(id: PortId, groups: readonly string[]): PortDevice {
  return new PortDevice({
    id,
    label: "p",
    name: "",
    tenantId: "" as TenantId,
    ownerKind: "bridge",
    deviceId: "b" as PortDevice["deviceId"],
    adminUp: true,
    inFilter: null,
    outFilter: null,
    tunnelKey: 1,
    hostId: "h" as HostId,
    interfaceName: "tap",
    peerId: null,
    active: true,
    groups: new Set(groups),
    vlanId: 0,
    mac: 0,
    address: 0,
    prefixLength: 0,
  });
}

/** Knows only address groups: A = {10.0.1.1, 10.0.2.1}, B = {192.168.0.1}. */
export const groupView: TopologyView = {
  port: () => null,
  bridge: () => null,
  router: () => null,
  chain: () => null,
  ipAddrGroup: (id) =>
    id === GROUP_A ? new Set([0x0a000101, 0x0a000201]) : id === GROUP_B ? new Set([0xc0a80001]) : null,
};

interface RawPacket {
  readonly ethSrc: number;
  readonly ethDst: number;
  readonly etherType: number;
  readonly vlan: number;
  readonly nwProto: number;
  readonly nwSrc: number;
  readonly nwDst: number;
  readonly nwTos: number;
  readonly fragment: number;
  readonly tpSrc: number;
  readonly tpDst: number;
}

/** Takes away what such a packet cannot have. */
export function wellFormed(raw: RawPacket): FlowMatch {
  const m = Object.assign(new FlowMatch(), raw);
  const ip = m.etherType === ETHERTYPE.IPV4 || m.etherType === ETHERTYPE.IPV6;
  if (m.etherType === ETHERTYPE.IPV6) {
    m.ip6Src = BigInt(m.nwSrc);
    m.ip6Dst = BigInt(m.nwDst);
  }
  if (m.etherType !== ETHERTYPE.IPV4 && m.etherType !== ETHERTYPE.ARP) m.nwSrc = m.nwDst = 0;
  if (!ip && m.etherType !== ETHERTYPE.ARP) m.nwProto = 0;
  if (!ip) {
    m.nwTos = 0;
    m.fragment = FRAGMENT.NONE;
  }
  const l4 = hasL4(m);
  if (!l4) m.tpSrc = m.tpDst = 0;
  if (l4 && m.nwProto === IP_PROTO.ICMP) {
    m.tpSrc &= 0xff;
    m.tpDst &= 0xff;
    m.icmpId = m.tpSrc === 8 ? 7 : NO_ICMP_ID;
  }
  return m;
}

export const packetArb: fc.Arbitrary<FlowMatch> = fc
  .record({
    ethSrc: fc.constantFrom(...MACS),
    ethDst: fc.constantFrom(...MACS),
    etherType: fc.oneof({ weight: 3, arbitrary: fc.constant(ETHERTYPE.IPV4) }, fc.constantFrom(...ETHERTYPES)),
    vlan: fc.constantFrom(UNTAGGED, UNTAGGED, 5, 9),
    nwProto: fc.constantFrom(...PROTOS),
    nwSrc: fc.constantFrom(...IPS),
    nwDst: fc.constantFrom(...IPS),
    nwTos: fc.constantFrom(0, 8),
    fragment: fc.constantFrom(FRAGMENT.NONE, FRAGMENT.NONE, FRAGMENT.FIRST, FRAGMENT.LATER),
    tpSrc: fc.constantFrom(...PORTS),
    tpDst: fc.constantFrom(...PORTS),
  })
  .map(wellFormed);

const length = fc.constantFrom(0, 8, 16, 24, 31, 32);
const bit = fc.boolean();
const range = fc.oneof(
  fc.constantFrom(...PORTS).map((p) => ({ start: p, end: p })),
  fc
    .tuple(fc.constantFrom(...PORTS), fc.constantFrom(...PORTS))
    .map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) })),
);
const openRange = fc.oneof(range, fc.constantFrom({ start: null, end: 443 }, { start: 80, end: null }));

/** What the filter language can say (midonet's other fields left out); normalized. */
export const sayableConditionArb: fc.Arbitrary<Condition> = conditionOf({
  condInvert: bit,
  inPorts: fc.subarray([PORT_A as string, PORT_B as string]),
  invInPorts: bit,
  noVlan: bit,
  vlan: fc.constantFrom(5, 9),
  dlType: fc.constantFrom(...ETHERTYPES),
  invDlType: bit,
  dlSrc: fc.constantFrom(...MAC_TEXTS),
  invDlSrc: bit,
  dlDst: fc.constantFrom(...MAC_TEXTS),
  invDlDst: bit,
  nwTos: fc.constantFrom(0, 8),
  invNwTos: bit,
  nwProto: fc.constantFrom(0, ...PROTOS),
  invNwProto: bit,
  nwSrcAddress: fc.constantFrom(...IP_TEXTS),
  nwSrcLength: length,
  invNwSrc: bit,
  nwDstAddress: fc.constantFrom(...IP_TEXTS),
  nwDstLength: length,
  invNwDst: bit,
  tpSrc: openRange,
  invTpSrc: bit,
  tpDst: openRange,
  invTpDst: bit,
});

/** Every field (ICMP data apart, which no flow can match). */
export const conditionArb: fc.Arbitrary<Condition> = fc
  .tuple(
    sayableConditionArb,
    conditionOf({
      matchForwardFlow: bit,
      matchReturnFlow: bit,
      portGroup: fc.constantFrom(GROUP_A, GROUP_B),
      invPortGroup: bit,
      inPortGroup: fc.constantFrom(GROUP_A, GROUP_B),
      invInPortGroup: bit,
      ipAddrGroupSrc: fc.constantFrom(GROUP_A, GROUP_B),
      invIpAddrGroupSrc: bit,
      ipAddrGroupDst: fc.constantFrom(GROUP_A, GROUP_B),
      invIpAddrGroupDst: bit,
      dlSrcMask: fc.constantFrom("ffff.ff00.0000", "0000.0000.ffff"),
      dlDstMask: fc.constantFrom("ffff.ff00.0000", "0100.0000.0000"),
      fragmentPolicy: fc.constantFrom("header" as const, "unfragmented" as const, "any" as const, "nonheader" as const),
      matchNwDstRewritten: bit,
    }),
    bit,
  )
  .map(([a, b, plain]) => (plain ? a : { ...a, ...b }))
  .map((c) => {
    const { fragmentPolicy, ...rest } = c;
    const bad = (c.tpSrc ?? c.tpDst) !== undefined && (fragmentPolicy === "any" || fragmentPolicy === "nonheader");
    return bad ? rest : c;
  });

type ConditionModel = { [K in keyof Condition]: fc.Arbitrary<Condition[K]> };

/** Each field is there with a probability of about one in four, so that conditions match often enough. */
function conditionOf(model: ConditionModel): fc.Arbitrary<Condition> {
  const fields = Object.entries(model).map(([name, arb]) =>
    fc.oneof(
      { weight: 3, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: arb.map((v: unknown) => [name, v] as const) },
    ),
  );
  return fc.tuple(...fields).map((entries) => normalizeKept(Object.fromEntries(entries.filter((e) => e !== null))));
}

/** Masks hang on MACs of the other half: normalization must wait until the halves are joined. */
function normalizeKept(c: Condition): Condition {
  return { ...c, ...normalizeCondition(c) };
}
