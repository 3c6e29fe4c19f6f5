import type { FlowTraceId, TraceRequestId } from "#core/base";
import type { DeviceRef, Step, StepBody, TraceSegment } from "#core/tracing";

/** Flows as real agents report them, of which many can be made: two hosts, two bridges and a router; every 5th is dropped. */

export const REQUEST = "00000000-0000-4000-8000-0000000000e1" as TraceRequestId;
const CLIENTS = 20_000;
const PORTS = 2_000;
/** Pairs of ports that talk to each other: each is a path of its own. */
export const PAIRS = 50;

const id = (kind: string, n: number): string => `${kind}0000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;
const host = (n: number): string => id("a", n);
export const flowIdOf = (n: number): FlowTraceId => id("f", n) as FlowTraceId;
export const addressOf = (n: number): string => `10.${16 + ((n % CLIENTS) >> 8)}.${n & 0xff}.7`;
export const portOf = (n: number): number => 10_000 + (n % PORTS);
export const deviceName = (pair: number): string => `vm-${pair}`;

/** The parts of flow `n`, by host: one when it was dropped, or else two. */
export function segmentsOf(n: number, startMs: number): TraceSegment[] {
  const pair = n % PAIRS;
  const dropped = n % 5 === 0;
  const from: DeviceRef = { type: "port", id: id("1", pair), name: deviceName(pair) };
  const to: DeviceRef = { type: "port", id: id("2", pair), name: `server-${pair}` };
  const bridge: DeviceRef = { type: "bridge", id: id("3", 1), name: "red-net" };
  const inside: DeviceRef = { type: "port", id: id("3", 2), name: "red-net-uplink" };
  const router: DeviceRef = { type: "router", id: id("4", 1), name: "red-router" };
  const key = {
    ethSrc: "ac:ca:ba:00:00:01",
    ethDst: "ac:ca:ba:00:00:02",
    etherType: 0x0800,
    networkSrc: addressOf(n),
    networkDst: "10.0.2.20",
    networkProto: 6,
    srcPort: portOf(n),
    dstPort: 443,
  };
  const header = {
    ethSrc: key.ethSrc,
    ethDst: key.ethDst,
    etherType: "0x0800",
    nwSrc: key.networkSrc,
    nwDst: key.networkDst,
    nwProto: 6,
    nwTos: 0,
    nwTtl: 64,
    tpSrc: key.srcPort,
    tpDst: key.dstPort,
  };
  const red = (device: DeviceRef, body: object): StepBody => ({ device, owner: "red", ...body }) as StepBody;
  const chain = { chainId: id("c", 1), chainName: "red-in" };
  const rule = (position: number, matched: boolean): object => ({
    kind: "rule",
    ...chain,
    ruleId: id("d", position),
    position,
    ruleType: position === 3 ? "drop" : "accept",
    matched,
    condition: position === 3 ? "any" : `tcp and dst port ${position * 1_000}`,
    ...(matched ? {} : { failedField: "dst port", wanted: `${position * 1_000}`, had: "443" }),
  });
  const token = n.toString(16).padStart(16, "0");
  const entry: StepBody[] = [
    {
      device: { type: "host", id: host(1), name: "h1" },
      owner: "",
      kind: "packet-received",
      header,
      interface: `tap${pair}`,
      lengthBytes: 74,
    },
    red(from, { kind: "port-in", of: bridge, header }),
    red(bridge, { kind: "device-in", inPort: { id: from.id, name: from.name } }),
    red(bridge, { kind: "trace-matched", requestId: REQUEST, ruleId: id("d", 0), chainId: chain.chainId }),
    red(bridge, { kind: "chain-start", stage: "pre-bridging", ...chain, ruleCount: 3 }),
    red(bridge, rule(1, false)),
    red(bridge, rule(2, false)),
    red(bridge, rule(3, dropped)),
    red(bridge, {
      kind: "chain-end",
      stage: "pre-bridging",
      ...chain,
      result: dropped ? "drop" : "accept",
      decidedBy: dropped ? "rule 3" : "the end",
    }),
  ];
  const bodies: StepBody[] = dropped
    ? [...entry, red(bridge, { kind: "drop", reason: "filter-drop", detail: "rule 3 of chain red-in" })]
    : [
        ...entry,
        red(bridge, {
          kind: "bridge-decision",
          decision: "unicast-linked",
          mac: key.ethDst,
          vlan: -1,
          outPort: { id: inside.id, name: inside.name },
        }),
        red(inside, { kind: "port-out", of: bridge }),
        red(router, { kind: "device-in", inPort: { id: inside.id, name: inside.name } }),
        red(router, { kind: "ttl", before: 64, after: 63 }),
        red(router, {
          kind: "route-lookup",
          dst: key.networkDst,
          src: key.networkSrc,
          routeCount: 4,
          candidates: 1,
          route: {
            id: id("e", 1),
            type: "Normal",
            src: "0.0.0.0/0",
            dst: "10.0.2.0/24",
            gateway: null,
            port: id("3", 3),
            weight: 100,
          },
        }),
        red(router, { kind: "next-hop", ip: key.networkDst, mac: "ac:ca:ba:00:00:09", source: "arp-table" }),
        red(router, { kind: "rewrite", before: header, after: { ...header, nwTtl: 63 } }),
        red(to, { kind: "emit", where: "remote", hostId: host(2), hostName: "h2", interface: `tap${pair}` }),
        {
          device: { type: "host", id: host(1), name: "h1" },
          owner: "",
          kind: "state-sent",
          hostId: host(2),
          hostName: "h2",
          messages: 1,
          token,
        },
        {
          device: { type: "host", id: host(1), name: "h1" },
          owner: "",
          kind: "tunnel-sent",
          hostId: host(2),
          hostName: "h2",
          tunnelIp: "172.16.0.2",
          tunnelKey: 5,
          wireKey: 0x80_0005,
        },
      ];
  const verdict = dropped ? "dropped" : "delivered";
  const dropReason = dropped ? "filter-drop" : null;
  const ending: StepBody = {
    device: { type: "host", id: host(1), name: "h1" },
    owner: "",
    kind: "verdict",
    verdict,
    dropReason,
  };
  const ingress: TraceSegment = {
    segmentId: `${host(1)}/b/${n}`,
    flowTraceId: flowIdOf(n),
    requestIds: [REQUEST],
    hostId: host(1),
    hostName: "h1",
    role: "ingress",
    cookie: n % 1_000_000,
    startedAtMs: startMs,
    key,
    steps: numbered([...bodies, ending], startMs),
    stepsLost: 0,
    verdict,
    dropReason,
    expects: dropped ? [] : [{ hostId: host(2), hostName: "h2", tunnelKey: 5, tunnelIp: "172.16.0.2", token }],
    arrival: null,
    packet: null,
  };
  if (dropped) return [ingress];
  const at2: DeviceRef = { type: "host", id: host(2), name: "h2" };
  const arriving: StepBody[] = [
    {
      device: at2,
      owner: "",
      kind: "tunnel-received",
      hostId: host(1),
      hostName: "h1",
      tunnelIp: "172.16.0.1",
      tunnelKey: 5,
      header,
      token,
      state: "before-packet",
      duplicate: false,
    },
    red(to, { kind: "port-out", of: router }),
    red(to, { kind: "delivered", interface: `tap${pair}`, ofport: 3 }),
    {
      device: at2,
      owner: "",
      kind: "flow",
      match: null,
      actions: [],
      idleTimeoutMs: 0,
      hardTimeoutMs: 0,
      because: "the packet was traced",
    },
    { device: at2, owner: "", kind: "verdict", verdict: "delivered", dropReason: null },
  ];
  const egress: TraceSegment = {
    ...ingress,
    segmentId: `${host(2)}/b/${n}`,
    hostId: host(2),
    hostName: "h2",
    role: "egress",
    steps: numbered(arriving, startMs + 1),
    expects: [],
    arrival: { fromIp: "172.16.0.1", tunnelKey: 5, token, duplicate: false },
  };
  return [ingress, egress];
}

const numbered = (bodies: readonly StepBody[], atMs: number): Step[] =>
  bodies.map((body, i): Step => ({ ...body, seq: i + 1, atMs }));
