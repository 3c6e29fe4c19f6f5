import { hostname } from "node:os";
import { join } from "node:path";
import { OvsDatapath, OvsSwitchConfig } from "#adapters/datapath-ovs";
import { openExporters, parseTarget } from "#adapters/exporters";
import { JsonLinesLog, RotatedFile, StreamOutput } from "#adapters/event-log";
import { prometheusPage } from "#adapters/metrics-prometheus";
import { openStore } from "#adapters/nsdb-open";
import {
  type Followed,
  jsonLog,
  type ProcessLog,
  StateDirectory,
  systemClock,
  systemRandom,
  systemScheduler,
} from "#adapters/platform";
import { FileTraceJournal } from "#adapters/trace-journal-file";
import { FileTraceSpool, traceSpoolMetrics } from "#adapters/trace-spool-file";
import {
  type CollectorCredentials,
  HttpTraceSink,
  type HttpTraceSinkOptions,
  HttpTransport,
  traceSinkMetrics,
} from "#adapters/trace-sink-http";
import { parseListen, usage } from "#apps/cli/options";
import { type HostId, type Lifecycle, type MetricsPage, MidotraceError } from "#core/base";
import { type Exporter, exporterMetrics } from "#core/exporting";
import { type GuardedStore, guardIdentity, MeasuredStore, Nsdb, NsdbUnavailable } from "#core/nsdb";
import { formatIpv4, type Ipv4, parseIpv4 } from "#core/packets";
import { type AgentStatus, sinkToAll, sumOfLosses, type TraceSink } from "#core/tracing";
import { Agent } from "./agent.ts";
import { agentMetrics } from "./metrics.ts";
import { collectorCredentials } from "./collector-credentials.ts";
import type { AgentOptionValues } from "./options.ts";
import { readPeers } from "./shared-state.ts";
import { hostIdOf } from "./host-id.ts";
import { StatusServer } from "./status-server.ts";

/** How often a host that is in no tunnel zone looks whether it is in one now, ms. */
const ZONE_RETRY_MS = 2_000;

/** The agent of a command line with all its parts: status server, store, switch, journal, sinks. */
export class AgentProcess implements Lifecycle {
  readonly hostId: HostId;
  readonly log: ProcessLog;
  private readonly options: AgentOptionValues;
  private readonly journal: FileTraceJournal;
  private traceSpool: FileTraceSpool | null = null;
  private readonly hostName: string;
  private readonly state: StateDirectory;
  private readonly store: GuardedStore;
  private readonly status: StatusServer;
  private readonly metrics: MetricsPage;
  private readonly credentials: Followed<CollectorCredentials>;
  private exporters: readonly Exporter[] = [];
  private readonly sinks: (TraceSink & Lifecycle)[] = [];
  private httpSink: HttpTraceSink | null = null;
  private agent: Agent | null = null;
  private datapath: OvsDatapath | null = null;
  private config: OvsSwitchConfig | null = null;
  private tunnelIp: Ipv4 | null;
  private waits: string | null = "the network state database";
  private stopping = false;

  /** @throws MidotraceError USAGE for options that make no sense; nothing is started. */
  constructor(options: AgentOptionValues, write: (line: string) => void) {
    const url = options.store;
    if (url === null) throw usage("an agent needs --store: zookeeper://HOST:PORT,…/PATH");
    this.options = options;
    // Said now rather than when the store is there.
    for (const target of options.export) parseTarget(target);
    this.log = jsonLog(systemClock, options["log-level"] as never, write);
    this.credentials = collectorCredentials(options, this.log);
    const { host, port } = parseListen(options.listen);
    this.tunnelIp = tunnelAddress(options["tunnel-ip"]);
    this.state = new StateDirectory(options["state-dir"], "--state-dir");
    this.hostId = hostIdOf(this.state, options["host-id"], () => systemRandom.uuid());
    this.journal = new FileTraceJournal({ directory: this.state.path, log: this.log });
    this.hostName = options["host-name"] ?? hostname();
    const opened = openStore(url, {
      leaveSession: true,
      clock: systemClock,
      scheduler: systemScheduler,
      random: systemRandom,
      log: this.log,
    });
    const store = new MeasuredStore(opened, systemClock);
    this.metrics = prometheusPage(
      [
        agentMetrics({
          agent: () => this.agent,
          datapath: () => this.datapath?.stats() ?? null,
          ready: () => this.waitingFor().length === 0,
        }),
        traceSinkMetrics(() => this.httpSink?.counters() ?? null),
        traceSpoolMetrics(() => this.traceSpool),
        store.metrics(),
        exporterMetrics(() => this.exporters),
      ],
      { process: true },
    );
    this.store = guardIdentity(store, {
      scheduler: systemScheduler,
      expected: this.state.storeIdentity(url),
      learned: (id) => this.remember(url, id),
    });
    this.status = new StatusServer(host, port, {
      waitingFor: () => this.waitingFor(),
      metrics: () => this.metrics.text(),
      facts: () => this.facts(),
    });
  }

  /** Where /healthz, /readyz and /metrics answer; "" before the start. */
  get statusUrl(): string {
    return this.status.url;
  }

  /** Resolves when packets are switched as the store says; it waits for whatever is away. */
  async start(): Promise<void> {
    await this.status.start();
    if (this.stopping) return this.status.stop();
    this.log("info", "agent starting", { hostId: this.hostId, hostName: this.hostName, status: this.status.url });
    await this.store.start();
    this.tunnelIp ??= await this.addressInZone();
    if (this.stopping || this.tunnelIp === null) return;
    this.waits = null;
    const parts = { clock: systemClock, scheduler: systemScheduler, random: systemRandom, log: this.log };
    this.config = new OvsSwitchConfig({
      ...parts,
      runDir: this.options["ovs-run-dir"],
      bridge: this.options.bridge,
      tunnelIp: this.tunnelIp,
      datapath: this.options.datapath as "auto" | "system" | "netdev",
    });
    this.datapath = new OvsDatapath({ ...parts, config: this.config });
    // Before the sinks: what the spool has must be crossed out before it is delivered.
    this.journal.open();
    const sink = await this.openSinks();
    if (this.stopping) return this.stopSinks();
    const agent = new Agent({
      ...parts,
      hostId: this.hostId,
      hostName: this.hostName,
      store: this.store,
      datapath: this.datapath,
      sink,
      captureBytes: Number(this.options["capture-bytes"]),
      budget: {
        perHost: Number(this.options["trace-events"]),
        perRequest: Number(this.options["trace-events-per-request"]),
      },
      journal: this.journal,
    });
    this.agent = agent;
    await agent.start();
  }

  /**
   * The switch goes on forwarding by the flows it has. The store session is left to end by itself: who starts again before
   * that finds its ports still active, and no other host has noticed.
   */
  async stop(): Promise<void> {
    this.stopping = true;
    await this.agent?.stop();
    await this.stopSinks();
    await this.store.stop();
    await this.status.stop();
  }

  private async stopSinks(): Promise<void> {
    for (const sink of this.sinks) await sink.stop();
    this.credentials.stop();
  }

  /** Not being able to is no reason not to work: the next start believes whichever store it finds. */
  private remember(url: string, identity: string): void {
    try {
      this.state.rememberStore(url, identity);
    } catch (error) {
      this.log("warn", "the identity of the store could not be remembered", { error });
    }
  }

  private async openSinks(): Promise<TraceSink> {
    this.credentials.start();
    const path = this.options["log-file"];
    if (path !== null) {
      const output = path === "-" ? new StreamOutput(process.stdout) : new RotatedFile({ path });
      const format = this.options["log-format"] === "text" ? "text" : "json";
      this.sinks.push(new JsonLinesLog({ output, clock: systemClock, format }));
    }
    this.httpSink = new HttpTraceSink({
      ...this.spool(),
      status: () => this.agentStatus(),
      kept: (ids) => this.journal.reported(ids),
      store: this.store,
      hostId: this.hostId,
      clock: systemClock,
      scheduler: systemScheduler,
      random: systemRandom,
      log: this.log,
      transport: new HttpTransport(() => this.credentials.value),
    });
    this.sinks.push(this.httpSink);
    const parts = { clock: systemClock, scheduler: systemScheduler, random: systemRandom, log: this.log };
    this.exporters = await openExporters(this.options.export, { ...parts, unit: "steps" });
    this.sinks.push(...this.exporters);
    for (const sink of this.sinks) await sink.start();
    return sinkToAll(this.sinks);
  }

  private agentStatus(): AgentStatus {
    const { agent, httpSink, traceSpool } = this;
    const said = agent?.status() ?? NOT_STARTED;
    const spool = traceSpool === null ? null : { segments: traceSpool.segments, bytes: traceSpool.bytes };
    return { ...said, spool, lost: sumOfLosses(said.lost, httpSink?.lostBy ?? {}) };
  }

  /** What waits on the disk for the collectors; nothing does when its size is 0. */
  private spool(): Pick<HttpTraceSinkOptions, "spool" | "limits"> {
    const queueBytes = Number(this.options["spool-mib"]) * 1024 * 1024;
    if (queueBytes === 0) return {};
    const directory = join(this.state.path, "trace-spool");
    // Twice as much on the disk: files go as a whole.
    const spool = new FileTraceSpool({ directory, maxBytes: 2 * queueBytes, log: this.log });
    this.traceSpool = spool;
    return { spool, limits: { queueBytes, queueSegments: Number(this.options["spool-segments"]) } };
  }

  /**
   * This host's address in its tunnel zone, waited for. The host is registered before: nobody could put it into a zone
   * otherwise. Null when the agent is stopped meanwhile.
   */
  private async addressInZone(): Promise<Ipv4 | null> {
    const nsdb = new Nsdb(this.store, systemRandom, systemClock);
    let registered = false;
    const unreadable = (error: unknown): void => this.log("warn", "a node cannot be read, and is left out", { error });
    const ask = async (): Promise<Ipv4 | null> => {
      if (!registered) {
        await nsdb.initialize();
        await nsdb.hosts.register(this.hostId, this.hostName);
        registered = true;
      }
      return (await readPeers(this.store, this.hostId, unreadable)).own;
    };
    for (let said = false; !this.stopping; ) {
      const own = await ask().catch(unlessAway);
      if (own !== null) return own;
      this.waits = `an address: host ${this.hostId} is in no tunnel zone, and --tunnel-ip is not given`;
      if (!said) this.log("warn", `waiting for ${this.waits}`);
      said = true;
      await new Promise<void>((resolve) => systemScheduler.after(ZONE_RETRY_MS, resolve));
    }
    return null;
  }

  private waitingFor(): readonly string[] {
    const problem = this.store.problem();
    const store = problem === null ? [] : [problem];
    if (this.agent === null) return [...store, ...(this.waits === null ? ["the agent's start"] : [this.waits])];
    return [...store, ...this.agent.waitingFor()];
  }

  private facts(): Record<string, string | number | null> {
    return {
      hostId: this.hostId,
      hostName: this.hostName,
      tunnelIp: this.tunnelIp === null ? null : formatIpv4(this.tunnelIp),
      bridge: this.options.bridge,
      datapath: this.config?.datapathType ?? null,
    };
  }
}

const NOT_STARTED = { tracesArmed: 0, budget: { level: "full", eventsPerSecond: null }, lost: {} } as const;

function tunnelAddress(text: string | null): Ipv4 | null {
  if (text === null) return null;
  const ip = parseIpv4(text);
  if (ip === null || ip === 0) throw usage(`--tunnel-ip is an IPv4 address, not ${JSON.stringify(text)}`);
  return ip;
}

/** A store that does not answer now is asked again. */
function unlessAway(error: unknown): null {
  const away =
    error instanceof NsdbUnavailable || (error instanceof MidotraceError && error.code === "STORE_UNAVAILABLE");
  if (!away) throw error;
  return null;
}
