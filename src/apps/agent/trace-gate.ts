import type { Clock, FlowTraceId, Random, RuleId } from "#core/base";
import { type FlowMatch, FRAGMENT } from "#core/flows";
import type { GateDecision, PacketContext, TraceGate } from "#core/simulation";
import type { ArmedTrace } from "#core/topology";
import { Recorder, TraceContext, traceKeyOf } from "#core/tracing";

/** Without an installed entry a flow lives this long after its last packet. */
export const FLOW_MEMORY_MS = 60_000;

/** The counts of an enabling are kept this long after its rule was last seen. */
const RETIRED_MEMORY_MS = 600_000;

/** A flow that was traced under one enabling, as long as it lives. */
export interface TracedFlow {
  readonly key: string;
  readonly rule: RuleId;
  /** Entries of the switch that serve it. */
  readonly cookies: Set<number>;
  lastPacketMs: number;
}

export interface TraceGateListener {
  /** The limit of this enabling is used up. */
  exhausted(trace: ArmedTrace): void;
}

/**
 * Decides which packets are traced: each flow once while it lives, up to the limit of each enabling. Counts are kept per
 * rule id (one per enabling), so nothing but disabling and enabling starts them anew.
 */
export class AgentTraceGate implements TraceGate {
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly listener: TraceGateListener;
  private readonly used = new Map<RuleId, number>();
  private readonly retired = new Map<RuleId, number>();
  private readonly flows = new Map<string, TracedFlow>();
  private readonly byCookie = new Map<number, TracedFlow[]>();
  /** Traced flows that the packet under way belongs to; taken by `attach`. */
  private current: TracedFlow[] = [];

  constructor(clock: Clock, random: Random, listener: TraceGateListener) {
    this.clock = clock;
    this.random = random;
    this.listener = listener;
  }

  usedOf(rule: RuleId): number {
    return this.used.get(rule) ?? 0;
  }

  decide(trace: ArmedTrace, ctx: PacketContext): GateDecision {
    const now = this.clock.monotonicMs();
    const key = `${trace.ruleId} ${ctx.startPort} ${conversation(ctx.original)}`;
    const known = this.flows.get(key);
    if (known !== undefined && (known.cookies.size > 0 || now - known.lastPacketMs < FLOW_MEMORY_MS)) {
      known.lastPacketMs = now;
      this.current.push(known);
      return "known";
    }
    const used = this.usedOf(trace.ruleId);
    if (BigInt(used) >= trace.limit) {
      this.listener.exhausted(trace);
      return "exhausted";
    }
    this.used.set(trace.ruleId, used + 1);
    if (BigInt(used + 1) >= trace.limit) this.listener.exhausted(trace);
    const flow: TracedFlow = { key, rule: trace.ruleId, cookies: new Set(), lastPacketMs: now };
    this.flows.set(key, flow);
    this.current.push(flow);
    ctx.trace ??= new TraceContext(this.random.uuid() as FlowTraceId, new Recorder(this.clock.nowMs()));
    ctx.trace.requestIds.push(trace.requestId);
    return "trace";
  }

  /** The traced flows of the packet whose run has just ended: keep them with the packet until `attach`. */
  takeCurrent(): readonly TracedFlow[] {
    if (this.current.length === 0) return NONE;
    const taken = this.current;
    this.current = [];
    return taken;
  }

  /** The packet's flow is served by an entry of the switch from now on. */
  attach(flows: readonly TracedFlow[], cookie: number): void {
    if (flows.length === 0) return;
    for (const flow of flows) flow.cookies.add(cookie);
    this.byCookie.set(cookie, [...flows]);
  }

  /** `ended`: nobody used the entry for its idle time, the flows are over. Otherwise they live on for a while. */
  entryGone(cookie: number, ended: boolean): void {
    const flows = this.byCookie.get(cookie);
    if (flows === undefined) return;
    this.byCookie.delete(cookie);
    const now = this.clock.monotonicMs();
    for (const flow of flows) {
      flow.cookies.delete(cookie);
      if (flow.cookies.size > 0) continue;
      if (ended) this.flows.delete(flow.key);
      else flow.lastPacketMs = now;
    }
  }

  /** Forgets flows that ended without an entry, and enablings that are over. */
  sweep(): void {
    const now = this.clock.monotonicMs();
    for (const [rule, sinceMs] of this.retired) if (now - sinceMs >= RETIRED_MEMORY_MS) this.forget(rule);
    for (const flow of this.flows.values()) {
      if (flow.cookies.size === 0 && now - flow.lastPacketMs >= FLOW_MEMORY_MS) this.flows.delete(flow.key);
    }
  }

  /**
   * The rule is not seen any more. Its counts are kept for a while all the same: a reading that falls between two changes
   * of the chain can miss a rule that is still there.
   */
  retire(rule: RuleId): void {
    if (this.used.has(rule)) this.retired.set(rule, this.clock.monotonicMs());
  }

  /** The rule is there (again): its counts are kept as long as it is. */
  revive(rule: RuleId): void {
    this.retired.delete(rule);
  }

  private forget(rule: RuleId): void {
    this.retired.delete(rule);
    this.used.delete(rule);
    for (const flow of this.flows.values()) if (flow.rule === rule) this.flows.delete(flow.key);
  }
}

/**
 * One direction of one conversation: the 5-tuple (ICMP: the identifier in place of ports); without IP, the MACs. Later
 * fragments have no ports, so they cannot be told to belong to it.
 */
function conversation(m: FlowMatch): string {
  const k = traceKeyOf(m);
  const ends = k.networkSrc === null ? `${k.ethSrc} ${k.ethDst}` : `${k.networkSrc} ${k.networkDst}`;
  return `${m.vlan} ${k.etherType} ${ends} ${k.networkProto} ${k.srcPort} ${k.dstPort} ${m.fragment === FRAGMENT.LATER}`;
}

const NONE: readonly TracedFlow[] = [];
