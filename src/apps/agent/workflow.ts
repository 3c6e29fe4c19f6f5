import type { Clock, Random } from "#core/base";
import type { Datapath, PacketIn } from "#core/datapath";
import {
  completeMask,
  F,
  type FlowAction,
  FLOW_STATE_KEY,
  type FlowMask,
  type FlowMatch,
  FlowMatch as Match,
  isInstallable,
  isTracedKey,
  ofportTag,
  parseFlowMatch,
  runActions,
  withTraceBit,
} from "#core/flows";
import { formatIpv4 } from "#core/packets";
import { type GeneratedPacket, neighbourKey, Simulation, type Wait } from "#core/simulation";
import type { PortDevice } from "#core/topology";
import { type DropReason, encodeTraceState, packetToken, traceKeyOf, type Verdict } from "#core/tracing";
import type { ArpBroker } from "./arp-broker.ts";
import type { Bindings } from "./bindings.ts";
import { type AgentCounters, countVerdict } from "./counters.ts";
import type { Egress } from "./egress.ts";
import { type FlowRegistry, LIFETIME } from "./flow-registry.ts";
import { PacketJob } from "./job.ts";
import type { LearnedTables } from "./learned-tables.ts";
import type { Peers } from "./peers.ts";
import { type FlowNote, ingressSegment, recordPhysical, type Reporter, type SentCopy } from "./segments.ts";
import type { TopologyCache } from "./topology-cache.ts";
import type { AgentTraceGate } from "./trace-gate.ts";
import type { TraceOutput } from "./trace-output.ts";
import { type PhysicalOutput, type PhysicalView, translate, type Translation } from "./translation.ts";
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
  readonly arp: ArpBroker;
  readonly who: Reporter;
  readonly counters: AgentCounters;
  readonly nextCookie: () => number;
  readonly problem: (message: string, error: unknown) => void;
}

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
  private readonly physical: PhysicalView;

  constructor(
    parts: WorkflowParts,
    makeRoom: (gaveUp: (w: Waiting<PacketJob>, because: "time" | "room") => void) => WaitingRoom<PacketJob>,
  ) {
    this.p = parts;
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
    const port = bindings.portOf(packet.inPort);
    if (port === null) {
      this.dropUnbound(packet);
      return;
    }
    const job = new PacketJob(this.p.topology, this.p.nextCookie(), packet.inPort);
    job.begin(packet.frame, port, false, this.p.clock.nowMs());
    job.ctx.interfaceName = bindings.interfaceAt(packet.inPort);
    counters.simulated++;
    this.run(job);
  }

  /** A packet that a virtual device made: it begins by leaving the port. */
  generated(packet: GeneratedPacket, depth: number): void {
    // A generated packet may cause another (an ARP request for its own next hop), but not for ever.
    if (depth > MAX_GENERATED_DEPTH) return;
    const job = new PacketJob(this.p.topology, this.p.nextCookie(), 0);
    job.begin(packet.frame, packet.port, true, this.p.clock.nowMs());
    job.ctx.cause = packet.cause;
    job.depth = depth;
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
      waiting.job.waited({ for: arp ? "arp" : "topology", what, waitedMs });
      this.run(waiting.job);
    }
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
      job.waited({ for: "arp", what: formatIpv4(ip), waitedMs: WAIT_LIMIT_MS });
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
    const [verdict, reason] = this.outcome(job, plain);
    countVerdict(this.p.counters, verdict, reason);
    const note = ctx.generated ? GENERATED_NOTE : this.install(job, plain, verdict);
    if (ctx.trace === null) {
      if (plain.actions.length > 0) datapath.packetOut(ctx.frame, plain.actions, job.inPort);
    } else this.sendTraced(job, plain, note, verdict, reason);
    const packets = ctx.generatedPackets.splice(0);
    for (const packet of packets) this.generated(packet, job.depth + 1);
  }

  /** The simulation's verdict, corrected by what this host can really send. */
  private outcome(job: PacketJob, t: Translation): [Verdict, DropReason | null] {
    const { verdict, dropReason } = job.ctx;
    if (t.outputs.length === 0) return [verdict, dropReason];
    const lost = t.outputs.filter((o) => o.kind === "lost");
    if (lost.length === 0) return [verdict, null];
    if (lost.length < t.outputs.length) return [verdict, null];
    return ["dropped", (lost[0] as Extract<PhysicalOutput, { kind: "lost" }>).because];
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
    const error = ctx.shortLived || (t.actions.length === 0 && t.outputs.length > 0);
    const idleTimeoutMs = error ? 0 : LIFETIME.FLOW_IDLE_MS;
    const hardTimeoutMs = error ? LIFETIME.ERROR_HARD_MS : 0;
    this.p.counters.flowsInstalled++;
    this.p.gate.attach(job.tracedFlows, job.cookie);
    this.p.flows.install({
      cookie: job.cookie,
      match: ctx.original,
      mask,
      actions: t.actions,
      tags: [...ctx.tags, ...t.tags, ofportTag(job.inPort)],
      startPort: ctx.startPort,
      idleTimeoutMs,
      hardTimeoutMs,
    });
    return { mask, actions: t.actions, idleTimeoutMs, hardTimeoutMs, because: "for the packets that follow" };
  }

  /** Sends the packet itself with the trace bit, its state ahead of it, and reports this host's part. */
  private sendTraced(
    job: PacketJob,
    plain: Translation,
    note: FlowNote,
    verdict: Verdict,
    reason: DropReason | null,
  ): void {
    const { ctx } = job;
    const { datapath, counters, who, peers, output } = this.p;
    const trace = ctx.trace;
    if (trace === null) return;
    counters.traced++;
    const traced = translate(ctx.original, ctx.outputs, this.physical, (port) => withTraceBit(port.tunnelKey));
    const sent = plain.outputs.some((o) => o.kind === "remote") ? this.sendState(job, plain) : [];
    if (traced.actions.length > 0) datapath.packetOut(ctx.frame, traced.actions, job.inPort);
    trace.recorder.atMs = this.p.clock.nowMs();
    const outputs = plain.outputs.map((o) => ({
      port: o.port,
      kind: o.kind,
      ofport: o.kind === "local" ? o.ofport : 0,
      because: o.kind === "lost" ? o.because : null,
    }));
    recordPhysical(trace.recorder, who.hostId, outputs, sent, (id) =>
      id === who.hostId ? who.hostName : peers.nameOf(id),
    );
    const segment = ingressSegment(who, job, note, verdict, reason, sent);
    if (segment !== null) output.push(segment);
  }

  /**
   * The state messages, immediately before the packet: one per host and distinct bytes (copies of a flood can leave with
   * different headers), naming the tunnel keys of the copies that host gets.
   */
  private sendState(job: PacketJob, plain: Translation): SentCopy[] {
    const { ctx } = job;
    const { datapath, counters, who, peers, bindings } = this.p;
    const tunnelOfport = bindings.tunnelOfport;
    const trace = ctx.trace;
    if (trace === null || tunnelOfport === null) return [];
    const copies: { port: PortDevice; hostId: string; tunnelIp: number; frame: Uint8Array; token: string }[] = [];
    const remotes = plain.outputs.filter((o) => o.kind === "remote");
    let next = 0;
    runActions(ctx.frame, plain.actions, (port, frame) => {
      if (port !== tunnelOfport) return;
      const remote = remotes[next++];
      if (remote === undefined) return;
      const { port: device, hostId, tunnelIp } = remote;
      copies.push({ port: device, hostId, tunnelIp, frame, token: packetToken(frame) });
    });
    const groups = new Map<string, typeof copies>();
    for (const copy of copies) {
      const group = `${copy.hostId} ${copy.token}`;
      groups.set(group, [...(groups.get(group) ?? []), copy]);
    }
    const sent: SentCopy[] = [];
    for (const group of groups.values()) {
      const first = group[0] as (typeof copies)[number];
      const header: FlowMatch = new Match();
      parseFlowMatch(first.frame, header);
      const messages = encodeTraceState({
        senderHostId: who.hostId,
        flowTraceId: trace.flowTraceId,
        requestIds: trace.requestIds,
        token: first.token,
        tunnelKeys: group.map((c) => c.port.tunnelKey),
        key: traceKeyOf(header),
      });
      for (const message of messages) {
        const actions: FlowAction[] = [
          { kind: "set-tunnel", key: FLOW_STATE_KEY, dst: first.tunnelIp },
          { kind: "output", port: tunnelOfport },
        ];
        datapath.packetOut(message, actions, 0);
        counters.stateSent++;
      }
      group.forEach((copy, i) => {
        sent.push({
          port: copy.port,
          hostId: copy.hostId,
          hostName: peers.nameOf(copy.hostId),
          tunnelIp: copy.tunnelIp,
          token: copy.token,
          messages: i === 0 ? messages.length : 0,
        });
      });
    }
    return sent;
  }

  private dropUnbound(packet: PacketIn): void {
    const match = new Match();
    match.inPort = packet.inPort;
    const mask: FlowMask = { fields: F.InPort, nwSrcBits: 0, nwDstBits: 0 };
    countVerdict(this.p.counters, "dropped", "unbound-interface");
    this.p.counters.flowsInstalled++;
    this.p.flows.install({
      cookie: this.p.nextCookie(),
      match,
      mask,
      actions: [],
      tags: [ofportTag(packet.inPort)],
      startPort: null,
      idleTimeoutMs: 0,
      hardTimeoutMs: LIFETIME.ERROR_HARD_MS,
    });
  }
}

const MAX_GENERATED_DEPTH = 4;

const noFlow = (because: string): FlowNote => ({
  mask: null,
  actions: [],
  idleTimeoutMs: 0,
  hardTimeoutMs: 0,
  because,
});
const GENERATED_NOTE = noFlow("packets that devices generate never get a flow");

export const arpKey = (router: string, ip: number): string => `arp ${router} ${formatIpv4(ip)}`;
