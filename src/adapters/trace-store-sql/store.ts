import { type Clock, type FlowTraceId, type Lifecycle, MidotraceError, type TraceRequestId } from "#core/base";
import type {
  Added,
  FlowEvent,
  FlowPage,
  FlowQuery,
  FlowStanding,
  FlowTrace,
  LossAbout,
  PathPage,
  PathQuery,
  Replay,
  StoreSize,
  RequestSummary,
  TraceSegment,
  TraceStore,
} from "#core/tracing";
import type { Surroundings } from "./assembling.ts";
import { Batch, type BatchOptions, type Became, type Change } from "./batch.ts";
import { decodeSegment } from "./codec.ts";
import { Counters, PER_MS } from "./counters.ts";
import { eventOf, eventsAfter, replayAfter, Subscribers } from "./events.ts";
import { TRACE_STORE_LIMITS, type TraceStoreLimits } from "#core/tracing";
import { evictOld, REMOVAL_STEP } from "./removal.ts";
import { forgetMore, sweep } from "./retention.ts";
import { PathCache } from "./query.ts";
import { Reader } from "./reader.ts";
import { EVERYTHING } from "./shapes.ts";
import { SegmentCache } from "./segment-cache.ts";
import type { Sql, SqlDatabase } from "./sql.ts";
import { Tally } from "./tally.ts";
import { flowsById } from "./working.ts";

export interface SqlTraceStoreOptions extends Partial<TraceStoreLimits> {
  readonly clock: Clock;
  /** Lets others run between two transactions; resolves soon. */
  readonly pause: () => Promise<void>;
  readonly hostDown?: (hostId: string) => boolean;
  /** As `AssembleContext` has it. */
  readonly caughtUpMs?: (hostId: string) => number | null;
  /** Host of a tunnel address, where known: makes joining of orphans stricter. */
  readonly hostOfTunnelIp?: (ip: string) => string | null;
}

/** Segments of one transaction: what is asked meanwhile waits for so many only. */
const BATCH_SEGMENTS = 256;
/** Steps of cleaning up after each look at what is awaited. */
const SWEEPS = 5;
const CACHED_SEGMENTS = 5_000;
const CACHED_PATHS = 20_000;

interface Waiting {
  readonly segments: readonly TraceSegment[];
  readonly resolve: (added: Added) => void;
  readonly reject: (error: unknown) => void;
}

/** Flow traces in an SQL database. Segments that come at the same time are written together. */
export class SqlTraceStore implements TraceStore, Lifecycle {
  /** Flow traces that this process threw out to make room. */
  evicted = 0;
  /** Orphans that were thrown out to make room. */
  orphansEvicted = 0;

  private readonly db: SqlDatabase;
  private readonly options: SqlTraceStoreOptions;
  private readonly limits: TraceStoreLimits;
  private readonly cache = new SegmentCache(CACHED_SEGMENTS);
  private readonly pathCache = new PathCache(CACHED_PATHS);
  private readonly subscribers = new Subscribers();
  private readonly waiting: Waiting[] = [];
  private writing = false;
  private telling: Promise<void> = Promise.resolve();
  private starting: Promise<void> | null = null;
  private failure: string | null = null;

  constructor(db: SqlDatabase, options: SqlTraceStoreOptions) {
    this.db = db;
    this.options = options;
    this.limits = { ...TRACE_STORE_LIMITS, ...options };
    // Ids grow over restarts, too, and over a database that was emptied.
    this.subscribers.lastId = Math.floor(options.clock.nowMs()) * PER_MS;
    db.onAnnounced(() => void this.tellOthers());
  }

  /** Also called by the first use. @throws MidotraceError CONFLICT for tables of a later version; STORE_UNAVAILABLE. */
  async start(): Promise<void> {
    this.starting ??= this.open();
    try {
      await this.starting;
    } catch (error) {
      this.starting = null;
      this.failure = error instanceof Error ? error.message : String(error);
      throw error;
    }
  }

  /** Why the database could not be used the last time; null: it could. */
  problem(): string | null {
    return this.failure;
  }

  async stop(): Promise<void> {
    await this.telling;
    await this.db.stop();
    this.starting = null;
  }

  async add(segments: readonly TraceSegment[]): Promise<Added> {
    if (segments.length === 0) return { changed: [], duplicates: 0 };
    const added = new Promise<Added>((resolve, reject) => this.waiting.push({ segments, resolve, reject }));
    if (!this.writing) void this.writeWaiting();
    return added;
  }

  async lost(hostId: string, count: number, because: string, about?: LossAbout): Promise<void> {
    const atMs = Math.floor(this.options.clock.nowMs());
    await this.write(async (sql) => {
      const counters = await Counters.load(sql);
      if (about?.id !== undefined && (await sql.all("SELECT no FROM loss WHERE id = ?", about.id)).length > 0) return;
      const no = counters.next("loss");
      await sql.insert("loss", [
        [no, about?.id ?? null, hostId, count, because, atMs, about === undefined ? null : JSON.stringify(about)],
      ]);
      await sql.all("DELETE FROM loss WHERE no <= ?", no - this.limits.maxLossNotes);
      await counters.save(sql);
    });
  }

  flows(requestId: TraceRequestId, query: FlowQuery): Promise<FlowPage> {
    return this.read((reader) => reader.flowsOf(requestId, query));
  }

  paths(requestId: TraceRequestId, query: PathQuery): Promise<PathPage> {
    return this.read((reader) => reader.pathsOf(requestId, query));
  }

  flow(flowTraceId: FlowTraceId): Promise<FlowTrace | null> {
    return this.read((reader) => reader.flow(flowTraceId));
  }

  about(flowTraceId: FlowTraceId): Promise<FlowStanding> {
    return this.read((reader) => reader.about(flowTraceId));
  }

  summaries(requestIds: readonly TraceRequestId[], viewer = EVERYTHING): Promise<readonly RequestSummary[]> {
    return this.read((reader) => reader.summaries(requestIds, viewer));
  }

  async pin(flowTraceId: FlowTraceId, pinned: boolean): Promise<void> {
    await this.write(async (sql) => {
      const [row] = await flowsById(sql, [flowTraceId]);
      if (row === undefined) throw new MidotraceError("NOT_FOUND", `no flow trace ${flowTraceId}`);
      if (row.pinned === pinned) return;
      const [tenant] = await sql.all("SELECT pins FROM tenant WHERE no = ?", row.tenant);
      if (pinned && Number(tenant?.["pins"]) >= this.limits.maxPins)
        throw new MidotraceError(
          "CONFLICT",
          `${this.limits.maxPins} flow traces are pinned, which is as many as may be`,
        );
      const tally = new Tally();
      const sign = pinned ? 1 : -1;
      tally.tenant(row.tenant, { pins: sign, flows: -sign, bytes: -sign * row.bytes });
      await tally.write(sql);
      await sql.all("UPDATE flow SET pinned = ? WHERE place = ?", pinned ? 1 : 0, row.place);
    });
  }

  async orphans(): Promise<readonly TraceSegment[]> {
    await this.start();
    const rows = await this.db.read((sql) => sql.all("SELECT body FROM orphan ORDER BY no"));
    return rows.map((r) => decodeSegment(r["body"] as Uint8Array));
  }

  async settle(): Promise<readonly FlowTraceId[]> {
    const overdue: FlowTraceId[] = [];
    for (;;) {
      const some = await this.change((batch) => batch.settle(BATCH_SEGMENTS));
      overdue.push(...some);
      if (some.length < BATCH_SEGMENTS) break;
      await this.options.pause();
    }
    await this.cleanUp();
    return overdue;
  }

  async size(): Promise<StoreSize> {
    await this.start();
    const text = "SELECT SUM(flows) AS flows, SUM(pins) AS pins, SUM(bytes) AS bytes FROM tenant";
    const [sums] = await this.db.read((sql) => sql.all(text));
    const number = (name: string): number => Number(sums?.[name] ?? 0);
    return { flows: number("flows") + number("pins"), pinned: number("pins"), bytes: number("bytes") };
  }

  subscribe(requestId: TraceRequestId | null, listener: (event: FlowEvent) => void): () => void {
    return this.subscribers.subscribe(requestId, listener);
  }

  async since(requestId: TraceRequestId | null, eventId: number): Promise<Replay> {
    await this.start();
    return this.db.read((sql) => replayAfter(sql, requestId, eventId));
  }

  lastEventId(): number {
    return this.subscribers.lastId;
  }

  /** Nobody sees its flows any more when this is done; they are removed in small steps, which go on over a restart. */
  async forgetRequest(requestId: TraceRequestId): Promise<void> {
    await this.write(async (sql) => {
      const counters = await Counters.load(sql);
      await sql.insert(
        "request",
        [[counters.next("request"), requestId, 1, ""]],
        "ON CONFLICT (id) DO UPDATE SET state = excluded.state",
      );
      await forgetMore(sql);
      await counters.save(sql);
    });
  }

  private async open(): Promise<void> {
    await this.db.start();
    this.subscribers.lastId = await this.db.write(async (sql) => {
      const counters = await Counters.load(sql);
      if (counters.last("event") === 0) {
        counters.set("event", this.subscribers.lastId);
        counters.set("trimmed", this.subscribers.lastId);
      }
      await counters.save(sql);
      return counters.last("event");
    });
  }

  private read<T>(work: (reader: Reader) => Promise<T>): Promise<T> {
    return this.watched(() => this.db.read((sql) => work(new Reader(sql, this.pathCache, this.around()))));
  }

  private around(): Surroundings {
    const { clock, hostDown, caughtUpMs } = this.options;
    return {
      nowMs: Math.floor(clock.nowMs()),
      ...(hostDown === undefined ? {} : { hostDown }),
      ...(caughtUpMs === undefined ? {} : { caughtUpMs }),
    };
  }

  private write<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.watched(() => this.db.write(work));
  }

  /** Started before, and with its outcome noted. */
  private async watched<T>(work: () => Promise<T>): Promise<T> {
    await this.start();
    try {
      const value = await work();
      this.failure = null;
      return value;
    } catch (error) {
      if (error instanceof MidotraceError && error.code === "STORE_UNAVAILABLE") this.failure = error.message;
      throw error;
    }
  }

  /** Writes what waits, in transactions of about `BATCH_SEGMENTS`, until nothing does. */
  private async writeWaiting(): Promise<void> {
    this.writing = true;
    for (;;) {
      const taken: Waiting[] = [];
      let size = 0;
      while (
        this.waiting[0] !== undefined &&
        (size === 0 || size + this.waiting[0].segments.length <= BATCH_SEGMENTS)
      ) {
        const next = this.waiting.shift() as Waiting;
        taken.push(next);
        size += next.segments.length;
      }
      if (taken.length === 0) break;
      try {
        const became = await this.change((batch) => batch.add(taken.flatMap((t) => t.segments)));
        let at = 0;
        for (const { segments, resolve } of taken) {
          resolve(addedOf(became.slice(at, at + segments.length)));
          at += segments.length;
        }
      } catch (error) {
        for (const { reject } of taken) reject(error);
      }
      await this.options.pause();
    }
    this.writing = false;
  }

  /** One transaction that changes flows, and what it means to listeners. */
  private async change<T>(work: (batch: Batch) => Promise<T>): Promise<T> {
    const { hostOfTunnelIp } = this.options;
    const options: BatchOptions = {
      ...this.around(),
      limits: this.limits,
      cache: this.cache,
      ...(hostOfTunnelIp === undefined ? {} : { hostOfTunnelIp }),
    };
    let done: Batch | null = null;
    const result = await this.write(async (sql) => {
      const batch = new Batch(sql, options);
      const value = await work(batch);
      const last = batch.changes.at(-1);
      if (last !== undefined) await this.db.announce(sql, last.id);
      done = batch;
      return value;
    });
    const batch = done as Batch | null;
    if (batch !== null) {
      this.evicted += batch.evicted;
      this.orphansEvicted += batch.orphansEvicted;
      await this.tell(batch.changes, batch.eventBefore);
    }
    return result;
  }

  /** In order of ids: what other processes did before comes first. */
  private async tell(changes: readonly Change[], before: number): Promise<void> {
    if (changes.length === 0) return;
    const mine = new Map(changes.map((c) => [c.id, eventOf(c)]));
    await this.inTurn(async () => {
      if (before !== this.subscribers.lastId) return this.catchUp(mine);
      for (const event of mine.values()) this.subscribers.tell(event);
    });
  }

  private async tellOthers(): Promise<void> {
    try {
      await this.inTurn(() => this.catchUp(new Map()));
    } catch {
      // The database is away: when it is back, it announces again.
    }
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.telling.then(work);
    this.telling = turn.catch(() => undefined);
    return turn;
  }

  private async catchUp(known: ReadonlyMap<number, FlowEvent>): Promise<void> {
    if (this.starting === null) return;
    const { lastId } = this.subscribers;
    const events = await this.db.read((sql) => eventsAfter(sql, lastId));
    for (const event of events) {
      if (event.id <= this.subscribers.lastId) continue;
      const told = known.get(event.id);
      // Read once for all who listen.
      const trace = told !== undefined || this.subscribers.size === 0 ? null : await this.flow(event.flowTraceId);
      this.subscribers.tell(told ?? { ...event, trace });
    }
  }

  /** Old flows and what is left of forgotten requests, a few small steps at a time. */
  private async cleanUp(): Promise<void> {
    for (let i = 0; i < SWEEPS; i++) {
      const removed = await this.write(async (sql) => {
        const counters = await Counters.load(sql);
        const old = await evictOld(sql, this.options.clock.nowMs() - this.limits.maxAgeMs, counters);
        const swept = await sweep(sql, counters, this.limits, i === 0);
        await counters.save(sql);
        this.evicted += old;
        return Math.max(old, swept);
      });
      if (removed < REMOVAL_STEP) return;
      await this.options.pause();
    }
  }
}

function addedOf(became: readonly Became[]): Added {
  const changed = new Set<FlowTraceId>();
  let duplicates = 0;
  for (const b of became) {
    if (b === "duplicate") duplicates++;
    else if (b !== null) changed.add(b);
  }
  return { changed: [...changed], duplicates };
}
