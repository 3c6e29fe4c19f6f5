import assert from "node:assert/strict";
import type { TappedDatagram } from "#adapters/datapath-fabric";
import type { RouterId } from "#core/base";
import { FLOW_STATE_KEY, isTracedKey } from "#core/flows";
import { buildIcmpEcho, buildUdp, type Mac } from "#core/packets";
import type { Condition, PortRecord } from "#core/topology";
import {
  decodeTraceState,
  type DropReason,
  type FlowTrace,
  packetToken,
  type Step,
  type StepKind,
  type TraceSegment,
  type TraceState,
} from "#core/tracing";
import { Cluster, type ClusterPlan, ip, routedPlan } from "./cluster.ts";
import { readU24At } from "./underlay.ts";

/** Runs `work` on a started cluster and stops it, whatever happens. No agent may have logged a problem meanwhile. */
export async function onCluster(
  plan: ClusterPlan,
  work: (c: Cluster) => Promise<void>,
  options: { readonly problemsExpected?: boolean } = {},
): Promise<void> {
  const c = new Cluster(plan);
  try {
    await c.start();
    await work(c);
    if (options.problemsExpected !== true) assert.deepEqual(c.problems.slice(0, 3), []);
  } finally {
    await c.stop();
  }
}

/** Ethernet 14, IPv4 20, UDP 8, VXLAN 8 (RFC 7348 §5). */
const OUTER_BYTES = 50;

/** One datagram of the underlay, taken apart. */
export interface WireEntry {
  readonly from: string;
  readonly to: string | null;
  readonly fate: TappedDatagram["fate"];
  readonly vni: number;
  readonly kind: "state" | "traced" | "plain";
  readonly inner: Uint8Array;
  readonly state: TraceState | null;
  readonly token: string;
}

export function wireOf(c: Cluster): WireEntry[] {
  return c.wire.map((d) => {
    const vni = readU24At(d.bytes);
    const inner = d.bytes.subarray(OUTER_BYTES);
    const kind = vni === FLOW_STATE_KEY ? "state" : isTracedKey(vni) ? "traced" : "plain";
    let state: TraceState | null = null;
    if (kind === "state") {
      const decoded = decodeTraceState(inner);
      assert.ok(decoded.ok, decoded.ok ? "" : decoded.reason);
      state = decoded.state;
    }
    return { from: d.from, to: d.to, fate: d.fate, vni, kind, inner, state, token: packetToken(inner) };
  });
}

/** `state traced plain …`, with hosts. */
export const wireText = (entries: readonly WireEntry[]): string[] =>
  entries.map((e) => `${e.from}>${e.to ?? "?"} ${e.kind}`);

export async function portNamed(c: Cluster, name: string): Promise<PortRecord> {
  const found = (await c.admin.ports.list()).find((p) => p.name === name);
  assert.ok(found !== undefined, `no port ${name}`);
  return found;
}

export function stepsOf<K extends StepKind>(s: TraceSegment | undefined, kind: K): Extract<Step, { kind: K }>[] {
  assert.ok(s !== undefined, "no such segment");
  return s.steps.filter((x): x is Extract<Step, { kind: K }> => x.kind === kind);
}

export const ingressOf = (c: Cluster, host?: string): TraceSegment[] =>
  c.segments.filter((s) => s.role === "ingress" && (host === undefined || s.hostName === host));
export const egressOf = (c: Cluster, host?: string): TraceSegment[] =>
  c.segments.filter((s) => s.role === "egress" && (host === undefined || s.hostName === host));

/** The only segment that entered at the host. */
export function onlyIngress(c: Cluster, host?: string): TraceSegment {
  const found = ingressOf(c, host);
  assert.equal(found.length, 1, `one ingress segment, not ${found.length}`);
  return found[0] as TraceSegment;
}

export function assertComplete(traces: readonly FlowTrace[]): void {
  for (const t of traces) assert.equal(t.completeness.state, "complete", JSON.stringify(t.completeness));
}

export function assertDropped(s: TraceSegment, reason: DropReason): void {
  assert.equal(s.dropReason, reason);
  assert.ok(
    stepsOf(s, "drop").some((d) => d.reason === reason),
    "a step says why it was dropped",
  );
  assert.equal(stepsOf(s, "verdict").length, 1);
}

/** The MAC a VM sends to when it sends to `dst` by its gateway: the router port's. */
export function udpFrom(
  c: Cluster,
  vm: string,
  to: { mac: Mac | number; ip: string },
  o: { sport: number; dport: number; payload?: Uint8Array; vlans?: readonly number[]; ttl?: number; ethSrc?: number },
): Uint8Array {
  const { mac, ip: own } = c.vm(vm).config;
  return buildUdp({
    ethSrc: (o.ethSrc ?? mac) as Mac,
    ethDst: to.mac as Mac,
    ipSrc: own,
    ipDst: ip(to.ip),
    srcPort: o.sport,
    dstPort: o.dport,
    payload: o.payload ?? new Uint8Array([1, 2, 3, 4]),
    ...(o.ttl === undefined ? {} : { ttl: o.ttl }),
    ...(o.vlans === undefined ? {} : { vlans: o.vlans }),
  });
}

export function pingFrom(
  c: Cluster,
  vm: string,
  to: { mac: Mac | number; ip: string },
  icmpId: number,
  seq = 1,
): Uint8Array {
  const { mac, ip: own } = c.vm(vm).config;
  return buildIcmpEcho({ ethSrc: mac, ethDst: to.mac as Mac, ipSrc: own, ipDst: ip(to.ip), icmpId, seq });
}

/** Ethernet II with any payload. */
export function rawFrame(
  dst: number,
  src: number,
  etherType: number,
  payload: Uint8Array = new Uint8Array(46),
): Uint8Array {
  const frame = new Uint8Array(14 + payload.length);
  for (let i = 0; i < 6; i++) {
    frame[i] = Math.floor(dst / 2 ** (40 - 8 * i)) & 0xff;
    frame[6 + i] = Math.floor(src / 2 ** (40 - 8 * i)) & 0xff;
  }
  frame[12] = etherType >>> 8;
  frame[13] = etherType & 0xff;
  frame.set(payload, 14);
  return frame;
}

/** As red-1 of the routed plan sends to red-2. */
export const GATEWAY = { mac: 0xaccaba000001, ip: "10.0.2.20" };
/** A dynamic port: VMs do not answer there, so that nothing comes back. */
export const SILENT = 50_000;
/** IPv4, and not the ARP that goes with it. */
export const IPV4: Condition = { dlType: 0x0800 };

/** The routed plan, with everything loaded and all neighbours known. */
export const onRouted = (work: (c: Cluster) => Promise<void>): Promise<void> =>
  onCluster(routedPlan(), async (c) => {
    const [answer] = await c.during(c.vm("red-1").ping(ip("10.0.2.20"), { id: 1 }));
    assert.equal(answer?.kind, "reply");
    assert.equal(c.segments.length, 0, "nothing is traced before a trace is enabled");
    await work(c);
  });

/** The router of the routed plan. */
export const routerOf = (c: Cluster): Promise<RouterId> => c.deviceNamed("routers", "router") as Promise<RouterId>;

/** A frame of red-1, and time for it to arrive. */
export async function send(c: Cluster, frame: Uint8Array): Promise<void> {
  c.inject("red-1", frame);
  await c.settle(100);
}
