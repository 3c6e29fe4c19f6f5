import {
  type BridgeId,
  type Cancel,
  type Clock,
  type HostId,
  type Lifecycle,
  MidotraceError,
  type PortId,
  type Random,
  type RouterId,
  type Scheduler,
} from "#core/base";
import type { Datapath, DatapathListener } from "#core/datapath";
import { type FlowTag, tunnelKeyTag } from "#core/flows";
import { Nsdb, type NsdbEvent, type NsdbStore, NsdbUnavailable, type NsdbWatch } from "#core/nsdb";
import type { PortDevice } from "#core/topology";
import type { TraceSink } from "#core/tracing";
import { ArpBroker } from "./arp-broker.ts";
import { Bindings } from "./bindings.ts";
import { type AgentCounters, newCounters } from "./counters.ts";
import { Egress } from "./egress.ts";
import { FlowRegistry } from "./flow-registry.ts";
import { LearnedTables } from "./learned-tables.ts";
import { Peers } from "./peers.ts";
import { flowsThatCouldMatch } from "./revalidation.ts";
import type { Reporter } from "./segments.ts";
import { readBindings, readPeers, SharedLearned } from "./shared-state.ts";
import { TopologyCache } from "./topology-cache.ts";
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
  readonly log: Log;
}

/** How often things that end without an event are looked after, ms. */
const SWEEP_MS = 5_000;
/** After this what the store did not answer is asked again, ms. */
const RETRY_MS = 1_000;

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
  private readonly egress: Egress;
  private readonly output: TraceOutput;
  private readonly arp: ArpBroker;
  private readonly workflow: PacketWorkflow;
  private readonly count: AgentCounters = newCounters();
  private readonly published = new Set<PortId>();
  private cookie = 0;
  private watch: NsdbWatch | null = null;
  private sweepTimer: Cancel | null = null;
  private running = false;
  /** The store knows that this agent runs, in this session. */
  private saidAlive = false;
  /** What `start` still has to do, in words; null when it is through. */
  private starting: string | null = "the agent's start";
  /** Names of refreshes that are due; several causes make one refresh. */
  private readonly due = new Set<string>();
  private refreshing: Promise<void> | null = null;

  constructor(o: AgentOptions) {
    this.o = o;
    const { clock, scheduler, random, datapath, store } = o;
    const problem = (message: string, error: unknown): void => this.problem(message, error);
    this.nsdb = new Nsdb(store, random, clock);
    this.bindings = new Bindings(o.hostId);
    this.flows = new FlowRegistry(datapath);
    const invalidate = (tags: readonly FlowTag[]): void => void this.flows.invalidate(tags);
    this.learned = new LearnedTables(new SharedLearned(this.nsdb.state, clock), clock, {
      invalidate,
      problem,
      inUse: (tag) => this.flows.isTagged(tag),
      arpKnown: (router, ip) => {
        this.arp.answered(router, ip);
        scheduler.after(0, () => this.workflow.ready(arpKey(router, ip)));
      },
    });
    this.topology = new TopologyCache(store, scheduler, {
      invalidate,
      problem,
      loaded: (kind, id) => this.loaded(kind, id),
      armed: (device, traces) => {
        for (const trace of traces) this.gate.revive(trace.ruleId);
        const stale = flowsThatCouldMatch(this.flows, this.topology, this.learned, device, traces);
        for (const flow of stale) this.flows.remove(flow);
        this.count.revalidated += stale.length;
      },
      disarmed: (rules) => rules.forEach((rule) => this.gate.retire(rule)),
    });
    this.gate = new AgentTraceGate(clock, random, {
      exhausted: (trace) => this.topology.exhaust(trace.deviceId, trace.ruleId),
    });
    this.output = new TraceOutput(o.sink, scheduler, o.hostId);
    const who: Reporter = { hostId: o.hostId, hostName: o.hostName, bootId: random.uuid().slice(0, 8) };
    const nextCookie = (): number => ++this.cookie;
    const view = {
      portByKey: (key: number) => this.portByKey(key),
      ofportOf: (port: PortId) => this.bindings.ofportOf(port),
    };
    const { flows, peers, output, count: counters, bindings, learned, topology, gate } = this;
    this.egress = new Egress({ clock, scheduler, datapath, flows, view, peers, output, who, counters, nextCookie });
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
      this.watch ??= await store.watch("/", {
        events: (events) => this.changed(events),
        resync: () => this.refreshEverything(),
      });
    });
    store.onSession((state) => this.session(state));
    await this.insist("bindings and peers of this host", async () => {
      await this.refreshNow("peers");
      await this.refreshNow("bindings");
    });
    await this.settled();
    if (!this.running) return;
    this.starting = "the switch";
    datapath.listen(this.listener());
    await datapath.start();
    this.refresh("active");
    await this.settled();
    this.starting = null;
    datapath.retireEarlierFlows();
    this.sweep();
    this.o.log("info", "agent started", { hostId, hostName, boundPorts: this.bindings.bound().length });
  }

  /** What is missing for packets to be switched and traced as the store says, in words; empty: nothing. */
  waitingFor(): readonly string[] {
    const waits: string[] = [];
    if (this.starting !== null) waits.push(this.starting);
    if (this.starting === null && !this.saidAlive)
      waits.push("the network state database (this host is not announced)");
    return [...waits, ...this.o.datapath.waitingFor()];
  }

  async stop(): Promise<void> {
    if (!this.running) return;
    this.running = false;
    this.watch?.close();
    this.topology.stop();
    this.egress.stop();
    this.arp.stop();
    this.workflow.room.stop();
    this.sweepTimer?.cancel();
    await this.o.datapath.stop();
    this.output.flush();
    this.o.log("info", "agent stopped", { hostId: this.o.hostId });
  }

  counters(): AgentCounters & { readonly flows: number; readonly waiting: number } {
    return {
      ...this.count,
      verdicts: { ...this.count.verdicts },
      drops: { ...this.count.drops },
      flowsInvalidated: this.flows.invalidated,
      segmentsLost: this.output.lost,
      learningRefused: this.learned.refused,
      flows: this.flows.size,
      waiting: this.workflow.room.size,
    };
  }

  /** Resolves when this agent has caught up with everything the store said so far. */
  async settled(): Promise<void> {
    while (this.refreshing !== null) await this.refreshing;
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
    for (const { path } of events) {
      const [top, id, what] = path.slice(1).split("/");
      if (top === "bridges" && (what === "mac_ports" || what === "vlans")) {
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
    for (const id of this.learned.bridges()) this.refresh(`macs ${id}`);
    for (const id of this.learned.routers()) this.refresh(`arp ${id}`);
  }

  private session(state: string): void {
    if (!this.running) return;
    if (state === "lost") {
      // Everything ephemeral of this agent is gone with its session.
      this.saidAlive = false;
      this.published.clear();
      this.learned.sessionLost();
    } else if (state === "connected") {
      // Said again now: while the session is lost the store takes nothing.
      if (this.starting === null) this.refresh("active");
      this.learned.shareAgain();
    }
  }

  private refresh(what: string): void {
    this.due.add(what);
    this.refreshing ??= this.runRefreshes().finally(() => {
      this.refreshing = null;
    });
  }

  /** Does the work of a start, again and again while the store is away. */
  private async insist(what: string, work: () => Promise<void>): Promise<void> {
    while (this.running) {
      this.starting = what;
      try {
        return await work();
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        this.problem(`waiting for ${what}`, error);
        await new Promise<void>((resolve) => this.o.scheduler.after(RETRY_MS, resolve));
      }
    }
  }

  private async runRefreshes(): Promise<void> {
    await Promise.resolve();
    while (this.due.size > 0 && this.running) {
      const batch = [...this.due];
      this.due.clear();
      for (const what of batch) {
        try {
          await this.refreshNow(what);
        } catch (error) {
          this.problem(`${what}: the store did not answer; asking again`, error);
          this.o.scheduler.after(RETRY_MS, () => {
            if (this.running) this.refresh(what);
          });
        }
      }
    }
  }

  private async refreshNow(what: string): Promise<void> {
    const [kind = "", id] = what.split(" ");
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
        const bindings = await readBindings(this.o.store, this.o.hostId);
        this.flows.invalidate(this.bindings.replace(bindings));
        for (const port of this.bindings.bound()) this.topology.load("port", port);
        this.o.datapath.bindInterfaces([...bindings.keys()]);
        if (this.starting === null) await this.publishActive();
        return;
      }
      case "peers": {
        const { own, peers } = await readPeers(this.o.store, this.o.hostId);
        this.flows.invalidate(this.peers.replace(own, peers));
        this.o.datapath.setPeers(peers.map((p) => p.tunnelIp));
        return;
      }
      case "active":
        await this.publishActive();
        return;
    }
  }

  /** Tells the store what is not said yet in this session: that the host is alive, and which ports are up. */
  private async publishActive(): Promise<void> {
    if (!this.saidAlive) {
      await this.nsdb.state.setAlive(this.o.hostId);
      this.saidAlive = true;
    }
    const active = this.bindings.active();
    for (const port of active) {
      if (this.published.has(port)) continue;
      await this.nsdb.state.setPortActive(port, this.o.hostId);
      this.published.add(port);
    }
    for (const port of this.published) {
      if (active.has(port)) continue;
      await this.nsdb.state.clearPortActive(port, this.o.hostId);
      this.published.delete(port);
    }
  }

  private portByKey(key: number): PortDevice | null {
    for (const id of this.bindings.bound()) {
      const port = this.topology.port(id);
      if (port !== null && port !== undefined && port.tunnelKey === key) return port;
    }
    return null;
  }

  private sweep(): void {
    this.gate.sweep();
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

function isUnavailable(error: unknown): boolean {
  return error instanceof NsdbUnavailable || (error instanceof MidotraceError && error.code === "STORE_UNAVAILABLE");
}
