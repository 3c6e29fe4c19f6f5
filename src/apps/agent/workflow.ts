import type { Clock, Random } from "#core/base";
import { type Datapath, longestServed, type PacketIn, tunnelTagGrowth } from "#core/datapath";
import {
  completeMask,
  ETHERTYPE,
  F,
  FLOW_STATE_KEY,
  type FlowMask,
  FlowMatch as Match,
  isInstallable,
  isTracedKey,
  ofportTag,
  UNTAGGED,
  withTraceBit,
} from "#core/flows";
import { formatIpv4 } from "#core/packets";
import {
  type GeneratedPacket,
  isMalformedIpv4,
  neighbourKey,
  type PacketContext,
  Simulation,
  type Wait,
} from "#core/simulation";
import type { PortDevice } from "#core/topology";
import { type DropReason, type Verdict } from "#core/tracing";
import { ArpAnswers, type ArpQuestion } from "./arp-answers.ts";
import type { ArpBroker } from "./arp-broker.ts";
import type { Bindings } from "./bindings.ts";
import { type AgentCounters, countVerdict } from "./counters.ts";
import type { Egress } from "./egress.ts";
import type { EventBudget } from "./event-budget.ts";
import { type FlowRegistry, type Lifetime, LIFETIME, SHORT_LIFE, Way } from "./flow-registry.ts";
import { PacketJob } from "./job.ts";
import type { KnownWay } from "./known-ways.ts";
import type { LearnedTables } from "./learned-tables.ts";
import type { Peers } from "./peers.ts";
import { type FlowNote, ingressSegment, recordPhysical, type Reporter } from "./segments.ts";
import type { TopologyCache } from "./topology-cache.ts";
import type { AgentTraceGate } from "./trace-gate.ts";
import type { TraceOutput } from "./trace-output.ts";
import { sendTraceState } from "./state-sender.ts";
import { TooBig, type TooBigPacket } from "./too-big.ts";
import { TokenBuckets } from "./token-buckets.ts";
import { type PhysicalOutput, type PhysicalView, translate, type Translation } from "./translation.ts";
import { isRemote, sendCopies, type WireCopy, wireCopies } from "./wire-copies.ts";
import { WAIT_LIMIT_MS, type Waiting, WaitingRoom } from "./waiting-room.ts";

export interface WorkflowParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly datapath: Datapath;
  readonly topology: TopologyCache;
  readonly learned: LearnedTables;
  readonly bindings: Bindings;
  readonly peers: Peers;
  readonly flows: FlowRegistry;
  readonly gate: AgentTraceGate;
  readonly egress: Egress;
  readonly output: TraceOutput;
  readonly budget: EventBudget;
  readonly arp: ArpBroker;
  readonly who: Reporter;
  readonly counters: AgentCounters;
  readonly nextCookie: () => number;
  readonly problem: (message: string, error: unknown) => void;
}

/** Jobs that are kept for packets to come. */
const MAX_IDLE_JOBS = 64;
/** ICMP errors that routers send on account of one port, at once and per second (RFC 1812 §4.3.2.8); then a flow drops. */
const ERRORS = { BURST: 100, PER_SECOND: 100 } as const;
/** Of flows by which packets go on, or are dropped as somebody wants it. */
const ORDINARY_LIFE: Lifetime = { idleMs: LIFETIME.FLOW_IDLE_MS, hardMs: 0 };
const NO_PACKETS: readonly GeneratedPacket[] = [];

/** A packet that has waited this often is going in circles. */
const MAX_WAITS = 100;

/**
 * The way of a packet through the agent, from the switch's packet-in to the actions, the flow and the trace segment:
 * classify → simulate → (wait and simulate again) → apply what was learned → translate → install → send → report.
 */
export class PacketWorkflow {
  private readonly p: WorkflowParts;
  private readonly simulation: Simulation;
  readonly room: WaitingRoom<PacketJob>;
  /** Jobs whose packets are through. */
  private readonly idleJobs: PacketJob[] = [];
  private readonly errors: TokenBuckets;
  private readonly physical: PhysicalView;
  private readonly tooBig: TooBig;
  private readonly arpAnswers: ArpAnswers;

  constructor(
    parts: WorkflowParts,
    makeRoom: (gaveUp: (w: Waiting<PacketJob>, because: "time" | "room") => void) => WaitingRoom<PacketJob>,
  ) {
    this.p = parts;
    this.errors = new TokenBuckets(parts.clock, ERRORS.BURST, ERRORS.PER_SECOND);
    this.simulation = new Simulation(parts.topology, parts.learned, parts.gate);
    this.room = makeRoom((waiting, because) => this.gaveUp(waiting, because));
    const { bindings, peers } = parts;
    this.physical = {
      hostId: parts.who.hostId,
      ofportOf: (port: PortDevice) => bindings.ofportOf(port.id),
      tunnelIpOf: (hostId: string) => peers.tunnelIpOf(hostId),
      get tunnelOfport() {
        return bindings.tunnelOfport;
      },
    };
    this.arpAnswers = new ArpAnswers(parts);
    this.tooBig = new TooBig(parts.clock, parts.datapath, this.physical, parts.counters);
  }

  packetIn(packet: PacketIn): void {
    const { bindings, counters, egress } = this.p;
    counters.packetsIn++;
    if (packet.inPort === bindings.tunnelOfport) {
      if (packet.tunnelKey === FLOW_STATE_KEY) egress.state(packet);
      else if (isTracedKey(packet.tunnelKey)) egress.traced(packet);
      else egress.plain(packet);
      return;
    }
    const known = this.p.flows.ways.find(packet.match);
    if (known !== null && this.fits(known, packet)) {
      this.follow(packet, known);
      return;
    }
    const port = bindings.portOf(packet.inPort);
    if (port === null) {
      this.dropUnbound(packet);
      return;
    }
    const job = this.job().begin(this.p.nextCookie(), packet.inPort, packet.frame, port, false, this.p.clock.nowMs());
    job.ctx.interfaceName = bindings.interfaceAt(packet.inPort);
    counters.simulated++;
    this.run(job);
  }

  /** False: what no flow looks at decides otherwise for this frame, so that it has to be simulated. */
  private fits({ tagGrowth }: KnownWay, { match, bytes, start, end }: PacketIn): boolean {
    if (match.etherType === ETHERTYPE.IPV4 && match.vlan === UNTAGGED && isMalformedIpv4(bytes, start, end))
      return false;
    return tagGrowth === null || end - start <= longestServed(tagGrowth, this.p.datapath.tunnelFrameLimit);
  }

  /** What becomes of a packet that takes a known way. */
  private follow(packet: PacketIn, { way, verdict, dropReason }: KnownWay): void {
    const { counters, flows, datapath, nextCookie } = this.p;
    counters.alike++;
    counters.flowsInstalled++;
    countVerdict(counters, verdict, dropReason);
    flows.install(nextCookie(), packet.match, way);
    if (way.actions.length > 0) datapath.forward(packet, way.actions);
  }

  /** A packet that a virtual device made: it begins by leaving the port. */
  generated(packet: GeneratedPacket, depth: number, answering: ArpQuestion | null = null): void {
    // A generated packet may cause another (an ARP request for its own next hop), but not for ever.
    if (depth > MAX_GENERATED_DEPTH) return;
    const job = this.job().begin(this.p.nextCookie(), 0, packet.frame, packet.port, true, this.p.clock.nowMs());
    job.ctx.cause = packet.cause;
    job.depth = depth;
    job.answering = answering;
    this.p.counters.generated++;
    this.run(job);
  }

  /** What a packet waited for is there. */
  ready(key: string): void {
    const arp = key.startsWith("arp ");
    // "arp <router> <ip>" is told by the address, "bridge <id>" as it is.
    const what = arp ? key.slice(key.lastIndexOf(" ") + 1) : key;
    for (const waiting of this.room.release(key)) {
      const waitedMs = Math.round((this.p.clock.monotonicMs() - waiting.sinceMs) * 10) / 10;
      const { wait } = waiting.job.ctx;
      const router = wait?.for === "arp" ? { router: wait.router } : {};
      waiting.job.waited({ for: arp ? "arp" : "topology", what, waitedMs, ...router });
      this.run(waiting.job);
    }
  }

  private job(): PacketJob {
    return this.idleJobs.pop() ?? new PacketJob(this.p.topology);
  }

  private run(job: PacketJob): void {
    const { ctx } = job;
    const { counters, gate } = this.p;
    const runsBefore = ctx.runs;
    try {
      this.simulation.run(ctx);
    } catch (error) {
      counters.errors++;
      this.p.problem("the simulation of a packet failed; the packet is dropped", error);
      ctx.wait = null;
      ctx.verdict = "error";
      ctx.dropReason = "simulation-error";
      ctx.shortLived = true;
      ctx.outputs.length = 0;
    }
    counters.runs += ctx.runs - runsBefore;
    const decided = gate.takeCurrent();
    if (decided.length > 0) job.tracedFlows = [...job.tracedFlows, ...decided];
    if (ctx.wait === null) this.finish(job);
    else if (job.rounds >= MAX_WAITS) {
      this.simulation.giveUp(ctx, "topology-timeout", `waited ${job.rounds} times`);
      this.finish(job);
    } else this.wait(job, ctx.wait);
  }

  private wait(job: PacketJob, wait: Wait): void {
    this.p.counters.waited++;
    // What was learned from the packet so far is true whatever it waits for (its own ARP answer may depend on it).
    this.learn(job);
    if (wait.for === "topology") {
      const key = `${wait.kind} ${wait.id}`;
      this.room.enter(key, job);
      for (const id of [wait.id, ...(wait.more ?? [])]) this.p.topology.load(wait.kind, id);
      return;
    }
    this.room.enter(arpKey(wait.router, wait.ip), job);
    this.p.arp.ask(wait.router, wait.port, wait.ip);
  }

  private gaveUp(waiting: Waiting<PacketJob>, because: "time" | "room"): void {
    const { job, key } = waiting;
    const { ctx } = job;
    this.p.counters.waitTimeouts++;
    if (because === "time" && ctx.wait?.for === "arp") {
      // Only the way over this neighbour ends here: other branches of a flood go on.
      const { router, ip } = ctx.wait;
      ctx.unanswered.add(neighbourKey(router, ip));
      job.waited({ for: "arp", router, what: formatIpv4(ip), waitedMs: WAIT_LIMIT_MS });
      this.run(job);
      return;
    }
    this.simulation.giveUp(ctx, because === "room" ? "waiting-room-full" : "topology-timeout", key);
    this.finish(job);
  }

  private learn(job: PacketJob): void {
    const { ctx } = job;
    for (const learn of ctx.learns) this.p.learned.learnMac(learn);
    for (const learn of ctx.arpLearns) this.p.learned.learnArp(learn);
    ctx.learns.length = 0;
    ctx.arpLearns.length = 0;
  }

  private finish(job: PacketJob): void {
    const { ctx } = job;
    const { datapath } = this.p;
    this.learn(job);
    const plain = translate(ctx.original, ctx.outputs, this.physical, (port) => port.tunnelKey);
    const big = this.tooBig.handle(ctx, plain);
    const real = big?.local ?? plain;
    const [verdict, reason] = this.outcome(job, real, big);
    countVerdict(this.p.counters, verdict, reason);
    const note = ctx.generated ? GENERATED_NOTE : this.install(job, plain, verdict);
    if (ctx.trace === null) {
      if (real.actions.length > 0) datapath.packetOut(ctx.frame, real.actions, job.inPort);
      if (big !== null) this.sendCopies(job, big.copies, (key) => key);
    } else this.sendTraced(job, real, big, note, verdict, reason);
    if (job.answering !== null) this.arpAnswers.answered(job.answering, ctx, real);
    const question = ctx.consumed ? this.arpAnswers.questionOf(job) : null;
    const { depth } = job;
    const packets = ctx.generatedPackets.length === 0 ? NO_PACKETS : ctx.generatedPackets.splice(0);
    if (this.idleJobs.length < MAX_IDLE_JOBS) this.idleJobs.push(job);
    for (const packet of packets) this.generated(packet, depth + 1, question);
  }

  /** The simulation's verdict, corrected by what this host can really send. */
  private outcome(job: PacketJob, t: Translation, big: TooBigPacket | null): [Verdict, DropReason | null] {
    const { verdict, dropReason } = job.ctx;
    if (t.outputs.length === 0) return [verdict, dropReason];
    const lost = t.outputs.filter((o) => o.kind === "lost");
    if (lost.length === 0) return [verdict, null];
    if (lost.length < t.outputs.length) return [verdict, null];
    const { because } = lost[0] as Extract<PhysicalOutput, { kind: "lost" }>;
    return [big?.told === true ? "rejected" : "dropped", because];
  }

  private install(job: PacketJob, t: Translation, verdict: Verdict): FlowNote {
    const { ctx } = job;
    if (verdict === "consumed") return noFlow("the packet was answered or absorbed, not forwarded");
    if (ctx.consumed) return noFlow("a device answered or absorbed one of the copies");
    const mask = completeMask(ctx.original, ctx.seen, ctx.nwSrcBits, ctx.nwDstBits);
    if (!isInstallable(mask)) {
      const because =
        (mask.fields & F.IcmpId) !== 0 && ctx.narrow
          ? "no switch can match the ICMP identifier, and each further flow is to be traced"
          : "the decision depends on fields no switch can match";
      return noFlow(because);
    }
    // An ICMP error is only for the packet that caused it: a flow would answer nobody.
    if (ctx.shortLived && ctx.generatedPackets.length > 0 && this.errors.take(ctx.startPort))
      return noFlow("a router answered with an ICMP error, and the next such packet is to be answered too");
    const error = ctx.shortLived || (t.actions.length === 0 && t.outputs.length > 0);
    const lifetime = error ? SHORT_LIFE : ORDINARY_LIFE;
    this.p.counters.flowsInstalled++;
    this.p.gate.attach(job.tracedFlows, job.cookie);
    // Of their own: the context's are the next packet's, too.
    const tags = [...ctx.tags, ...t.tags, ofportTag(job.inPort)];
    const way = new Way(mask, t.actions, tags, ctx.startPort, lifetime);
    this.p.flows.install(job.cookie, ctx.original, way);
    if (!error && isOrdinary(ctx, t))
      this.p.flows.ways.remember(ctx, way, tunnelTagGrowth(t.actions, this.physical.tunnelOfport ?? 0));
    return {
      mask,
      actions: t.actions,
      idleTimeoutMs: lifetime.idleMs,
      hardTimeoutMs: lifetime.hardMs,
      because: "for the packets that follow",
    };
  }

  private sendCopies(job: PacketJob, copies: readonly WireCopy[], wireKey: (key: number) => number): void {
    const { datapath, bindings } = this.p;
    sendCopies(datapath, copies, bindings.tunnelOfport, job.inPort, (copy) => wireKey(copy.to.port.tunnelKey));
  }

  /** Sends the packet itself with the trace bit, its state ahead of it, and reports this host's part. */
  private sendTraced(
    job: PacketJob,
    t: Translation,
    big: TooBigPacket | null,
    note: FlowNote,
    verdict: Verdict,
    reason: DropReason | null,
  ): void {
    const { ctx } = job;
    const { datapath, counters, who, peers, output, bindings } = this.p;
    const { trace } = ctx;
    if (trace === null) return;
    counters.traced++;
    const { tunnelOfport } = bindings;
    const remote = t.outputs.some(isRemote);
    const copies = big?.copies ?? (remote ? wireCopies(ctx.frame, t, tunnelOfport) : []);
    const sent = copies.length > 0 ? sendTraceState(this.p, trace, copies, tunnelOfport) : [];
    const traced =
      big?.local ?? translate(ctx.original, ctx.outputs, this.physical, (port) => withTraceBit(port.tunnelKey));
    if (traced.actions.length > 0) datapath.packetOut(ctx.frame, traced.actions, job.inPort);
    if (big !== null) this.sendCopies(job, copies, withTraceBit);
    trace.recorder.atMs = this.p.clock.nowMs();
    const outputs = t.outputs.map((o) => ({
      port: o.port,
      kind: o.kind,
      ofport: o.kind === "local" ? o.ofport : 0,
      because: o.kind === "lost" ? o.because : null,
    }));
    recordPhysical(trace.recorder, who.hostId, outputs, sent, (id) =>
      id === who.hostId ? who.hostName : peers.nameOf(id),
    );
    const segment = ingressSegment(who, job, note, verdict, reason, sent);
    if (segment === null) return;
    this.p.budget.charge(segment.requestIds, segment.steps.length);
    if (segment.detail !== undefined) {
      counters.tracedShort++;
      counters.stepsOmitted += trace.recorder.omitted;
    }
    output.push(segment);
  }

  private dropUnbound(packet: PacketIn): void {
    const match = new Match();
    match.inPort = packet.inPort;
    const mask: FlowMask = { fields: F.InPort, nwSrcBits: 0, nwDstBits: 0 };
    countVerdict(this.p.counters, "dropped", "unbound-interface");
    this.p.counters.flowsInstalled++;
    const way = new Way(mask, [], [ofportTag(packet.inPort)], null, SHORT_LIFE);
    this.p.flows.install(this.p.nextCookie(), match, way);
  }
}

const MAX_GENERATED_DEPTH = 4;

/** No trace had to do with it, nothing came of it but its copies, and all of them can be sent. */
const isOrdinary = (ctx: PacketContext, t: Translation): boolean =>
  ctx.trace === null &&
  ctx.decisions.size === 0 &&
  ctx.generatedPackets.length === 0 &&
  !t.outputs.some((output) => output.kind === "lost");

const noFlow = (because: string): FlowNote => ({
  mask: null,
  actions: [],
  idleTimeoutMs: 0,
  hardTimeoutMs: 0,
  because,
});
const GENERATED_NOTE = noFlow("packets that devices generate never get a flow");

export const arpKey = (router: string, ip: number): string => `arp ${router} ${formatIpv4(ip)}`;
