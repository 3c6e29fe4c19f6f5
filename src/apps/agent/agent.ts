import {
  type Cancel,
  type Clock,
  type Histogram,
  type HostId,
  type Lifecycle,
  type PortId,
  type Random,
  type Scheduler,
  type TraceRequestId,
} from "#core/base";
import type { Datapath, DatapathListener } from "#core/datapath";
import { type FlowTag, tunnelKeyTag } from "#core/flows";
import { Nsdb, type NsdbStore } from "#core/nsdb";
import type { ArmedTrace, PortDevice } from "#core/topology";
import { type AgentStatus, DETAILS, NO_JOURNAL, type TraceJournal, type TraceSink } from "#core/tracing";
import { ArpBroker } from "./arp-broker.ts";
import { Bindings } from "./bindings.ts";
import { type AgentCounters, newCounters } from "./counters.ts";
import { Egress } from "./egress.ts";
import { type BudgetLimits, EventBudget } from "./event-budget.ts";
import { FlowRegistry } from "./flow-registry.ts";
import { Hearsay } from "./hearsay.ts";
import type { ObjectKind } from "./known-objects.ts";
import { LearnedTables } from "./learned-tables.ts";
import { Peers } from "./peers.ts";
import { flowsThatCouldMatch } from "./revalidation.ts";
import { type Reporter, reportId } from "./segments.ts";
import { SharedLearned } from "./shared-state.ts";
import { TopologyCache, type TopologyListener } from "./topology-cache.ts";
import { AgentTraceGate } from "./trace-gate.ts";
import { TraceOutput } from "./trace-output.ts";
import { Upkeep } from "./upkeep.ts";
import { WaitingRoom } from "./waiting-room.ts";
import { arpKey, PacketWorkflow } from "./workflow.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type Log = (level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>) => void;

export interface AgentOptions {
  readonly hostId: HostId;
  readonly hostName: string;
  /** The agent's own session; started and stopped by the caller, after and before the agent. */
  readonly store: NsdbStore;
  /** Started and stopped by the agent. */
  readonly datapath: Datapath;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly sink: TraceSink;
  /** Keeps the counts of limits over restarts; opened and closed by the agent. Default: they begin anew with the agent. */
  readonly journal?: TraceJournal;
  /** Bytes of each traced packet that are kept for packet captures. Default 0: the headers, no payload. */
  readonly captureBytes?: number;
  /** Events that may be recorded per second. Default: as many as there are. */
  readonly budget?: BudgetLimits;
  readonly log: Log;
}

/** An enabling as this host sees it. */
export interface LimitUse {
  readonly requestId: TraceRequestId;
  /** Flows per host. */
  readonly limit: bigint;
  readonly used: number;
}

/** How often things that end without an event are looked after, ms. */
const SWEEP_MS = 5_000;

/** The per-host daemon: simulates the host's packets over the virtual topology, programs its switch, traces flows. */
export class Agent implements Lifecycle {
  private readonly o: AgentOptions;
  private readonly nsdb: Nsdb;
  private readonly bindings: Bindings;
  private readonly peers = new Peers();
  private readonly flows: FlowRegistry;
  private readonly learned: LearnedTables;
  private readonly topology: TopologyCache;
  private readonly gate: AgentTraceGate;
  private readonly journal: TraceJournal;
  private readonly egress: Egress;
  private readonly output: TraceOutput;
  private readonly budget: EventBudget;
  private readonly arp: ArpBroker;
  private readonly workflow: PacketWorkflow;
  private readonly count: AgentCounters = newCounters();
  private readonly upkeep: Upkeep;
  private readonly hearsay: Hearsay;
  private cookie = 0;
  private sweepTimer: Cancel | null = null;
  private running = false;
  /** What `start` still has to do, in words; null when it is through. */
  private starting: string | null = "the agent's start";

  constructor(o: AgentOptions) {
    this.o = o;
    const { clock, scheduler, random, datapath, store } = o;
    const problem = (message: string, error: unknown): void => this.problem(message, error);
    this.nsdb = new Nsdb(store, random, clock);
    this.bindings = new Bindings(o.hostId);
    const isUpHere = (port: PortId): boolean => this.bindings.ofportOf(port) !== null;
    this.hearsay = new Hearsay(scheduler, o.hostId, isUpHere, () => {
      this.topology.refreshAll();
      this.upkeep.askForLearned();
    });
    this.flows = new FlowRegistry(datapath);
    const invalidate = (tags: readonly FlowTag[]): void => void this.flows.invalidate(tags);
    this.learned = new LearnedTables(new SharedLearned(this.nsdb.state, clock), clock, {
      invalidate,
      problem,
      hearsayCounts: () => this.hearsay.counts,
      inUse: (tag) => this.flows.isTagged(tag),
      arpKnown: (router, ip) => {
        this.arp.answered(router, ip);
        scheduler.after(0, () => this.workflow.ready(arpKey(router, ip)));
      },
    });
    const isUp = (port: PortId, host: HostId, said: boolean): boolean => this.hearsay.isUp(port, host, said);
    const topologyListener: TopologyListener = {
      invalidate,
      problem,
      loaded: (kind, id) => this.loaded(kind, id),
      armed: (device, traces) => {
        o.log("debug", "traces armed", { device: device.id, requests: traces.map((t) => t.requestId) });
        for (const trace of traces) this.gate.revive(trace.ruleId);
        this.flows.ways.clear();
        const stale = flowsThatCouldMatch(this.flows, this.topology, this.learned, device, traces);
        for (const cookie of stale) this.flows.remove(cookie);
        this.count.revalidated += stale.length;
      },
      disarmed: (rules) => rules.forEach((rule) => this.gate.retire(rule)),
    };
    this.topology = new TopologyCache(store, scheduler, isUp, topologyListener, clock);
    this.journal = o.journal ?? NO_JOURNAL;
    const exhausted = (trace: ArmedTrace): void => this.topology.exhaust(trace.deviceId, trace.ruleId);
    const onlyCounted = (trace: ArmedTrace, report: string | null): void => {
      this.count.tracedOnlyCounted++;
      this.output.onlyCounted([trace.requestId], [], report === null ? [] : [report]);
    };
    this.budget = new EventBudget(clock, o.budget);
    this.output = new TraceOutput(o.sink, scheduler, o.hostId);
    const who: Reporter = {
      hostId: o.hostId,
      hostName: o.hostName,
      bootId: random.uuid().slice(0, 8),
      captureBytes: o.captureBytes ?? 0,
      storeAway: () => this.upkeep.storeAway,
    };
    // Where nothing outlives the process, nobody asks what did not.
    const asked = o.sink.holds === undefined ? {} : { reportId: (cookie: number) => reportId(who, cookie) };
    const listener = { exhausted, onlyCounted };
    this.gate = new AgentTraceGate(clock, random, listener, this.journal, { budget: this.budget, ...asked });
    const nextCookie = (): number => ++this.cookie;
    const view = {
      portByKey: (key: number) => this.portByKey(key),
      ofportOf: (port: PortId) => this.bindings.ofportOf(port),
    };
    const { flows, peers, output, budget, count: counters, bindings, learned, topology, gate } = this;
    this.egress = new Egress({
      clock,
      scheduler,
      datapath,
      flows,
      view,
      peers,
      output,
      budget,
      who,
      counters,
      nextCookie,
      begun: (id) => {
        if (o.sink.holds !== undefined) this.journal.begun({ id, flowTraceId: null, requestIds: [] });
      },
    });
    this.arp = new ArpBroker(scheduler, (packet) => this.workflow.generated(packet, 1));
    const { egress, arp } = this;
    this.workflow = new PacketWorkflow(
      {
        clock,
        random,
        datapath,
        topology,
        learned,
        bindings,
        peers,
        flows,
        gate,
        egress,
        output,
        budget,
        arp,
        who,
        counters,
        nextCookie,
        problem,
      },
      (gaveUp) => new WaitingRoom(clock, scheduler, gaveUp),
    );
    const { hearsay, nsdb } = this;
    const { hostId } = o;
    this.upkeep = new Upkeep(
      {
        hostId,
        store,
        state: nsdb.state,
        scheduler,
        datapath,
        bindings,
        peers,
        flows,
        topology,
        learned,
        hearsay,
        gate,
        problem,
      },
      (what) => this.workflow.ready(what),
    );
  }

  /**
   * Resolves when packets are switched as the store says. Waits for the store as long as it is away. The switch is told
   * nothing before bindings, peers and bound ports are known: until then the flows of an earlier run go on as they are.
   */
  async start(): Promise<void> {
    const { hostId, hostName, datapath } = this.o;
    this.running = true;
    await this.insist("the network state database", async () => {
      await this.nsdb.initialize();
      await this.nsdb.hosts.register(hostId, hostName);
    });
    await this.insist("a watch on the network state database", async () => {
      await this.topology.start();
      await this.upkeep.watch();
    });
    this.upkeep.followSession();
    await this.insist("bindings and peers of this host", () => this.upkeep.readBindingsAndPeers());
    await this.settled();
    if (!this.running) return;
    this.starting = "the switch";
    this.output.missing(this.gate.restore());
    datapath.listen(this.listener());
    await datapath.start();
    if (!this.running) return;
    this.starting = null;
    this.upkeep.announce();
    await this.settled();
    if (!this.running) return;
    datapath.retireEarlierFlows(() => this.workflow.room.size > 0);
    this.sweep();
    this.o.log("info", "agent started", { hostId, hostName, boundPorts: this.bindings.bound().length });
  }

  /** What is missing for packets to be switched and traced as the store says, in words; empty: nothing. */
  waitingFor(): readonly string[] {
    const waits: string[] = [];
    if (this.starting !== null) waits.push(this.starting);
    if (this.starting === null && !this.upkeep.isAnnounced)
      waits.push("the network state database (this host is not announced)");
    return [...waits, ...this.o.datapath.waitingFor()];
  }

  async stop(): Promise<void> {
    if (!this.running) return;
    this.running = false;
    this.upkeep.stop();
    this.topology.stop();
    this.hearsay.stop();
    this.egress.stop();
    this.arp.stop();
    this.workflow.room.stop();
    this.sweepTimer?.cancel();
    await this.o.datapath.stop();
    this.output.flush();
    await this.o.sink.settled?.();
    this.journal.close();
    this.o.log("info", "agent stopped", { hostId: this.o.hostId });
  }

  /** What the collectors are told of this agent. */
  status(): Omit<AgentStatus, "spool"> {
    const { perHost } = this.budget.limits;
    return {
      tracesArmed: this.topology.armedCount,
      budget: { level: this.budget.level(), eventsPerSecond: Number.isFinite(perHost) ? perHost : null },
      lost: { ...this.output.lostBy },
    };
  }

  counters(): AgentCounters & { readonly flows: number; readonly waiting: number; readonly tracesArmed: number } {
    return {
      ...this.count,
      verdicts: { ...this.count.verdicts },
      drops: { ...this.count.drops },
      flowsInvalidated: this.flows.invalidated,
      lostBy: { ...this.output.lostBy },
      budgetSteppedDown: this.budget.steppedDown,
      budgetLevel: DETAILS.indexOf(this.budget.level()),
      segmentsLost: this.output.lost,
      journalUnwritten: this.journal.unwritten,
      learningRefused: this.learned.refused,
      flows: this.flows.size,
      waiting: this.workflow.room.size,
      tracesArmed: this.topology.armedCount,
    };
  }

  /** Seconds from hearing of a change of the topology until packets are simulated by it. */
  get topologyLag(): Histogram {
    return this.topology.lag;
  }

  /** What the enabled traces of the devices known here have used of their limits on this host. */
  *limits(): Iterable<LimitUse> {
    for (const { requestId, ruleId, limit } of this.topology.armedTraces())
      yield { requestId, limit, used: this.gate.usedOf(ruleId) };
  }

  /** Resolves when this agent has caught up with everything the store said so far. */
  async settled(): Promise<void> {
    await this.upkeep.settled();
    await this.topology.settled();
  }

  private listener(): DatapathListener {
    return {
      packetIn: (packet) => {
        if (this.running) this.workflow.packetIn(packet);
      },
      flowRemoved: (removed) => {
        this.flows.forget(removed.cookie);
        this.gate.entryGone(removed.cookie, removed.reason === "idle");
      },
      portChanged: (name, port) => {
        this.flows.invalidate(this.bindings.datapathPort(name, port));
        this.upkeep.portsChanged();
      },
    };
  }

  private loaded(kind: ObjectKind, id: string): void {
    if (kind === "bridge" || kind === "router") this.upkeep.follow(kind, id);
    else {
      if (kind === "port") {
        const port = this.topology.port(id as PortId);
        if (port !== null && port !== undefined) this.flows.invalidate([tunnelKeyTag(port.tunnelKey)]);
      }
      this.workflow.ready(`${kind} ${id}`);
    }
  }

  private insist(what: string, work: () => Promise<void>): Promise<void> {
    this.starting = what;
    return this.upkeep.insist(what, work);
  }

  private portByKey(key: number): PortDevice | null {
    const port = this.topology.portKeys.at(key);
    return port !== null && this.bindings.isBound(port.id) ? port : null;
  }

  private sweep(): void {
    this.gate.sweep();
    this.upkeep.sweep();
    for (const learn of this.learned.sweep()) {
      const router = this.topology.router(learn.router);
      const route = router?.routes.lookup(0, learn.ip)[0];
      const port = route?.port === null || route === undefined ? null : this.topology.port(route.port);
      if (port !== null && port !== undefined) this.arp.ask(learn.router, port, learn.ip);
    }
    this.sweepTimer = this.o.scheduler.after(SWEEP_MS, () => this.sweep());
  }

  private problem(message: string, error: unknown): void {
    this.o.log("warn", message, {
      hostId: this.o.hostId,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  }
}
