import {
  type BridgeId,
  type Cancel,
  type Clock,
  type Histogram,
  type HostId,
  type Lifecycle,
  type PortId,
  type Random,
  type RouterId,
  type Scheduler,
  type TraceRequestId,
} from "#core/base";
import type { Datapath, DatapathListener } from "#core/datapath";
import { type FlowTag, tunnelKeyTag } from "#core/flows";
import {
  BRIDGE,
  HOST,
  Nsdb,
  type NsdbEvent,
  type NsdbStore,
  type NsdbWatch,
  PORT,
  ROUTER,
  RULE,
  TUNNEL_ZONE,
} from "#core/nsdb";
import type { ArmedTrace, PortDevice } from "#core/topology";
import { type AgentStatus, DETAILS, NO_JOURNAL, type TraceJournal, type TraceSink } from "#core/tracing";
import { Announcer } from "./announcer.ts";
import { ArpBroker } from "./arp-broker.ts";
import { Bindings } from "./bindings.ts";
import { type AgentCounters, newCounters } from "./counters.ts";
import { Egress } from "./egress.ts";
import { type BudgetLimits, EventBudget } from "./event-budget.ts";
import { FlowRegistry } from "./flow-registry.ts";
import { Hearsay } from "./hearsay.ts";
import { LearnedTables } from "./learned-tables.ts";
import { Peers } from "./peers.ts";
import { flowsThatCouldMatch } from "./revalidation.ts";
import { Refresher } from "./refresher.ts";
import { type Reporter, reportId } from "./segments.ts";
import { readBindings, readPeers, SharedLearned } from "./shared-state.ts";
import { TopologyCache, type TopologyListener } from "./topology-cache.ts";
import { AgentTraceGate } from "./trace-gate.ts";
import { TraceOutput } from "./trace-output.ts";
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
/** What `changed` makes something of. */
const WATCHED = [BRIDGE, HOST, PORT, ROUTER, TUNNEL_ZONE].map((kind) => kind.directory);
/** Directories of a bridge that say where MACs are. */
const BRIDGE_TABLES: ReadonlySet<string> = new Set(["mac_ports", "vlans", "static_macs"]);

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
  private storeAway = false;
  private readonly arp: ArpBroker;
  private readonly workflow: PacketWorkflow;
  private readonly count: AgentCounters = newCounters();
  private readonly announcer: Announcer;
  private readonly refresher: Refresher;
  private readonly hearsay: Hearsay;
  private cookie = 0;
  private watch: NsdbWatch | null = null;
  private sweepTimer: Cancel | null = null;
  private running = false;
  /** What `start` still has to do, in words; null when it is through. */
  private starting: string | null = "the agent's start";

  constructor(o: AgentOptions) {
    this.o = o;
    const { clock, scheduler, random, datapath, store } = o;
    const problem = (message: string, error: unknown): void => this.problem(message, error);
    this.nsdb = new Nsdb(store, random, clock);
    this.announcer = new Announcer(this.nsdb.state, store, o.hostId);
    this.refresher = new Refresher({ scheduler, problem, refresh: (what) => this.refreshNow(what) });
    this.bindings = new Bindings(o.hostId);
    const isUpHere = (port: PortId): boolean => this.bindings.ofportOf(port) !== null;
    this.hearsay = new Hearsay(scheduler, o.hostId, isUpHere, () => {
      this.topology.refreshAll();
      this.refreshLearned();
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
      storeAway: () => this.storeAway,
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
  }

  /**
   * Resolves when packets are switched as the store says. Waits for the store as long as it is away. The switch is told
   * nothing before bindings, peers and bound ports are known: until then the flows of an earlier run go on as they are.
   */
  async start(): Promise<void> {
    const { store, hostId, hostName, datapath } = this.o;
    this.running = true;
    await this.insist("the network state database", async () => {
      await this.nsdb.initialize();
      await this.nsdb.hosts.register(hostId, hostName);
    });
    await this.insist("a watch on the network state database", async () => {
      await this.topology.start();
      this.watch ??= await store.watch(WATCHED, {
        events: (events) => this.changed(events),
        resync: () => this.refreshEverything(),
      });
      if (!this.running) this.watch.close();
    });
    store.onSession((state) => this.session(state));
    await this.insist("bindings and peers of this host", async () => {
      await this.refreshNow("peers");
      await this.refreshNow("bindings");
    });
    await this.settled();
    if (!this.running) return;
    this.starting = "the switch";
    this.output.missing(this.gate.restore());
    datapath.listen(this.listener());
    await datapath.start();
    if (!this.running) return;
    this.starting = null;
    this.refresh("active");
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
    if (this.starting === null && !this.announcer.isAnnounced)
      waits.push("the network state database (this host is not announced)");
    return [...waits, ...this.o.datapath.waitingFor()];
  }

  async stop(): Promise<void> {
    if (!this.running) return;
    this.running = false;
    this.refresher.stop();
    this.watch?.close();
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
    await this.refresher.settled();
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
        this.refresh("active");
      },
    };
  }

  private loaded(kind: string, id: string): void {
    if (kind === "bridge") this.refresh(`macs ${id}`);
    else if (kind === "router") this.refresh(`arp ${id}`);
    else {
      if (kind === "port") {
        const port = this.topology.port(id as PortId);
        if (port !== null && port !== undefined) this.flows.invalidate([tunnelKeyTag(port.tunnelKey)]);
      }
      this.workflow.ready(`${kind} ${id}`);
    }
  }

  private changed(events: readonly NsdbEvent[]): void {
    for (const { kind, path } of events) {
      if (kind === "deleted" && this.announcer.gone(path)) this.refresh("active");
      const [top, id, what] = path.slice(1).split("/");
      if (top === "bridges" && BRIDGE_TABLES.has(what ?? "")) {
        if (this.learned.knowsBridge(id as BridgeId)) this.refresh(`macs ${id}`);
      } else if (top === "routers" && what === "arp_table") {
        if (this.learned.knowsRouter(id as RouterId)) this.refresh(`arp ${id}`);
      } else if (top === "hosts" && id === this.o.hostId && what === "vrnMappings") this.refresh("bindings");
      else if (top === "tunnel_zones" || (top === "hosts" && what === undefined)) this.refresh("peers");
    }
  }

  private refreshEverything(): void {
    this.refresh("bindings");
    this.refresh("peers");
    this.refreshLearned();
    this.announcer.gap();
    if (this.starting === null) this.refresh("active");
  }

  private refreshLearned(): void {
    for (const id of this.learned.bridges()) this.refresh(`macs ${id}`);
    for (const id of this.learned.routers()) this.refresh(`arp ${id}`);
  }

  private session(state: string): void {
    this.storeAway = state !== "connected";
    if (!this.running) return;
    if (state === "lost") {
      // Everything ephemeral of this agent is gone with its session.
      this.learned.sessionLost();
      this.hearsay.sessionLost();
    } else if (state === "connected") {
      // Said again now: while the session is lost the store takes nothing.
      if (this.starting === null) this.refresh("active");
      this.learned.shareAgain();
      this.hearsay.connected();
    }
  }

  private refresh(what: string): void {
    this.refresher.ask(what);
  }

  private insist(what: string, work: () => Promise<void>): Promise<void> {
    this.starting = what;
    return this.refresher.insist(what, work);
  }

  private async refreshNow(what: string): Promise<void> {
    const [kind = "", id] = what.split(" ");
    const unreadable = (error: unknown): void => this.problem("a node cannot be read, and is left out", error);
    switch (kind) {
      case "macs":
        await this.learned.refreshBridge(id as BridgeId);
        this.workflow.ready(`bridge ${id}`);
        return;
      case "arp":
        await this.learned.refreshRouter(id as RouterId);
        this.workflow.ready(`router ${id}`);
        return;
      case "bindings": {
        const bindings = await readBindings(this.o.store, this.o.hostId, unreadable);
        const before = new Set(this.bindings.bound());
        const stale = this.bindings.replace(bindings);
        for (const id of this.bindings.bound()) {
          this.topology.load("port", id);
          // Known as another host's port until now: its frames may have come here, and be dropped for want of it.
          const key = before.has(id) ? undefined : this.topology.port(id)?.tunnelKey;
          if (key !== undefined) stale.push(tunnelKeyTag(key));
        }
        this.flows.invalidate(stale);
        this.o.datapath.bindInterfaces([...bindings.keys()]);
        if (this.starting === null) this.refresh("active");
        return;
      }
      case "peers": {
        const { own, peers } = await readPeers(this.o.store, this.o.hostId, unreadable);
        this.flows.invalidate(this.peers.replace(own, peers));
        this.o.datapath.setPeers(peers.map((p) => p.tunnelIp));
        return;
      }
      case "active":
        await this.announcer.announce(this.bindings.active());
        return;
      case "enablings":
        await this.forgetEnablings();
        return;
    }
  }

  /** Whether an enabling is over the store says: this host may just not have met its device since it started. */
  private async forgetEnablings(): Promise<void> {
    const rules = this.gate.overdue();
    const nodes = await this.o.store.getMany(rules.map((rule) => `${RULE.directory}/${rule}`));
    for (const [i, rule] of rules.entries()) {
      if (nodes[i] === null) this.gate.forget(rule);
      else this.gate.keep(rule);
    }
  }

  private portByKey(key: number): PortDevice | null {
    const port = this.topology.portKeys.at(key);
    return port !== null && this.bindings.isBound(port.id) ? port : null;
  }

  private sweep(): void {
    this.gate.sweep();
    if (this.gate.overdue().length > 0) this.refresh("enablings");
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
