import type { DeviceRef, ExpectedEgress, Step, StepBody, TraceSegment } from "#core/tracing";
import { flowId, id, PING, requestId, token } from "./tracing-samples.ts";

export const RED = "tenant-red";
export const PROVIDER = "tenant-provider";
export const START_MS = 1_700_000_000_000;
export const H1 = id(0xa1);
export const H2 = id(0xa2);
export const H3 = id(0xa3);

export const device = (type: DeviceRef["type"], name: string, n: number): DeviceRef => ({ type, name, id: id(n) });
export const VM1 = device("port", "red-vm1", 1);
export const BRIDGE = device("bridge", "red-net", 2);
export const ROUTER = device("router", "provider-router", 3);
export const VM2 = device("port", "blue-vm2", 4);
export const HOST1 = device("host", "h1", 0xa1);
export const HOST2 = device("host", "h2", 0xa2);

const HEADER = {
  ethSrc: PING.ethSrc,
  ethDst: PING.ethDst,
  etherType: "0x0800",
  nwSrc: "10.0.1.10",
  nwDst: "10.0.2.20",
  nwProto: 17,
  nwTos: 0,
  nwTtl: 64,
  tpSrc: 4000,
  tpDst: 53,
} as const;
const CHAIN = { chainId: id(0xc1), chainOwner: RED, chainName: "red-in" };

/** Numbers the steps; one millisecond passes every third. */
export function steps(startMs: number, ...bodies: StepBody[]): Step[] {
  return bodies.map((b, i) => ({ ...b, seq: i + 1, atMs: startMs + Math.floor(i / 3) }));
}

export const expected = (hostId: string, hostName: string, tunnelKey = 5, n = 1): ExpectedEgress => ({
  hostId,
  hostName,
  tunnelKey,
  tunnelIp: "172.16.0.2",
  token: token(n),
});

const rule = (
  position: number,
  ruleType: string,
  rest: Pick<Extract<StepBody, { kind: "rule" }>, "matched" | "condition" | "failedField" | "wanted" | "had">,
): StepBody => ({
  device: BRIDGE,
  owner: RED,
  kind: "rule",
  ...CHAIN,
  ruleId: id(0xd0 + position),
  position,
  ruleType,
  ...rest,
});

const ENTRY: StepBody[] = [
  { device: HOST1, owner: "", kind: "packet-received", header: HEADER, interface: "tap-red-vm1", lengthBytes: 98 },
  { device: VM1, owner: RED, kind: "port-in", of: BRIDGE, header: HEADER },
  { device: BRIDGE, owner: RED, kind: "device-in", inPort: VM1 },
  {
    device: BRIDGE,
    owner: RED,
    kind: "trace-matched",
    requestId: requestId(0xe1),
    ruleId: id(0xd0),
    chainId: id(0xc1),
  },
  { device: BRIDGE, owner: RED, kind: "chain-start", stage: "pre-bridging", ...CHAIN, ruleCount: 3 },
  rule(1, "accept", {
    matched: false,
    condition: "udp and dst port 80",
    failedField: "dst port",
    wanted: "80",
    had: "53",
  }),
];

/** Enters at h1, crosses the provider's router, leaves through the tunnel to h2. */
export function ingressSegment(more: Partial<TraceSegment> = {}): TraceSegment {
  const all = steps(
    START_MS,
    ...ENTRY,
    rule(2, "drop", { matched: false, failedField: "dst port", wanted: "22", had: "53" }),
    {
      device: BRIDGE,
      owner: RED,
      kind: "chain-end",
      stage: "pre-bridging",
      ...CHAIN,
      result: "accept",
      decidedBy: "the end",
    },
    { device: BRIDGE, owner: RED, kind: "mac-learned", mac: PING.ethSrc, vlan: -1, port: VM1 },
    {
      device: BRIDGE,
      owner: RED,
      kind: "bridge-decision",
      decision: "unicast-linked",
      mac: PING.ethDst,
      vlan: -1,
      outPort: VM1,
    },
    { device: ROUTER, owner: PROVIDER, kind: "device-in", inPort: VM1 },
    { device: ROUTER, owner: PROVIDER, kind: "ttl", before: 64, after: 63 },
    { device: ROUTER, owner: PROVIDER, kind: "next-hop", ip: "10.0.2.20", mac: PING.ethDst, source: "arp-table" },
    { device: ROUTER, owner: PROVIDER, kind: "rewrite", before: HEADER, after: { ...HEADER, nwTtl: 63 } },
    {
      device: VM2,
      owner: "tenant-blue",
      kind: "emit",
      where: "remote",
      hostId: H2,
      hostName: "h2",
      interface: "tap-blue-vm2",
    },
    { device: HOST1, owner: "", kind: "state-sent", hostId: H2, hostName: "h2", messages: 1, token: token(1) },
    {
      device: HOST1,
      owner: "",
      kind: "tunnel-sent",
      hostId: H2,
      hostName: "h2",
      tunnelIp: "172.16.0.2",
      tunnelKey: 5,
      wireKey: 0x80_0005,
    },
    { device: HOST1, owner: "", kind: "verdict", verdict: "delivered", dropReason: null },
  );
  return { ...base, segmentId: "h1 1 1", hostId: H1, hostName: "h1", role: "ingress", steps: all, ...more };
}

const base: TraceSegment = {
  segmentId: "",
  flowTraceId: flowId(0xf1),
  requestIds: [requestId(0xe1)],
  hostId: "",
  hostName: "",
  role: "ingress",
  cookie: 17,
  startedAtMs: START_MS,
  key: PING,
  steps: [],
  stepsLost: 0,
  verdict: "delivered",
  dropReason: null,
  expects: [expected(H2, "h2")],
  arrival: null,
  packet: null,
};

/** Dropped at h1 by the second rule of the bridge's inbound filter. */
export function droppedSegment(more: Partial<TraceSegment> = {}): TraceSegment {
  const all = steps(
    START_MS,
    ...ENTRY,
    rule(2, "drop", { matched: true }),
    {
      device: BRIDGE,
      owner: RED,
      kind: "chain-end",
      stage: "pre-bridging",
      ...CHAIN,
      result: "drop",
      decidedBy: "rule 2",
    },
    { device: BRIDGE, owner: RED, kind: "drop", reason: "filter-drop", detail: "rule 2 of chain red-in" },
    { device: HOST1, owner: "", kind: "verdict", verdict: "dropped", dropReason: "filter-drop" },
  );
  return ingressSegment({ steps: all, verdict: "dropped", dropReason: "filter-drop", expects: [], ...more });
}

/** Comes out of the tunnel at a host and is delivered; its clock is 3 ms behind. */
export function egressSegment(hostId = H2, hostName = "h2", n = 1, more: Partial<TraceSegment> = {}): TraceSegment {
  const host = { ...HOST2, id: hostId, name: hostName };
  const at = START_MS - 3;
  return {
    ...base,
    segmentId: `${hostName} 1 1`,
    hostId,
    hostName,
    role: "egress",
    cookie: 4,
    startedAtMs: at,
    expects: [],
    arrival: { fromIp: "172.16.0.1", tunnelKey: 5, token: token(n), duplicate: false },
    steps: steps(
      at,
      {
        device: host,
        owner: "",
        kind: "tunnel-received",
        hostId: H1,
        hostName: "h1",
        tunnelIp: "172.16.0.1",
        tunnelKey: 5,
        header: { ...HEADER, nwTtl: 63 },
        token: token(n),
        state: "before-packet",
        duplicate: false,
      },
      { device: VM2, owner: "tenant-blue", kind: "delivered", interface: "tap-blue-vm2", ofport: 3 },
      {
        device: host,
        owner: "",
        kind: "flow",
        match: null,
        actions: [],
        idleTimeoutMs: 0,
        hardTimeoutMs: 0,
        because: "the packet was traced",
      },
      { device: host, owner: "", kind: "verdict", verdict: "delivered", dropReason: null },
    ),
    ...more,
  };
}
