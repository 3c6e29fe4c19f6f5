import type { OperationId, Route, SegmentsAnswerDto } from "#core/api-contract";
import type { Cancel, Clock, Lifecycle, MetricSource, Random, RenderMetrics, Scheduler } from "#core/base";
import { type IdentityProvider, NoAuthentication } from "#core/identity";
import { Nsdb, type NsdbStore, SYSTEM_STATE } from "#core/nsdb";
import { MeasuredTraceStore, type TraceStore } from "#core/tracing";
import { Access } from "./access.ts";
import { AgentReports } from "./agent-reports.ts";
import type { AliveHosts } from "./alive-hosts.ts";
import { Audit, type AuditEntry } from "./audit.ts";
import type { ApiLog } from "./call.ts";
import { type AgentGate, CLOSED_GATE, OPEN_GATE } from "./caller.ts";
import { Collector, type SegmentDelivery } from "./collector.ts";
import { allHandlers } from "./handlers/index.ts";
import { buildHttp } from "./http.ts";
import { type ListenAddress, requireLoopback } from "./listen.ts";
import {
  NO_RATE_LIMITS,
  type RateLimits,
  type ServerLimits,
  serverLimits,
  type TenantLimits,
  tenantLimits,
} from "./limits.ts";
import { Listener } from "./listener.ts";
import { ServerTls, type TlsSource } from "./server-tls.ts";
import { ApiMetrics } from "./metrics.ts";
import { Ownership } from "./ownership.ts";
import { Rates } from "./rates.ts";
import { ReadOnly } from "./read-only.ts";
import { Seal } from "./seal.ts";
import { Sight } from "./sight.ts";
import { StoreLife } from "./store-life.ts";
import { OpenStreams } from "./streams.ts";
import { TraceWatch } from "./trace-watch.ts";
import type { WebSite } from "./web-site.ts";

export interface ApiServerOptions {
  /** Started before the server and stopped after it, by whoever made it; but see `startStore`. */
  readonly store: NsdbStore;
  /**
   * Starts the store, which may take as long as it likes: the server listens meanwhile, and says that it waits. Called again
   * while it fails because the store is away. Default: the store is started.
   */
  readonly startStore?: () => Promise<void>;
  /** What the store waits for, in its own words, where it can say. */
  readonly storeProblem?: () => string | null;
  readonly traceStore: TraceStore;
  /** What is wrong with the trace store, in its own words, where it can say; null: nothing. */
  readonly traceStoreProblem?: () => string | null;
  /** Kept up to date by the server, for a trace store that wants to know which hosts are down. */
  readonly aliveHosts?: AliveHosts;
  /** Kept up to date by the server, for a trace store that wants to know what is only late. */
  readonly agentReports?: AgentReports;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly log: ApiLog;
  readonly host: string;
  /** 0: any free one; `url` says which. */
  readonly port: number;
  /** A second address, where agents deliver and nothing else is served. */
  readonly collect?: ListenAddress;
  /**
   * Where agents reach this server, told to them through the store. A function is given the addresses that the server has
   * got. Default: nothing is told.
   */
  readonly advertise?: string | ((listening: { readonly url: string; readonly collectUrl: string | null }) => string);
  /** Who knows the users; started before the server and stopped after it. Default: nobody is asked who they are. */
  readonly identity?: IdentityProvider;
  /** Who knows the agents. Default: nobody is asked, where nobody else is either; else nobody is let in. */
  readonly agents?: AgentGate;
  /** Serve https with this. Default: http. */
  readonly tls?: TlsSource | null;
  /** At `collect`, ask for a certificate that one of these authorities (PEM) has signed. Needs `tls`. */
  readonly clientCa?: string | null;
  /** Listen on other than loopback addresses although everybody is an administrator. Default false. */
  readonly insecure?: boolean;
  /** Shows what the server counts at /metrics. Default: the page is empty. */
  readonly renderMetrics?: RenderMetrics;
  /** Of parts that the server is given, shown with its own. */
  readonly metrics?: readonly MetricSource[];
  /** What is served. Default: the contract; others are for tests of what a declaration does. */
  readonly routes?: readonly (readonly [OperationId, Route])[];
  /** Version of the program. */
  readonly version?: string;
  /** Events that may wait for one client of a stream, default 1000. */
  readonly streamQueue?: number;
  /** What a request may be like. Default: as the options' defaults. */
  readonly limits?: ServerLimits;
  /** How often who may ask. Default: as often as they like. */
  readonly rates?: RateLimits;
  /** Takes what was changed, by whom, and who was not let. Default: nobody does. */
  readonly audit?: (entry: AuditEntry) => void;
  /** What a tenant may have. Default: as the options' defaults. */
  readonly tenantLimits?: TenantLimits;
  /** The built web UI. Default: a page that says what this is. */
  readonly site?: WebSite | null;
  /**
   * Servers that share a trace store share this, so that a tenant's cursor of one is understood by the others; to be kept
   * from tenants. Default: one that is made up at the start.
   */
  readonly sealSecret?: () => string | null;
}

const DEFAULT_STREAM_QUEUE = 1_000;
/** How often awaited parts of flow traces are looked at. */
const SETTLE_MS = 1_000;
/** What the collector's own address serves. */
const COLLECTOR_ONLY: ReadonlySet<OperationId> = new Set<OperationId>([
  "deliverSegments",
  "getHealth",
  "getReadiness",
  "getMetrics",
]);
/** What of it nobody is asked for a password for: only hosts and those who run them reach it. */
const COLLECTOR_OPEN: ReadonlySet<OperationId> = new Set<OperationId>(["getMetrics"]);

/** Usable where a Lifecycle is asked for; says where the server listens to who wants to know. */
export type Started = void & { readonly url: string };

/** The REST API over one store and one trace store. */
export class ApiServer implements Lifecycle {
  private readonly options: ApiServerOptions;
  private readonly streams = new OpenStreams();
  private readonly metrics = new ApiMetrics();
  private readonly traceStore: MeasuredTraceStore;
  private readonly collector: Collector;
  private readonly collectorId: string;
  private readonly ownSecret: string;
  private readonly rates: Rates;
  private readonly audit: Audit | null;
  private readonly nsdb: Nsdb;
  private readonly life: StoreLife;
  private readonly listeners: Listener[] = [];
  private readonly traceWatch: TraceWatch;
  private readonly readOnly: ReadOnly;
  private settling: Cancel | null = null;
  private settled: Promise<void> = Promise.resolve();
  private stopping = false;

  constructor(options: ApiServerOptions) {
    this.options = options;
    const { store, scheduler, random, clock, log } = options;
    this.traceStore = new MeasuredTraceStore(options.traceStore, clock);
    this.collector = new Collector(this.traceStore, log, options.agentReports ?? new AgentReports(clock));
    this.collectorId = random.uuid();
    this.ownSecret = random.uuid();
    this.rates = new Rates(clock, options.rates ?? NO_RATE_LIMITS);
    this.audit = options.audit === undefined ? null : new Audit(clock, options.audit);
    this.nsdb = new Nsdb(store, random, clock, this.audit === null ? {} : { committed: this.audit.committed });
    this.traceWatch = new TraceWatch(store, this.traceStore, this.streams, log);
    this.readOnly = new ReadOnly(this.nsdb);
    this.life = new StoreLife({
      store,
      startStore: options.startStore ?? null,
      nsdb: this.nsdb,
      watchers: [
        { prefix: "/traces", watcher: this.traceWatch },
        { prefix: SYSTEM_STATE, watcher: this.readOnly },
        ...(options.aliveHosts === undefined ? [] : [{ prefix: "/hosts", watcher: options.aliveHosts }]),
      ],
      scheduler,
      log,
      problem: options.storeProblem ?? (() => null),
      collector: () => this.advertised(),
    });
  }

  /** "http://127.0.0.1:8181"; empty before start. */
  get url(): string {
    return this.listeners[0]?.url ?? "";
  }

  /** Where agents alone are served; null when there is no such address. */
  get collectUrl(): string | null {
    return this.listeners[1]?.url ?? null;
  }

  /** What an agent in this process delivers. @throws MidotraceError STORE_UNAVAILABLE */
  collect(delivery: SegmentDelivery): Promise<SegmentsAnswerDto> {
    return this.collector.take(delivery);
  }

  /** Event streams that are open. */
  get openStreams(): number {
    return this.streams.size;
  }

  /**
   * Listens, also when the store is away: `/readyz` says so, and what needs the store is answered 503 until it is there.
   * @throws MidotraceError USAGE for an address that is not loopback without `insecure`, or a URL that cannot be advertised;
   *   the error of the network when an address cannot be had; what is wrong with the store and will not pass.
   */
  async start(): Promise<Started> {
    const { host, port, collect, scheduler, log, clock, random } = this.options;
    const { traceStore } = this;
    const { identity = new NoAuthentication(), tls = null, clientCa = null } = this.options;
    const agents = this.options.agents ?? (identity.kind === "none" ? OPEN_GATE : CLOSED_GATE);
    requireLoopback(host, this.options.insecure === true || identity.kind !== "none");
    this.stopping = false;
    const page = this.options.renderMetrics?.([
      this.metrics.source({
        streams: () => this.streams.size,
        refused: this.rates.refused,
        ready: () => this.waitingFor().length === 0,
        collected: this.collector.counters,
      }),
      traceStore.metrics(),
      ...(this.options.metrics ?? []),
    ]);
    const owners = new Ownership(this.nsdb);
    const handlers = allHandlers({
      nsdb: this.nsdb,
      traceStore,
      collector: this.collector,
      clock,
      scheduler,
      random,
      version: this.options.version ?? "0.0.0",
      streamQueue: this.options.streamQueue ?? DEFAULT_STREAM_QUEUE,
      streams: this.streams,
      identity,
      sight: new Sight(owners),
      tenantLimits: this.options.tenantLimits ?? tenantLimits(),
      seal: new Seal(() => this.options.sealSecret?.() ?? this.ownSecret),
      waitingFor: () => this.waitingFor(),
      metrics: async () => (await page?.text()) ?? "",
    });
    const http = {
      handlers,
      identity,
      agents,
      routes: this.options.routes,
      access: new Access(owners),
      scheduler,
      origin: () => this.url,
      limits: this.options.limits ?? serverLimits(),
      rates: this.rates,
      audit: this.audit,
      site: this.options.site ?? null,
      readOnly: () => this.readOnly.isSet(),
      onAnswer: (operation: OperationId | null, status: number, tookMs: number) =>
        this.metrics.count(operation, status, tookMs),
      onDefect: (error: Error) =>
        log.error("a request failed", { error: error.stack ?? error.message, cause: error.cause }),
    };
    try {
      const secure = (ca: string | null) => ({ tls: tls === null ? null : new ServerTls(tls, ca) });
      await this.listen(new Listener(buildHttp({ ...http, ...secure(null) }), scheduler), { host, port });
      const collector = { ...http, ...secure(clientCa), only: COLLECTOR_ONLY, open: COLLECTOR_OPEN };
      if (collect !== undefined) await this.listen(new Listener(buildHttp(collector), scheduler), collect);
      this.advertised();
      await this.life.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
    // Told to stop meanwhile: nothing more is begun.
    if (!this.stopping) this.settle();
    return { url: this.url } as Started;
  }

  /** Requests under way are answered, streams are told the end; agents are told before that this collector is gone. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.settling?.cancel();
    await this.settled;
    await this.life.stop();
    this.readOnly.stop();
    this.streams.end(null, "shutdown");
    await Promise.all(this.listeners.map((listener) => listener.close()));
    this.listeners.length = 0;
  }

  private async listen(listener: Listener, { host, port }: ListenAddress): Promise<void> {
    // First in the list, so that `stop` finds it whatever happens.
    this.listeners.push(listener);
    await listener.open(host, port);
    this.options.log.info(`listening on ${listener.url}`);
  }

  private advertised(): { readonly id: string; readonly url: string } | null {
    const { advertise } = this.options;
    if (advertise === undefined || this.url === "") return null;
    const url = typeof advertise === "string" ? advertise : advertise({ url: this.url, collectUrl: this.collectUrl });
    return { id: this.collectorId, url };
  }

  private waitingFor(): string[] {
    if (this.stopping) return ["nothing any more: the server is stopping"];
    const problems = [this.life.waitingFor(), this.options.traceStoreProblem?.() ?? null];
    return problems.filter((p) => p !== null);
  }

  private settle(): void {
    this.settling = this.options.scheduler.after(SETTLE_MS, () => {
      this.settled = this.lookAtAwaited();
    });
  }

  private async lookAtAwaited(): Promise<void> {
    try {
      await this.traceStore.settle();
      this.traceWatch.retry();
    } catch (error) {
      this.options.log.info("what is awaited could not be looked at", { error: String(error) });
    }
    if (!this.stopping) this.settle();
  }
}
