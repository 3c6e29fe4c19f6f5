import { join } from "node:path";
import { FileTraceJournal } from "#adapters/trace-journal-file";
import { HttpTraceSink, type Reply, type SinkLimits, type Transport } from "#adapters/trace-sink-http";
import { FileTraceSpool, type SpoolFiles, spoolDirectory } from "#adapters/trace-spool-file";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import type { EmbeddedSession } from "#adapters/nsdb-embedded";
import { type AgentOptions } from "#apps/agent";
import { AgentReports } from "#apps/api";
import { segmentsBody } from "#core/api-contract";
import type { Clock, HostId } from "#core/base";
import { Collectors } from "#core/nsdb";
import { type FlowTrace, NO_JOURNAL, type LossCause, type TraceJournal } from "#core/tracing";
import { Collector } from "../../src/apps/api/collector.ts";
import type { Cluster } from "./cluster.ts";
import type { VirtualTime } from "./virtual-time.ts";

const COLLECTOR_ID = "00000000-0000-4000-8000-0000000000c1";

/** What is between agents and collector. */
export interface Weather {
  /** The collector answers at all. */
  collector: boolean;
  /** Hosts that cannot reach it. */
  readonly cut: Set<string>;
  /** Whether this delivery is taken and its answer lost: it will come again. */
  loseAnswer: () => boolean;
}

/** One run of one agent: what it uses until it is killed. */
class Run {
  dead = false;
  /** The disk takes nothing until the agent is killed. */
  stalled = false;
  private readonly killed = Promise.withResolvers<void>();
  readonly sink: HttpTraceSink;
  readonly journal: TraceJournal;

  constructor(p: Pipeline, host: string, hostId: string, session: EmbeddedSession, clock: Clock) {
    const real = new FileTraceJournal({ directory: join(p.directory, host), log: () => undefined });
    const alive = (): TraceJournal => (this.dead ? NO_JOURNAL : real);
    this.journal = {
      get unwritten() {
        return real.unwritten;
      },
      open: () => alive().open(),
      counted: (...args) => alive().counted(...args),
      held: (...args) => alive().held(...args),
      seen: (...args) => alive().seen(...args),
      ended: (...args) => alive().ended(...args),
      forgotten: (...args) => alive().forgotten(...args),
      begun: (...args) => alive().begun(...args),
      reported: (...args) => alive().reported(...args),
      tend: () => alive().tend(),
      close: () => alive().close(),
    };
    const { time } = p;
    this.sink = new HttpTraceSink({
      hostId,
      store: session,
      clock,
      scheduler: time,
      random: p.cluster.random,
      log: () => undefined,
      transport: this.transport(p, host),
      limits: p.limits,
      spool: new FileTraceSpool({
        directory: join(p.directory, host, "spool"),
        log: () => undefined,
        files: this.files(p, host),
      }),
      kept: (ids) => this.journal.reported(ids),
      status: () => ({ tracesArmed: 0, budget: { level: "full", eventsPerSecond: null }, spool: null, lost: {} }),
    });
  }

  kill(): void {
    this.dead = true;
    this.killed.resolve();
  }

  private transport(p: Pipeline, host: string): Transport {
    return {
      post: async (_url, body): Promise<Reply> => {
        await p.after(p.latencyMs);
        const away = (): boolean => this.dead || !p.weather.collector || p.weather.cut.has(host);
        if (away()) throw new Error("connect ECONNREFUSED");
        const answer = await p.collector.take(segmentsBody.parse(JSON.parse(body)));
        await p.after(p.latencyMs);
        if (away() || p.weather.loseAnswer()) throw new Error("socket hang up");
        return { status: 200, body: JSON.stringify(answer) };
      },
      close: () => undefined,
    };
  }

  /** A process that was killed writes nothing more. */
  private files(p: Pipeline, host: string): SpoolFiles {
    const real = spoolDirectory(join(p.directory, host, "spool"));
    const living = (): void => {
      if (this.dead) throw new Error("killed");
    };
    return {
      ...real,
      create: async (name) => {
        living();
        const file = await real.create(name);
        return {
          ...file,
          append: async (bytes) => {
            if (this.stalled) await this.killed.promise;
            living();
            await file.append(bytes);
          },
        };
      },
      remove: async (name) => {
        living();
        await real.remove(name);
      },
    };
  }
}

/** From the agents of a cluster to one collector: real spools and journals on the disk, time and network as told. */
export class Pipeline {
  readonly weather: Weather = { collector: true, cut: new Set(), loseAnswer: () => false };
  readonly reports: AgentReports;
  readonly store: MemoryTraceStore;
  readonly collector: Collector;
  /** What hosts said they lost: by host id, then by cause. */
  readonly lost = new Map<string, Partial<Record<LossCause, number>>>();
  readonly latencyMs = 2;
  readonly cluster: Cluster;
  readonly directory: string;
  readonly limits: Partial<SinkLimits>;
  /** How far the clock of each host is ahead. */
  readonly ahead: Readonly<Record<string, number>>;
  private readonly runs = new Map<string, Run>();
  private readonly stopped: Promise<void>[] = [];

  constructor(
    cluster: Cluster,
    directory: string,
    o: { limits?: Partial<SinkLimits>; ahead?: Readonly<Record<string, number>> } = {},
  ) {
    this.cluster = cluster;
    this.directory = directory;
    this.limits = o.limits ?? {};
    this.ahead = o.ahead ?? {};
    this.reports = new AgentReports(this.time);
    this.store = new MemoryTraceStore({ clock: this.time, caughtUpMs: (id) => this.reports.caughtUpMs(id) });
    const lost = this.store.lost.bind(this.store);
    this.store.lost = async (hostId, count, because, about) => {
      await lost(hostId, count, because, about);
      const mine = this.lost.get(hostId) ?? {};
      this.lost.set(hostId, mine);
      const cause = about?.cause ?? "other";
      mine[cause] = (mine[cause] ?? 0) + count;
    };
    this.collector = new Collector(this.store, { info: () => undefined, error: () => undefined }, this.reports);
  }

  get time(): VirtualTime {
    return this.cluster.time;
  }

  /** For the cluster's plan. */
  async parts(host: string, hostId: HostId, session: EmbeddedSession): Promise<Partial<AgentOptions>> {
    const clock: Clock = {
      nowMs: () => this.time.nowMs() + (this.ahead[host] ?? 0),
      monotonicMs: () => this.time.monotonicMs(),
    };
    const run = new Run(this, host, hostId, session, clock);
    this.runs.set(host, run);
    run.journal.open();
    await run.sink.start();
    return { clock, sink: run.sink, journal: run.journal };
  }

  /** On the session of a host that is not killed. */
  async register(host: string): Promise<void> {
    const session = this.cluster.session(host);
    await new Collectors(session).register({ id: COLLECTOR_ID, url: "http://192.0.2.99:8181" });
    await this.rest();
  }

  /** The disk of the host is busy with something else. */
  stall(host: string): void {
    const run = this.runs.get(host);
    if (run !== undefined) run.stalled = true;
  }

  /** The host's agent is gone in the middle of what it does; nothing of it reaches disk or network any more. */
  async kill(host: string): Promise<void> {
    const run = this.runs.get(host);
    if (run === undefined) throw new Error(`no agent on ${host}`);
    run.kill();
    await this.cluster.killAgent(host);
    this.stopped.push(run.sink.stop());
  }

  /** Lets real files be written while no time passes. */
  async rest(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      await this.time.settle();
      for (const run of this.runs.values()) await run.sink.settled();
    }
  }

  /** Time passes, and files are written meanwhile. */
  async advance(ms: number, stepMs = 100): Promise<void> {
    for (let spent = 0; spent < ms; spent += stepMs) {
      await this.time.advance(Math.min(stepMs, ms - spent));
      await this.rest();
    }
  }

  after(ms: number): Promise<void> {
    return new Promise((resolve) => void this.time.after(ms, resolve));
  }

  waiting(): number {
    return [...this.runs.values()].reduce((sum, r) => sum + r.sink.counters().waiting, 0);
  }

  lostBy(hostId: string): number {
    return Object.values(this.lost.get(hostId) ?? {}).reduce((sum, n) => sum + n, 0);
  }

  async flows(requestId: string): Promise<FlowTrace[]> {
    const all: FlowTrace[] = [];
    for (let before: string | undefined; ; ) {
      const page = await this.store.flows(requestId as never, {
        limit: 500,
        ...(before === undefined ? {} : { before }),
      });
      all.push(...page.flows.map((f) => f.trace));
      before = page.flows.at(-1)?.cursor;
      if (!page.more || before === undefined) return all;
    }
  }

  async stop(): Promise<void> {
    for (const run of this.runs.values()) this.stopped.push(run.sink.stop());
    await this.advance(3_000);
    await Promise.all(this.stopped);
  }
}
