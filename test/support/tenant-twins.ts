import type { HostId, PortId, TenantId } from "#core/base";
import { type FlowState, Simulation } from "#core/simulation";
import type { BridgeRecord, PortRecord, RouterRecord, RuleRecord, TopologyRecords } from "#core/topology";
import { TopologySnapshot } from "#core/topology";
import { packetToken, Recorder, type Step, type TraceSegment } from "#core/tracing";
import { PacketJob } from "../../src/apps/agent/job.ts";
import { ingressSegment, recordPhysical, type SentCopy } from "../../src/apps/agent/segments.ts";
import { FakeGate, type FakeFlowState } from "./simulation-scene.ts";

/*
 * Flow traces as agents make them, of one packet in two networks that differ only in what is not the tenant's: names, ids,
 * hosts, tunnel keys, further ports of bridges, routes and rules of others, waits, clocks.
 */

export const OWN = "tenant-red";
export const SECRET = "SECRET";
const START_MS = 1_700_000_000_000;
const isOwn = (x: { readonly tenantId: string }): boolean => x.tenantId === OWN;

/** Applies `f` to every text of a value, keys of maps included. */
function mapTexts<T>(value: T, f: (text: string) => string): T {
  const walk = (v: unknown): unknown => {
    if (typeof v === "string") return f(v);
    if (Array.isArray(v)) return v.map(walk);
    if (v instanceof Map) return new Map([...v].map(([k, x]) => [walk(k), walk(x)]));
    if (typeof v !== "object" || v === null) return v;
    return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, walk(x)]));
  };
  return walk(value) as T;
}

/** The network with its owners: bridges, routers and chains by name; who is not named is the provider's. */
export function ownedBy(records: TopologyRecords, own: ReadonlySet<string>): TopologyRecords {
  const owner = <T extends { readonly name: string }>(x: T): T & { readonly tenantId: TenantId } => ({
    ...x,
    tenantId: (own.has(x.name) || x.name.startsWith("TRACE_REQUEST") ? OWN : "tenant-blue") as TenantId,
  });
  return {
    ...records,
    bridges: records.bridges.map(owner),
    routers: records.routers.map(owner),
    chains: records.chains.map(owner),
  };
}

/** The same network to the tenant: all that others keep to themselves is different. */
export function withOtherSecrets(records: TopologyRecords): TopologyRecords {
  const foreign = [...records.bridges, ...records.routers].filter((d) => !isOwn(d));
  const foreignIds = new Set<string>(foreign.map((d) => d.id));
  const chains = records.chains.filter((c) => !isOwn(c));
  const chainIds = new Set<string>(chains.map((c) => c.id));
  const moved = (p: PortRecord): boolean => foreignIds.has(p.deviceId) && p.hostId !== null;
  // Where there is a port of the tenant, others move in beside it: that they are there is not the tenant's to know.
  const shared = records.ports.find((p) => !foreignIds.has(p.deviceId) && p.hostId !== null)?.hostId ?? null;
  const elsewhere = (host: string): HostId => shared ?? (host.replace("-4000-", "-4eee-") as HostId);
  const ports = records.ports.map((p) => {
    if (!foreignIds.has(p.deviceId)) return p;
    const other = { ...p, name: `${SECRET}-${p.name}`, tunnelKey: p.tunnelKey + 500 };
    return moved(p) ? { ...other, hostId: elsewhere(p.hostId as string), interfaceName: `${SECRET}-tap` } : other;
  });
  const further = records.bridges.filter((b) => !isOwn(b)).map((b, n) => furtherPort(b, n));
  const active = new Map<PortId, HostId>(records.activePorts);
  for (const p of records.ports) if (moved(p) && active.has(p.id)) active.set(p.id, elsewhere(p.hostId as string));
  for (const p of further) active.set(p.id, p.hostId as HostId);
  const order = new Map(records.ruleOrder);
  const more: RuleRecord[] = chains.map((c, n) => {
    const id = `d0000000-0000-4000-8000-000000000f0${n}` as RuleRecord["id"];
    const traces = (order.get(c.id) ?? []).filter((r) => records.rules.some((x) => x.id === r && x.type === "trace"));
    order.set(c.id, [...traces, id, ...(order.get(c.id) ?? []).filter((r) => !traces.includes(r))]);
    return { id, chainId: c.id, condition: { dlType: 0x7777 }, meterName: null, type: "drop" };
  });
  const hosts = records.hosts.map((h) => ({
    id: shared === null ? elsewhere(h.id) : h.id,
    name: `${SECRET}-${h.name}`,
  }));
  const renamed = <T extends BridgeRecord | RouterRecord>(d: T): T =>
    isOwn(d) ? d : { ...d, name: `${SECRET}-${d.name}` };
  const changed: TopologyRecords = {
    ...records,
    bridges: records.bridges.map(renamed),
    routers: records.routers.map(renamed),
    chains: records.chains.map((c) => (isOwn(c) ? c : { ...c, name: `${SECRET}-${c.name}` })),
    ports: [...ports, ...further],
    rules: [...records.rules, ...more],
    ruleOrder: order,
    routes: [...records.routes, ...unusedRoutes(records)],
    hosts: shared === null ? [...records.hosts, ...hosts] : hosts,
    activePorts: active,
  };
  // Ids that stand in the tenant's own rules, devices and ports (filters, peers) are known to the tenant.
  const known = JSON.stringify([
    records.rules.filter((r) => !chainIds.has(r.chainId)).map((r) => ({ ...r, limit: 0 })),
    [...records.bridges, ...records.routers].filter(isOwn),
    records.ports.filter((p) => !foreignIds.has(p.deviceId)),
  ]);
  const secretIds = new Set<string>([
    ...foreignIds,
    ...chainIds,
    ...ports.filter((p) => foreignIds.has(p.deviceId)).map((p) => p.id),
  ]);
  return mapTexts(changed, (text) => (secretIds.has(text) && !known.includes(text) ? otherId(text) : text));
}

/** Keeps the order of ids. */
export const otherId = (id: string): string => id.replace("-0000-4000-", "-5ec1-4000-");
const firstId = (id: string): string => id.replace("-5ec1-4000-", "-0000-4000-");

function furtherPort(b: BridgeRecord, n: number): PortRecord {
  return {
    type: "Bridge",
    id: `afff0000-0000-4000-8000-00000000000${n}` as PortId,
    deviceId: b.id,
    name: `${SECRET}-further`,
    adminStateUp: true,
    inboundFilterId: null,
    outboundFilterId: null,
    vlanId: 0,
    tunnelKey: 900 + n,
    hostId: `10000000-0000-4eee-8000-0000000000f${n}` as HostId,
    interfaceName: `${SECRET}-further`,
    peerId: null,
  };
}

function unusedRoutes(records: TopologyRecords): TopologyRecords["routes"] {
  return records.routers
    .filter((r) => !isOwn(r))
    .flatMap((r) => {
      const like = records.routes.find((x) => x.routerId === r.id);
      if (like === undefined) return [];
      const id = "90000000-0000-4000-8000-000000000fff" as (typeof like)["id"];
      return [
        {
          ...like,
          id,
          dstNetworkAddr: "203.0.113.0",
          dstNetworkLength: 24,
          srcNetworkAddr: "203.0.113.0",
          srcNetworkLength: 24,
        },
      ];
    });
}

/** What does not depend on devices: where time passes, and how often others' steps are said. */
export interface Circumstances {
  readonly waitMs: number;
  readonly clock: readonly number[];
  readonly cookie: number;
  readonly repeats: readonly number[];
  /** Hosts of others report late or never. */
  readonly silent: boolean;
}

export interface Sent {
  readonly segments: readonly TraceSegment[];
  readonly view: TopologySnapshot;
}

/** Sends the frame, and reports as agents would; null when nobody traced it. */
export function traced(
  records: TopologyRecords,
  state: FakeFlowState,
  frame: Uint8Array,
  start: PortId,
  about: Circumstances,
): Sent | null {
  const view = TopologySnapshot.compile(records);
  const entry = view.port(start);
  if (entry === null) return null;
  const job = new PacketJob(view).begin(about.cookie, 1, frame, start, false, START_MS);
  const { ctx } = job;
  const simulation = new Simulation(view, inTermsOf(view, state), new FakeGate());
  for (let pass = 0; pass < 5; pass++) {
    simulation.run(ctx);
    const { wait } = ctx;
    if (wait === null) break;
    if (wait.for !== "arp") throw new Error("everything is loaded");
    job.waited({
      for: "arp",
      router: wait.router,
      what: "a neighbour",
      waitedMs: isOwn(entryOf(view, wait.router)) ? 7 : about.waitMs,
    });
    state.knowArp(firstId(wait.router), wait.ip, 0x02_00_00_00_00_09);
  }
  if (ctx.trace === null || ctx.wait !== null) return null;
  const hostId = entry.hostId ?? "nowhere";
  const outputs = ctx.outputs.map((o, n) => ({
    port: o.port,
    kind: o.port.hostId === hostId ? ("local" as const) : ("remote" as const),
    ofport: n + 1,
    because: null,
  }));
  const sent = outputs
    .filter((o) => o.kind === "remote")
    .map(
      ({ port }, n): SentCopy => ({
        port,
        hostId: port.hostId as string,
        hostName: `name of ${port.hostId}`,
        tunnelIp: 0xac10_0000 + about.cookie,
        token: packetToken(new Uint8Array([n, about.cookie & 255])),
        messages: 1,
      }),
    );
  recordPhysical(ctx.trace.recorder, hostId, outputs, sent, (id) => `name of ${id}`);
  const who = { hostId, hostName: `name of ${hostId}`, bootId: "1", captureBytes: 0, storeAway: () => false };
  const flow = { mask: null, actions: [], idleTimeoutMs: about.waitMs, hardTimeoutMs: 0, because: "because" };
  const first = ingressSegment(who, job, flow, ctx.verdict, ctx.dropReason, sent);
  if (first === null) return null;
  const segments = [first, ...sent.map((copy, n) => egress(first, copy, about, n))];
  return { view, segments: segments.map((s, n) => disturbed(s, about, n)) };
}

/** The tables are the same in both networks, whatever the ids. */
function inTermsOf(view: TopologySnapshot, state: FakeFlowState): FlowState {
  const named = <T extends { readonly id: string }>(device: T): T => ({ ...device, id: firstId(device.id) });
  return {
    mac: (bridge, vlan, mac) => {
      const entry = state.mac(named(bridge), vlan, mac);
      if (entry === null || view.port(entry.port) !== null) return entry;
      return { ...entry, port: otherId(entry.port) as PortId };
    },
    arp: (router, address) => state.arp(named(router), address),
  };
}

const entryOf = (view: TopologySnapshot, router: string) => view.router(router as never) ?? { tenantId: "" };

function egress(first: TraceSegment, copy: SentCopy, about: Circumstances, n: number): TraceSegment {
  const { port } = copy;
  const recorder = new Recorder(START_MS + n);
  const at = { device: { type: "port" as const, id: port.id, name: port.label }, owner: port.tenantId };
  const tunnelIp = "172.16.0.1";
  const header = { ethSrc: "02:00:00:00:00:01", ethDst: "02:00:00:00:00:02", etherType: "0x0800" };
  const from = { hostId: first.hostId, hostName: first.hostName };
  const { token } = copy;
  recorder.push({
    kind: "tunnel-received",
    ...at,
    ...from,
    tunnelIp,
    tunnelKey: port.tunnelKey,
    header,
    token,
    state: "before-packet",
    duplicate: false,
  });
  recorder.push({ kind: "delivered", ...at, interface: port.interfaceName ?? "", ofport: n });
  recorder.push({ kind: "verdict", ...at, verdict: "delivered", dropReason: null });
  return {
    ...first,
    segmentId: `${copy.hostId} ${n} ${about.cookie}`,
    hostId: copy.hostId,
    hostName: copy.hostName,
    role: "egress",
    cookie: about.cookie + n,
    startedAtMs: START_MS + n,
    key: first.key,
    steps: recorder.steps,
    verdict: "delivered",
    dropReason: null,
    expects: [],
    arrival: { fromIp: tunnelIp, tunnelKey: port.tunnelKey, token, duplicate: false },
  };
}

/** Clocks differ, and others' steps come more than once: neither is the tenant's to know. */
function disturbed(s: TraceSegment, about: Circumstances, n: number): TraceSegment {
  const at = (i: number): number => START_MS + (about.clock[i % about.clock.length] ?? 0);
  const steps = s.steps.flatMap((x, i): Step[] => {
    const step = { ...x, atMs: at(i) };
    const times = x.owner === OWN ? 1 : (about.repeats[i % about.repeats.length] ?? 1);
    return Array.from({ length: times }, () => step);
  });
  const startedAtMs = s.role === "ingress" ? s.startedAtMs : at(n);
  return { ...s, startedAtMs, steps: steps.map((x, i) => ({ ...x, seq: i + 1 })) };
}
