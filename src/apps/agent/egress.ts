import type { Cancel, Clock, PortId, Scheduler } from "#core/base";
import type { Datapath, PacketIn } from "#core/datapath";
import {
  bindingTag,
  completeMask,
  F,
  FlowMatch,
  ofportTag,
  parseFlowMatch,
  tunnelKeyTag,
  withoutTraceBit,
} from "#core/flows";
import { formatIpv4 } from "#core/packets";
import type { PortDevice } from "#core/topology";
import {
  decodeTraceState,
  fuller,
  headerText,
  packetToken,
  Recorder,
  type Released,
  TRACE_STATE_TTL_MS,
  type TraceArrival,
  type TraceDetail,
  traceKeyOf,
  type TraceMatch,
  type TraceSegment,
  TraceTable,
} from "#core/tracing";
import type { AgentCounters } from "./counters.ts";
import type { EventBudget } from "./event-budget.ts";
import { type FlowRegistry, type Lifetime, LIFETIME, SHORT_LIFE, Way } from "./flow-registry.ts";
import type { Peers } from "./peers.ts";
import { packetBytes, type Reporter, reportId, stateOf } from "./segments.ts";
import type { TraceOutput } from "./trace-output.ts";

const TUNNEL_LIFE: Lifetime = { idleMs: LIFETIME.TUNNEL_IDLE_MS, hardMs: 0 };

/** What the egress side must know of this host. */
export interface EgressView {
  portByKey(key: number): PortDevice | null;
  ofportOf(port: PortId): number | null;
}

/** A traced packet that came out of the tunnel; its segment waits for the state if that is late. */
interface Arrived {
  readonly frame: Uint8Array;
  readonly header: FlowMatch;
  readonly tunnelSrc: number;
  readonly wireKey: number;
  readonly cookie: number;
  readonly atMs: number;
  readonly ofport: number | null;
  readonly port: PortDevice | null;
  /** What it is known to be a duplicate of, should no state of its own come; its entry may be gone by then. */
  duplicateOf: TraceMatch | null;
}

/** Packets from other hosts: state messages, traced packets, and flows for all others. */
export class Egress {
  private readonly clock: Clock;
  private readonly scheduler: Scheduler;
  private readonly datapath: Datapath;
  private readonly flows: FlowRegistry;
  private readonly view: EgressView;
  private readonly peers: Peers;
  private readonly output: TraceOutput;
  private readonly budget: EventBudget;
  private readonly who: Reporter;
  private readonly counters: AgentCounters;
  private readonly nextCookie: () => number;
  private readonly begun: (reportId: string) => void;
  private readonly table = new TraceTable<Arrived>();
  private expiry: Cancel | null = null;
  private stopped = false;

  constructor(o: {
    clock: Clock;
    scheduler: Scheduler;
    datapath: Datapath;
    flows: FlowRegistry;
    view: EgressView;
    peers: Peers;
    output: TraceOutput;
    budget: EventBudget;
    who: Reporter;
    counters: AgentCounters;
    nextCookie: () => number;
    /** A traced packet came, and will be reported under this id. */
    begun: (reportId: string) => void;
  }) {
    this.clock = o.clock;
    this.scheduler = o.scheduler;
    this.datapath = o.datapath;
    this.flows = o.flows;
    this.view = o.view;
    this.peers = o.peers;
    this.output = o.output;
    this.budget = o.budget;
    this.who = o.who;
    this.counters = o.counters;
    this.nextCookie = o.nextCookie;
    this.begun = o.begun;
  }

  /** Who still waits for state waits no longer. */
  stop(): void {
    if (!this.stopped) this.release(this.table.expire(Number.POSITIVE_INFINITY));
    this.stopped = true;
    this.expiry?.cancel();
    this.expiry = null;
  }

  /** A frame with the reserved key. Whatever it holds, it goes no further than this. */
  state(packet: PacketIn): void {
    const decoded = decodeTraceState(packet.frame);
    if (!decoded.ok) {
      this.counters.stateMalformed++;
      return;
    }
    this.counters.stateReceived++;
    const from = formatIpv4(packet.tunnelSrc);
    for (const joined of this.table.put(decoded.state, from, this.clock.monotonicMs())) {
      this.report(joined.payload, joined.match, "after-packet");
    }
  }

  /**
   * A packet with the trace bit: delivered at once, and reported under the flow trace that its state names. No flow is
   * installed for it, so the next traced packet comes up again.
   */
  traced(packet: PacketIn): void {
    this.counters.tracedArrivals++;
    const cookie = this.nextCookie();
    this.begun(reportId(this.who, cookie));
    const key = withoutTraceBit(packet.tunnelKey);
    const port = this.view.portByKey(key);
    const ofport = port === null ? null : this.view.ofportOf(port.id);
    if (ofport !== null) this.datapath.packetOut(packet.frame, [{ kind: "output", port: ofport }], packet.inPort);
    const header = new FlowMatch();
    parseFlowMatch(packet.frame, header);
    const arrived: Arrived = {
      frame: packet.frame,
      header,
      tunnelSrc: packet.tunnelSrc,
      wireKey: packet.tunnelKey,
      cookie,
      atMs: this.clock.nowMs(),
      ofport,
      port,
      duplicateOf: null,
    };
    const arrival: TraceArrival = {
      fromIp: formatIpv4(packet.tunnelSrc),
      tunnelKey: key,
      key: traceKeyOf(header),
      token: packetToken(packet.frame),
    };
    const now = this.clock.monotonicMs();
    const match = this.table.match(arrival, now);
    // A duplicate waits too: a second packet of the same bytes may be about to get its own state.
    if (match !== null && !match.duplicate) {
      this.report(arrived, match, "before-packet");
      return;
    }
    arrived.duplicateOf = match;
    this.release(this.table.hold(arrival, arrived, now));
    this.armExpiry();
  }

  /** Any other packet of a tunnel: a flow to the port with its key. */
  plain(packet: PacketIn): void {
    const port = this.view.portByKey(packet.tunnelKey);
    const ofport = port === null ? null : this.view.ofportOf(port.id);
    const match = new FlowMatch();
    match.inPort = packet.inPort;
    match.tunnelKey = packet.tunnelKey;
    match.tunnelSrc = packet.tunnelSrc;
    match.tunnelDst = packet.tunnelDst;
    const tags = [tunnelKeyTag(packet.tunnelKey), ofportTag(packet.inPort)];
    if (port !== null) tags.push(bindingTag(port.id));
    if (ofport !== null) tags.push(ofportTag(ofport));
    const actions = ofport === null ? [] : [{ kind: "output" as const, port: ofport }];
    const mask = completeMask(match, F.InPort | F.TunnelKey, 0, 0);
    const lifetime = ofport === null ? SHORT_LIFE : TUNNEL_LIFE;
    this.counters.flowsInstalled++;
    this.flows.install(this.nextCookie(), match, new Way(mask, actions, tags, null, lifetime));
    if (actions.length > 0) this.datapath.packetOut(packet.frame, actions, packet.inPort);
  }

  private armExpiry(): void {
    if (this.expiry !== null || this.stopped) return;
    const next = this.table.nextExpiryMs();
    if (next === null) return;
    this.expiry = this.scheduler.after(
      Math.min(TRACE_STATE_TTL_MS, Math.max(0, next - this.clock.monotonicMs())),
      () => {
        this.expiry = null;
        if (this.stopped) return;
        this.release(this.table.expire(this.clock.monotonicMs()));
        this.armExpiry();
      },
    );
  }

  /** Held arrivals whose wait is over: orphans, or duplicates of a packet whose state did come. */
  private release(released: readonly Released<Arrived>[]): void {
    for (const r of released) {
      const match = r.match ?? r.payload.duplicateOf;
      this.report(r.payload, match, match === null ? "never" : "before-packet");
    }
  }

  private report(a: Arrived, match: TraceMatch | null, state: "before-packet" | "after-packet" | "never"): void {
    if (match === null) this.counters.orphans++;
    if (match?.duplicate === true) this.counters.duplicates++;
    const requestIds = match?.requestIds ?? [];
    const detail = this.detailFor(requestIds);
    if (detail === "count") {
      this.counters.tracedOnlyCounted++;
      this.output.onlyCounted(requestIds, match === null ? [] : [match.flowTraceId], [reportId(this.who, a.cookie)]);
      return;
    }
    const segment = this.segment(a, match, state, detail);
    this.budget.charge(requestIds, segment.steps.length);
    this.output.push(segment);
  }

  /** The most that any of the requests allows. */
  private detailFor(requestIds: readonly string[]): TraceDetail {
    if (requestIds.length === 0) return this.budget.level();
    return requestIds.map((id) => this.budget.detailFor(id)).reduce(fuller);
  }

  private segment(
    a: Arrived,
    match: TraceMatch | null,
    state: "before-packet" | "after-packet" | "never",
    detail: TraceDetail,
  ): TraceSegment {
    const { port, ofport } = a;
    const recorder = new Recorder(a.atMs, detail);
    const key = withoutTraceBit(a.wireKey);
    const peer = this.peers.at(a.tunnelSrc);
    const token = packetToken(a.frame);
    const device =
      port === null
        ? { type: "host" as const, id: this.who.hostId, name: this.who.hostName }
        : { type: "port" as const, id: port.id, name: port.label };
    const at = { device, owner: port === null ? "" : port.tenantId };
    const duplicate = match?.duplicate ?? false;
    recorder.push({
      kind: "tunnel-received",
      ...at,
      hostId: peer?.hostId ?? null,
      hostName: peer?.name ?? null,
      tunnelIp: formatIpv4(a.tunnelSrc),
      tunnelKey: key,
      header: headerText(a.header),
      token,
      state,
      duplicate,
    });
    const reason =
      ofport !== null ? null : port === null ? ("unknown-tunnel-key" as const) : ("port-inactive" as const);
    if (ofport !== null) recorder.push({ kind: "delivered", ...at, interface: port?.interfaceName ?? "", ofport });
    else
      recorder.push({
        kind: "drop",
        ...at,
        reason: reason ?? "port-inactive",
        detail: `tunnel key 0x${key.toString(16)}`,
      });
    const verdict = ofport === null ? ("dropped" as const) : ("delivered" as const);
    recorder.push({
      kind: "flow",
      ...at,
      match: null,
      actions: [],
      idleTimeoutMs: 0,
      hardTimeoutMs: 0,
      because: "a packet with the trace bit never gets a flow, so that the next one comes up too",
    });
    if (recorder.omitted > 0) recorder.push({ kind: "steps-lost", ...at, count: recorder.omitted });
    recorder.push({ kind: "verdict", ...at, verdict, dropReason: reason });
    if (detail !== "full") {
      this.counters.tracedShort++;
      this.counters.stepsOmitted += recorder.omitted;
    }
    return {
      segmentId: reportId(this.who, a.cookie),
      flowTraceId: match === null ? null : match.flowTraceId,
      requestIds: match === null ? [] : [...match.requestIds],
      hostId: this.who.hostId,
      hostName: this.who.hostName,
      role: "egress",
      cookie: a.cookie,
      startedAtMs: a.atMs,
      key: traceKeyOf(a.header),
      steps: recorder.steps,
      stepsLost: recorder.lost,
      ...stateOf(this.who, recorder),
      verdict,
      dropReason: reason,
      expects: [],
      arrival: { fromIp: formatIpv4(a.tunnelSrc), tunnelKey: key, token, duplicate },
      packet: packetBytes(a.frame, this.who),
    };
  }
}
