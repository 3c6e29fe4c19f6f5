import type { Clock, FlowTraceId, Random, RuleId } from "#core/base";
import { type FlowMatch, FRAGMENT } from "#core/flows";
import type { GateDecision, PacketContext, TraceGate } from "#core/simulation";
import type { ArmedTrace } from "#core/topology";
import {
  type BegunReport,
  fuller,
  NO_JOURNAL,
  Recorder,
  TraceContext,
  type TraceJournal,
  traceKeyOf,
} from "#core/tracing";
import { EventBudget } from "./event-budget.ts";

/** Without an installed entry a flow lives this long after its last packet. */
export const FLOW_MEMORY_MS = 60_000;

/** The counts of an enabling are kept this long after its rule was last seen, and then for as long as the store has it. */
const RETIRED_MEMORY_MS = 600_000;

/** Traced flows that are remembered: beyond, the one traced first is forgotten, and would be counted and traced again. */
const MAX_FLOWS = 100_000;

/** That a flow without an entry still lives is noted in the journal no more often than this. */
export const SEEN_EVERY_MS = 10_000;

/** A flow that was traced under one enabling, as long as it lives. */
export interface TracedFlow {
  /** Under its rule. */
  readonly key: string;
  readonly rule: RuleId;
  /** Entries of the switch that serve it. */
  readonly cookies: Set<number>;
  lastPacketMs: number;
  /** What the journal says of it: served by an entry, or last seen then (wall clock). */
  journaled: "held" | number;
}

export interface TraceGateOptions {
  /** Traced flows that are remembered: beyond, the one traced first is forgotten. */
  readonly maxFlows?: number;
  readonly budget?: EventBudget;
  /** The id under which a packet will be reported, by its cookie; absent: nobody asks after reports that never came. */
  readonly reportId?: (cookie: number) => string;
}

export interface TraceGateListener {
  /** The limit of this enabling is used up. */
  exhausted(trace: ArmedTrace): void;
  /** The event budget is used up: the flow counts, and nothing of it is recorded. */
  onlyCounted(trace: ArmedTrace, reportId: string | null): void;
}

/**
 * Decides which packets are traced: each flow once while it lives, up to the limit of each enabling. Counts are kept per
 * rule id (one per enabling), so nothing but disabling and enabling starts them anew. What must outlive this process is
 * in the journal before the packet goes on.
 */
export class AgentTraceGate implements TraceGate {
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly listener: TraceGateListener;
  private readonly journal: TraceJournal;
  private readonly budget: EventBudget;
  private readonly reportId: TraceGateOptions["reportId"] | null;
  private readonly used = new Map<RuleId, number>();
  private readonly retired = new Map<RuleId, number>();
  private readonly flows = new Map<string, TracedFlow>();
  private readonly byCookie = new Map<number, TracedFlow[]>();
  /** Traced flows that the packet under way belongs to; taken by `attach`. */
  private current: TracedFlow[] = [];
  private readonly maxFlows: number;

  constructor(
    clock: Clock,
    random: Random,
    listener: TraceGateListener,
    journal: TraceJournal = NO_JOURNAL,
    { maxFlows = MAX_FLOWS, budget = new EventBudget(clock), reportId }: TraceGateOptions = {},
  ) {
    this.budget = budget;
    this.reportId = reportId ?? null;
    this.maxFlows = maxFlows;
    this.clock = clock;
    this.random = random;
    this.listener = listener;
    this.journal = journal;
  }

  /**
   * Takes over from the run before: its counts, and the flows that lived when it ended. Those have time until
   * `FLOW_MEMORY_MS` from now to show that they still do. Before the first packet. Returns what it did not report.
   */
  restore(): readonly BegunReport[] {
    const { counts, flows, unreported } = this.journal.open();
    const now = this.clock.monotonicMs();
    for (const [rule, count] of counts) {
      this.used.set(rule, count);
      // Until its device is loaded nobody knows whether the enabling is still there.
      this.retired.set(rule, now);
    }
    for (const { rule, key, lastSeenMs, held } of flows) {
      const lived = held || this.clock.nowMs() - lastSeenMs < FLOW_MEMORY_MS + SEEN_EVERY_MS;
      const flow: TracedFlow = {
        key,
        rule,
        cookies: new Set(),
        lastPacketMs: now,
        journaled: held ? "held" : lastSeenMs,
      };
      if (lived) this.flows.set(nameOf(rule, key), flow);
      else this.journal.ended(rule, key);
    }
    return unreported;
  }

  usedOf(rule: RuleId): number {
    return this.used.get(rule) ?? 0;
  }

  decide(trace: ArmedTrace, ctx: PacketContext): GateDecision {
    const now = this.clock.monotonicMs();
    const key = `${ctx.startPort} ${conversation(ctx.original)}`;
    const name = nameOf(trace.ruleId, key);
    const known = this.flows.get(name);
    if (known !== undefined && (known.cookies.size > 0 || now - known.lastPacketMs < FLOW_MEMORY_MS)) {
      known.lastPacketMs = now;
      if (known.cookies.size === 0) this.noteSeen(known);
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
    const atMs = this.clock.nowMs();
    const flow: TracedFlow = { key, rule: trace.ruleId, cookies: new Set(), lastPacketMs: now, journaled: atMs };
    this.makeRoom();
    this.flows.set(name, flow);
    this.journal.counted(flow.rule, used + 1, key, atMs);
    this.current.push(flow);
    const detail = this.budget.detailFor(trace.requestId);
    const requestIds = [trace.requestId];
    const reportId = this.reportId?.(ctx.cookie) ?? null;
    if (detail === "count") {
      const id = reportId === null ? null : `${reportId}#${trace.ruleId}`;
      if (id !== null) this.journal.begun({ id, flowTraceId: null, requestIds });
      this.listener.onlyCounted(trace, id);
      return "known";
    }
    ctx.trace ??= new TraceContext(this.random.uuid() as FlowTraceId, new Recorder(atMs, detail));
    ctx.trace.recorder.detail = fuller(ctx.trace.recorder.detail, detail);
    ctx.trace.requestIds.push(trace.requestId);
    const { flowTraceId } = ctx.trace;
    if (reportId !== null) this.journal.begun({ id: reportId, flowTraceId, requestIds });
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
    for (const flow of flows) {
      flow.cookies.add(cookie);
      if (flow.journaled === "held") continue;
      flow.journaled = "held";
      this.journal.held(flow.rule, flow.key);
    }
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
      if (ended) this.end(flow);
      else {
        flow.lastPacketMs = now;
        this.noteSeen(flow);
      }
    }
  }

  /** Forgets flows that ended without an entry. */
  sweep(): void {
    const now = this.clock.monotonicMs();
    for (const flow of this.flows.values())
      if (flow.cookies.size === 0 && now - flow.lastPacketMs >= FLOW_MEMORY_MS) this.end(flow);
    this.journal.tend();
  }

  /** Enablings whose rules were not seen for long: the store knows whether they are over. */
  overdue(): RuleId[] {
    const now = this.clock.monotonicMs();
    return [...this.retired].flatMap(([rule, sinceMs]) => (now - sinceMs >= RETIRED_MEMORY_MS ? [rule] : []));
  }

  /** The store still has the rule, though no packet of this host has met it: look again later. */
  keep(rule: RuleId): void {
    if (this.retired.has(rule)) this.retired.set(rule, this.clock.monotonicMs());
  }

  /** The store does not have the rule any more. */
  forget(rule: RuleId): void {
    if (!this.retired.delete(rule)) return;
    this.used.delete(rule);
    for (const [name, flow] of this.flows) if (flow.rule === rule) this.flows.delete(name);
    this.journal.forgotten(rule);
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

  /** Flows that somebody makes up by the thousand, under a limit that does not end, must not fill the memory. */
  private makeRoom(): void {
    if (this.flows.size < this.maxFlows) return;
    for (const oldest of this.flows.values()) return this.end(oldest);
  }

  private end(flow: TracedFlow): void {
    const name = nameOf(flow.rule, flow.key);
    // One that was forgotten before its entry was gone may have been traced anew.
    if (this.flows.get(name) !== flow) return;
    this.flows.delete(name);
    this.journal.ended(flow.rule, flow.key);
  }

  private noteSeen(flow: TracedFlow): void {
    const now = this.clock.nowMs();
    if (flow.journaled !== "held" && Math.abs(now - flow.journaled) < SEEN_EVERY_MS) return;
    flow.journaled = now;
    this.journal.seen(flow.rule, flow.key, now);
  }
}

const nameOf = (rule: RuleId, key: string): string => `${rule} ${key}`;

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
