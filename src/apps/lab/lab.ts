import { EmbeddedNsdb, type EmbeddedSession } from "#adapters/nsdb-embedded";
import { Fabric, type FabricSwitch, type VmPort } from "#adapters/datapath-fabric";
import { prometheusPage } from "#adapters/metrics-prometheus";
import { openTraceStore } from "#adapters/trace-store-open";
import { Agent, AGENT_METRICS, type AgentCounters, agentMetrics, BUDGET_LIMITS, type Log } from "#apps/agent";
import { AgentReports, ApiServer, type ListenAddress, type WebSite } from "#apps/api";
import {
  type Clock,
  type Lifecycle,
  type MetricSource,
  MidotraceError,
  type Random,
  type Scheduler,
  sourcesBy,
} from "#core/base";
import type { IdentityProvider } from "#core/identity";
import { type ApplyReport, Nsdb } from "#core/nsdb";
import { type Ipv4, parseIpv4 } from "#core/packets";
import { parseTopologyDocument, type TopologyRecords } from "#core/topology";
import { type AgentStatus, sinkToAll, type TraceSink, type TraceStore } from "#core/tracing";
import { AgentSink } from "./agent-sink.ts";
import { NamedPorts, type NamedPort } from "./named-ports.ts";
import { TimerPool } from "./timer-pool.ts";
import { Traffic } from "./traffic.ts";
import { Vm } from "./vm.ts";
import type { VmSpec, VmTable } from "./vm-table.ts";

export interface LabOptions {
  /** `memory:` or `file:DIR`. */
  readonly storeUrl: string;
  readonly listen: ListenAddress;
  /** Listen where others can reach it, although everybody is an administrator. Default false. */
  readonly insecure?: boolean;
  /** A topology document as it came out of the YAML file; null: what the store holds. */
  readonly topology: unknown;
  readonly vms: VmTable;
  /** Null: the VMs only answer. */
  readonly traffic: { readonly random: Random; readonly meanGapMs: number } | null;
  /** Gets every trace segment too: the structured log. */
  readonly traceLog: TraceSink | null;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly log: Log;
  /** Of the program, as the API tells it. */
  readonly version: string;
  /** Who may ask. Default: everybody, as administrator. */
  readonly identity?: IdentityProvider;
  /** The built web UI. Default: a page that says what this is. */
  readonly site?: WebSite | null;
}

/** One host of the lab: an agent on its own store session, and its switch. */
export interface LabHost {
  readonly id: string;
  readonly name: string;
  readonly tunnelIp: Ipv4;
  readonly agent: Agent;
  readonly switch: FabricSwitch;
}

/** A bound port: whoever stands behind it, frames can be put in. */
export interface LabPort extends NamedPort {
  readonly vm: Vm | null;
  readonly wire: VmPort;
}

/** Of one switch, as Open vSwitch limits its own by default: a VM that scans ports fills no memory. */
const MAX_FLOWS = 200_000;

/** Fabric addresses of hosts in no tunnel zone: RFC 2544 benchmark range, which no zone should use. */
const UNZONED = 0xc612_0001;

/** A whole cluster in this process: store, API server, an agent and a switch for each host, VMs on one fabric. */
export class Lab implements Lifecycle {
  /** In the directory of the store, or in memory with it. */
  readonly traces: TraceStore & Lifecycle;
  readonly fabric: Fabric;
  private readonly o: LabOptions;
  private readonly timers: TimerPool;
  private readonly store: EmbeddedNsdb;
  private readonly nsdb: Nsdb;
  private readonly session: EmbeddedSession;
  private readonly undo: (() => Promise<void> | void)[] = [];
  private readonly hostList: LabHost[] = [];
  private readonly portList = new Map<string, LabPort>();
  private named = new NamedPorts({ bridges: [], routers: [], ports: [] });
  private topology: TopologyRecords | null = null;
  private report: ApplyReport | null = null;
  private traffic: Traffic | null = null;
  private readonly agentReports: AgentReports;
  private api: ApiServer | null = null;
  private address = "";

  constructor(options: LabOptions) {
    const { clock, random } = options;
    const scheduler = new TimerPool(options.scheduler);
    this.timers = scheduler;
    this.o = { ...options, scheduler };
    this.store = new EmbeddedNsdb(options.storeUrl);
    this.session = this.store.session();
    this.nsdb = new Nsdb(this.session, random, clock);
    this.fabric = new Fabric({ clock, scheduler, switches: { maxFlows: MAX_FLOWS } });
    this.agentReports = new AgentReports(clock);
    const caughtUpMs = (id: string): number | null => this.agentReports.caughtUpMs(id);
    this.traces = openTraceStore(options.storeUrl, { clock, scheduler, caughtUpMs });
  }

  /** "http://127.0.0.1:8181"; "" before the start. */
  get url(): string {
    return this.address;
  }

  get hosts(): readonly LabHost[] {
    return this.hostList;
  }

  get ports(): readonly LabPort[] {
    return [...this.portList.values()];
  }

  /** Everything in the store when the lab started. */
  get records(): TopologyRecords | null {
    return this.topology;
  }

  /** What applying the topology did; null without one. */
  get applied(): ApplyReport | null {
    return this.report;
  }

  get trafficCounters(): ReturnType<Traffic["counters"]> | null {
    return this.traffic?.counters() ?? null;
  }

  counters(): readonly AgentCounters[] {
    return this.hostList.map((h) => h.agent.counters());
  }

  /**
   * What was started before a failure is stopped again.
   * @throws MidotraceError for a topology or table of VMs that is not valid; USAGE for an address that is not loopback
   * without `insecure`.
   */
  async start(): Promise<void> {
    try {
      await this.startAll();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    for (let step = this.undo.pop(); step !== undefined; step = this.undo.pop()) await step();
  }

  /** Begins the traffic among the VMs, if the options ask for some. */
  beginTraffic(): void {
    if (this.traffic === null || this.o.traffic === null) return;
    const { traffic } = this;
    traffic.start();
    this.undo.push(() => traffic.stop());
  }

  /** By "device/port" or id. @throws MidotraceError NOT_FOUND for a port that does not exist or is bound to no host. */
  port(ref: string): LabPort {
    const { id, name } = this.named.find(ref);
    const port = this.portList.get(id);
    if (port === undefined) throw new MidotraceError("NOT_FOUND", `port ${name} is not bound to a host of the lab`);
    return port;
  }

  private async startAll(): Promise<void> {
    this.undo.push(() => this.timers.cancelAll());
    await this.started(this.traces);
    await this.started(this.store);
    await this.session.start();
    await this.nsdb.initialize();
    await this.startApi();
    if (this.o.topology !== null) this.report = await this.nsdb.apply(parseTopologyDocument(this.o.topology));
    this.topology = await this.nsdb.readTopology();
    this.named = new NamedPorts(this.topology);
    this.undo.push(() => this.fabric.stop());
    await this.startHosts(this.topology);
    this.attachPorts(this.topology);
    await this.portsActive();
    const { scheduler, traffic, vms } = this.o;
    if (traffic === null) return;
    const machines = this.ports.flatMap((p) => (p.vm === null ? [] : [p.vm]));
    this.traffic = new Traffic({ vms: machines, errands: vms.traffic, scheduler, ...traffic });
  }

  /** What daemons show on pages of their own. */
  private hostMetrics(): MetricSource {
    return sourcesBy("host", "name of the host", AGENT_METRICS, () =>
      this.hostList.map(({ name, agent, switch: sw }) => {
        const ready = (): boolean => agent.waitingFor().length === 0;
        return [name, agentMetrics({ agent: () => agent, datapath: () => sw.stats(), ready })] as const;
      }),
    );
  }

  private async startApi(): Promise<void> {
    const { clock, random, scheduler, listen, insecure = false, log } = this.o;
    const api = new ApiServer({
      store: this.session,
      traceStore: this.traces,
      agentReports: this.agentReports,
      clock,
      scheduler,
      random,
      host: listen.host,
      port: listen.port,
      version: this.o.version,
      insecure,
      site: this.o.site ?? null,
      ...(this.o.identity === undefined ? {} : { identity: this.o.identity }),
      renderMetrics: (sources) => prometheusPage(sources, { process: true }),
      metrics: [this.hostMetrics()],
      log: {
        info: (message, fields = {}) => log("info", message, fields),
        error: (message, fields = {}) => log("error", message, fields),
      },
    });
    this.api = api;
    await this.started(api);
    this.address = api.url;
  }

  /** All sessions begin before the first agent, so that all agents end before the first session. */
  private async startHosts(records: TopologyRecords): Promise<void> {
    const { clock, scheduler, random, log } = this.o;
    const sessions = records.hosts.map(() => this.store.session());
    for (const session of sessions) await this.started(session);
    for (const [i, host] of records.hosts.entries()) {
      const member = records.tunnelZoneMembers.find((m) => m.hostId === host.id);
      const tunnelIp = (member === undefined ? null : parseIpv4(member.ipAddress)) ?? ((UNZONED + i) as Ipv4);
      const datapath = this.fabric.addHost(host.name, tunnelIp);
      const store = sessions[i] as EmbeddedSession;
      const options = { hostId: host.id, hostName: host.name, store, datapath, clock, scheduler, random, log };
      const agent = new Agent({ ...options, budget: BUDGET_LIMITS, sink: await this.sink(host.id) });
      // What it was reading when it was stopped comes to its end while there is a session.
      this.undo.push(() => agent.settled());
      await this.started(agent);
      this.hostList.push({ id: host.id, name: host.name, tunnelIp, agent, switch: datapath });
    }
  }

  private attachPorts(records: TopologyRecords): void {
    const { clock, scheduler } = this.o;
    const specs = new Map<string, VmSpec>();
    for (const spec of this.o.vms.vms) specs.set(this.named.find(spec.port).id, spec);
    const place = new Map([...specs.keys()].map((id, i) => [id, i]));
    const placeOf = (id: string): number => place.get(id) ?? place.size;
    for (const record of records.ports.toSorted((a, b) => placeOf(a.id) - placeOf(b.id))) {
      const host = records.hosts.find((h) => h.id === record.hostId);
      const datapath = host === undefined ? null : this.fabric.host(host.name);
      if (host === undefined || datapath === null || record.interfaceName === null) continue;
      const spec = specs.get(record.id);
      const vm = spec === undefined ? null : new Vm(spec, clock, scheduler);
      // A bound port without VM has its interface too: captures can be replayed into it.
      const wire = datapath.attachVm(record.interfaceName, { receive: (frame) => vm?.receive(frame) });
      vm?.attach(wire);
      // The interface stays until the switch goes: an agent that is about to stop need not hear that it went.
      this.undo.push(() => vm?.detach());
      this.portList.set(record.id, { ...this.named.find(record.id), vm, wire });
    }
    for (const [id, spec] of specs) {
      if (this.portList.has(id)) continue;
      throw new MidotraceError("VALIDATION", `VM ${spec.name}: port ${spec.port} is not bound to a host`);
    }
  }

  /** Until every agent has told the store which of its ports are up: the first packet shall not find them down. */
  private async portsActive(): Promise<void> {
    for (const { agent } of this.hostList) await agent.settled();
    for (const { agent } of this.hostList) await agent.settled();
  }

  /** Its agent is in the list once it has started. */
  private async sink(hostId: string): Promise<TraceSink> {
    const { traceLog, clock, scheduler, log } = this.o;
    const status = (): AgentStatus | null => {
      const host = this.hostList.find((h) => h.id === hostId);
      return host === undefined ? null : { ...host.agent.status(), spool: null };
    };
    const problem = (message: string, error: unknown): void => log("warn", message, { error: String(error) });
    const api = this.api as ApiServer;
    const sink = new AgentSink({ hostId, api, clock, scheduler, status, problem });
    await this.started(sink);
    return traceLog === null ? sink : sinkToAll([sink, traceLog]);
  }

  private async started(part: Lifecycle): Promise<void> {
    this.undo.push(() => part.stop());
    await part.start();
  }
}
