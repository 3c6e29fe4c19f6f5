import type { AddressInfo } from "node:net";
import { type Cancel, type Clock, type Lifecycle, type Random, type Scheduler } from "#core/base";
import { Nsdb, type NsdbSessionState, type NsdbStore, type NsdbWatch } from "#core/nsdb";
import type { TraceStore, Viewer } from "#core/tracing";
import type { FastifyInstance } from "fastify";
import type { ApiLog } from "./call.ts";
import { allHandlers } from "./handlers/index.ts";
import { buildHttp } from "./http.ts";
import { requireLoopback } from "./listen.ts";
import { Metrics } from "./metrics.ts";
import { OpenStreams } from "./streams.ts";
import { TraceWatch } from "./trace-watch.ts";

export interface ApiServerOptions {
  /** Started before the server and stopped after it, by whoever made it. */
  readonly store: NsdbStore;
  readonly traceStore: TraceStore;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly log: ApiLog;
  readonly host: string;
  /** 0: any free one; `url` says which. */
  readonly port: number;
  /** Listen on other than loopback addresses although everybody is an administrator. Default false. */
  readonly insecure?: boolean;
  /** Version of the program. */
  readonly version?: string;
  /** Events that may wait for one client of a stream, default 1000. */
  readonly streamQueue?: number;
}

const DEFAULT_STREAM_QUEUE = 1_000;
/** How often awaited parts of flow traces are looked at. */
const SETTLE_MS = 1_000;
/** Everybody, while there is no authentication. */
const ADMIN: Viewer = { admin: true, tenantId: "" };

/** Usable where a Lifecycle is asked for; says where the server listens to who wants to know. */
export type Started = void & { readonly url: string };

/** The REST API over one store and one trace store. */
export class ApiServer implements Lifecycle {
  private readonly options: ApiServerOptions;
  private readonly streams = new OpenStreams();
  private readonly metrics = new Metrics();
  private app: FastifyInstance | null = null;
  private watch: NsdbWatch | null = null;
  private settling: Cancel | null = null;
  private session: NsdbSessionState = "connected";
  private listensAt = "";

  constructor(options: ApiServerOptions) {
    this.options = options;
  }

  /** "http://127.0.0.1:8181"; empty before start. */
  get url(): string {
    return this.listensAt;
  }

  /** @throws MidotraceError USAGE for an address that is not loopback without `insecure`; STORE_UNAVAILABLE. */
  async start(): Promise<Started> {
    const { store, traceStore, clock, scheduler, random, log, host, port } = this.options;
    requireLoopback(host, this.options.insecure === true);
    const nsdb = new Nsdb(store, random, clock);
    await nsdb.initialize();
    store.onSession((state) => {
      this.session = state;
    });
    this.watch = await store.watch("/traces", new TraceWatch(store, traceStore, this.streams, log));
    const handlers = allHandlers({
      nsdb,
      traceStore,
      clock,
      scheduler,
      random,
      version: this.options.version ?? "0.0.0",
      streamQueue: this.options.streamQueue ?? DEFAULT_STREAM_QUEUE,
      streams: this.streams,
      waitingFor: () => this.waitingFor(),
      metrics: () =>
        this.metrics.text({
          streams: this.streams.size,
          evicted: traceStore.evicted,
          ready: this.waitingFor().length === 0,
        }),
    });
    const app = buildHttp({
      handlers,
      identify: () => ADMIN,
      origin: () => this.listensAt,
      onAnswer: (operation, status) => this.metrics.count(operation, status),
      onDefect: (error) => log.error("a request failed", { error: error.stack ?? error.message, cause: error.cause }),
    });
    this.app = app;
    await app.listen({ host, port });
    const address = app.server.address() as AddressInfo;
    const shown = address.family === "IPv6" ? `[${address.address}]` : address.address;
    this.listensAt = `http://${shown}:${address.port}`;
    this.settle();
    log.info(`listening on ${this.listensAt}`);
    return { url: this.listensAt } as Started;
  }

  async stop(): Promise<void> {
    this.settling?.cancel();
    this.watch?.close();
    this.watch = null;
    this.streams.end(null, "shutdown");
    await this.app?.close();
    this.app = null;
  }

  private waitingFor(): string[] {
    return this.session === "connected" ? [] : [`the network state database (session ${this.session})`];
  }

  private settle(): void {
    this.settling = this.options.scheduler.after(SETTLE_MS, () => {
      this.options.traceStore.settle();
      this.settle();
    });
  }
}
