import type { Cancel, Clock, Lifecycle, Random, Scheduler } from "#core/base";
import type { Collector, NsdbStore } from "#core/nsdb";
import {
  type AgentStatus,
  countLoss,
  type LossAbout,
  type LossCause,
  type LossCounts,
  type TraceSegment,
  type TraceSink,
  type TraceSpool,
} from "#core/tracing";
import { Delivery, type DeliveryCounters, type DeliverySurroundings } from "./delivery.ts";
import { CollectorDirectory } from "./directory.ts";
import { SINK_LIMITS, type SinkLimits } from "./limits.ts";
import { LossBook, type StandsFor } from "./loss-book.ts";
import type { Parcel } from "./parcel.ts";
import { ParcelQueue } from "./parcel-queue.ts";
import { Stock } from "./stock.ts";
import { HttpTransport, type Transport } from "./transport.ts";

export interface HttpTraceSinkOptions {
  readonly hostId: string;
  /** The agent's session; started before the sink and stopped after it. */
  readonly store: NsdbStore;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly log: (level: "info" | "warn", message: string, fields: Readonly<Record<string, unknown>>) => void;
  /** Default: HTTP of this process. Closed by the sink. */
  readonly transport?: Transport;
  readonly limits?: Partial<SinkLimits>;
  /** Where what waits outlives the process; opened and closed by the sink. Default: it does not. */
  readonly spool?: TraceSpool;
  /** Segments and losses with these ids outlive the process now, or are not needed any more. */
  readonly kept?: (ids: readonly string[]) => void;
  /** What the agent says of itself, with each delivery and at least every `heartbeatMs`. */
  readonly status?: () => AgentStatus;
}

export interface HttpTraceSinkCounters extends DeliveryCounters {
  /** Collectors that are delivered to. */
  readonly collectors: number;
  /** Of them, those whose last delivery failed. */
  readonly failing: number;
  /** Segments that wait for a collector, counted for each; or for the first collector at all. */
  readonly waiting: number;
  /** Reports that never come to anybody, by cause, as far as they were lost here. */
  readonly lostBy: Readonly<LossCounts>;
}

interface Known {
  readonly delivery: Delivery;
  /** Serial of the first parcel that was meant for it: those before were others' business, as long as there were others. */
  readonly since: number;
  /** Losses that are only told to this one, because others have what it has not. */
  readonly own: LossBook;
  /** Runs while the store does not have the collector. */
  forgetting: Cancel | null;
}

const NO_COLLECTOR = "the agent knew no collector, and its backlog was full";
const DAMAGED = "reports in the agent's spool were damaged";
const TOO_LONG = "a segment is longer than a delivery may be";

/**
 * Brings each segment to every API server that is registered in the store. A collector is known by its URL: a server that
 * was started again at its place goes on where the one before ended. What comes while there is no collector waits for the
 * first one; so does what a collector that vanished has not answered, unless another one has it. With a spool, what waits
 * waits for the next run too, and a loss is told even if the agent is killed first.
 */
export class HttpTraceSink implements TraceSink, Lifecycle {
  private readonly options: HttpTraceSinkOptions;
  private readonly limits: SinkLimits;
  private readonly transport: Transport;
  private readonly directory: CollectorDirectory;
  private readonly around: Omit<DeliverySurroundings, "lost">;
  private readonly stock: Stock;
  /** Told to everybody. */
  private readonly book: LossBook;
  private readonly known = new Map<string, Known>();
  private readonly backlog: ParcelQueue;
  private readonly count: DeliveryCounters = { deliveries: 0, delivered: 0, refused: 0, retries: 0, overflowed: 0 };
  /** What an earlier run left, by id. */
  private readonly earlier = new Set<string>();
  /** Reports that never come to anybody, by cause, as far as they were lost here. */
  readonly lostBy: LossCounts = {};
  private sequences = 0;
  private running = false;

  constructor(options: HttpTraceSinkOptions) {
    this.options = options;
    this.limits = { ...SINK_LIMITS, ...options.limits };
    this.transport = options.transport ?? new HttpTransport();
    const { hostId, clock, scheduler, random, store, log, spool = null, kept, status = null } = options;
    this.stock = new Stock(clock, spool, this.limits.memoryBytes, {
      ready: () => {
        for (const { delivery } of this.known.values()) delivery.poke();
      },
      kept: (ids) => kept?.(ids),
    });
    this.book = new LossBook(this.stock, scheduler, random, (parcel, byBytes) => {
      this.backlog.resized(parcel, byBytes);
      for (const { delivery } of this.known.values()) delivery.resized(parcel, byBytes);
    });
    this.around = {
      hostId,
      bootId: random.uuid(),
      transport: this.transport,
      clock,
      scheduler,
      random,
      limits: this.limits,
      stock: this.stock,
      nextSequence: () => ++this.sequences,
      log,
      counters: this.count,
      status,
      taken: (parcel) => {
        if (parcel.kind !== "loss") return;
        this.book.taken(parcel);
        for (const { own } of this.known.values()) own.taken(parcel);
      },
    };
    this.backlog = new ParcelQueue(this.limits);
    this.directory = new CollectorDirectory(store, scheduler, (collectors) => this.found(collectors));
  }

  /** Reads what the run before left; collectors are found when the store says so. */
  async start(): Promise<void> {
    this.running = true;
    await this.restore();
    if (this.running) this.directory.start();
  }

  /** Delivers what waits to whoever answers, for so long as `stopMs`. The rest stays in the spool, if there is one. */
  async stop(): Promise<void> {
    if (!this.running) return;
    this.running = false;
    this.directory.stop();
    const all = [...this.known.values()];
    for (const { forgetting } of all) forgetting?.cancel();
    this.writeLosses();
    const drained = Promise.all(all.map(({ delivery }) => delivery.drain()));
    let deadline: Cancel | null = null;
    const over = new Promise<void>((resolve) => {
      deadline = this.options.scheduler.after(this.limits.stopMs, resolve);
    });
    await Promise.race([drained, over]);
    (deadline as Cancel | null)?.cancel();
    const left = this.counters().waiting;
    if (left > 0 && this.stock.outlives)
      this.options.log("info", "trace segments wait in the spool for the next start", { segments: left });
    else if (left > 0) this.options.log("warn", "trace segments were not delivered before the end", { segments: left });
    for (const { delivery } of all) delivery.close();
    this.writeLosses();
    this.known.clear();
    this.backlog.clear();
    this.transport.close();
    await this.options.spool?.close();
  }

  segment(segment: TraceSegment): void {
    const text = JSON.stringify(segment);
    const sizeBytes = Buffer.byteLength(text);
    if (sizeBytes > this.limits.segmentBytes) {
      const { flowTraceId, requestIds, segmentId } = segment;
      const flowTraceIds = flowTraceId === null ? [] : [flowTraceId];
      countLoss(this.lostBy, "too-long", 1);
      this.lose(1, TOO_LONG, { cause: "too-long", requestIds, flowTraceIds, reports: [segmentId] });
      return;
    }
    const parcel = this.stock.segment(segment, text, sizeBytes);
    if (this.known.size === 0) this.intoBacklog(parcel);
    else for (const { delivery } of this.known.values()) delivery.offer(parcel);
  }

  lost(_hostId: string, count: number, because: string, about?: LossAbout): void {
    this.lose(count, because, about);
  }

  /** What an earlier run left here, or a loss that stands for it. Complete when `start` has resolved. */
  holds(id: string): boolean {
    return this.earlier.has(id);
  }

  /** What was handed on so far outlives the process, or cannot be made to. */
  async settled(): Promise<void> {
    this.writeLosses();
    await this.options.spool?.settled();
  }

  counters(): HttpTraceSinkCounters {
    const all = [...this.known.values()].map((k) => k.delivery);
    return {
      ...this.count,
      collectors: all.length,
      failing: all.filter((d) => d.failing).length,
      lostBy: { ...this.lostBy },
      waiting: all.reduce((sum, d) => sum + d.waiting, this.backlog.segments),
    };
  }

  private async restore(): Promise<void> {
    const { spool, log } = this.options;
    if (spool === undefined) return;
    const { reports, stoodFor, damaged, nextSerial } = await spool.open();
    this.stock.beginAt(nextSerial);
    for (const id of stoodFor) this.earlier.add(id);
    this.options.kept?.([...stoodFor, ...reports.flatMap((r) => (r.kind === "segment" ? [r.id] : []))]);
    for (const report of reports) {
      if (report.kind === "segment") this.earlier.add(report.id);
      this.intoBacklog(this.stock.found(report));
    }
    if (reports.length > 0) log("info", "the spool has trace segments of an earlier run", { reports: reports.length });
    if (damaged === 0) return;
    countLoss(this.lostBy, "spool-damaged", damaged);
    this.lose(damaged, DAMAGED, { cause: "spool-damaged", requestIds: [], flowTraceIds: [] });
  }

  private writeLosses(): void {
    this.book.write();
    for (const { own } of this.known.values()) own.write();
  }

  private intoBacklog(parcel: Parcel): void {
    this.stock.hold(parcel);
    const gone = this.backlog.push(parcel, this.options.clock.monotonicMs());
    this.count.overflowed += gone.filter((p) => p.kind === "segment").length;
    if (gone.length > 0) this.gone(null, gone, "spool-full", NO_COLLECTOR);
  }

  /** For everybody to be told. */
  private lose(count: number, why: string, about: LossAbout | undefined, more: StandsFor = {}): void {
    const stands = [...(about?.reports ?? []), ...(more.stands ?? [])];
    const parcel = this.book.add(count, why, about, { ...more, stands });
    if (parcel === null) return;
    if (this.known.size === 0) this.intoBacklog(parcel);
    else for (const { delivery } of this.known.values()) delivery.offer(parcel);
  }

  /**
   * Segments that one collector (null: the first one to come) will not get. What nobody has and nobody else waits for is
   * lost for good, and stays known as lost over a restart.
   */
  private gone(url: string | null, parcels: readonly Parcel[], cause: LossCause, why: string): void {
    const known = url === null ? undefined : this.known.get(url);
    for (const parcel of parcels) {
      const last = parcel.holders === 1 && !parcel.delivered;
      this.stock.release(parcel, !last);
      const about = {
        cause,
        requestIds: parcel.requestIds,
        flowTraceIds: parcel.flowTraceId === null ? [] : [parcel.flowTraceId],
      };
      // In a run before, or by way of an answer that was lost, it may have come there.
      const doubt = cause === "spool-full" ? { segmentId: parcel.id } : {};
      if (last) countLoss(this.lostBy, cause, 1);
      if (last && (known === undefined || this.known.size === 1)) {
        this.lose(1, why, about, lossOf(parcel, doubt));
        continue;
      }
      const own = known?.own.add(1, why, about, last ? lossOf(parcel, doubt) : doubt);
      if (own !== undefined && own !== null) known?.delivery.offer(own);
    }
  }

  private found(collectors: readonly Collector[]): void {
    const urls = new Set(collectors.map((c) => c.url));
    const nobodyThere = [...this.known.values()].every((k) => k.forgetting !== null);
    const fresh = [...urls].filter((url) => !this.known.has(url));
    if (fresh.length > 0) this.greet(fresh, nobodyThere);
    for (const [url, known] of this.known) {
      if (urls.has(url)) {
        known.forgetting?.cancel();
        known.forgetting = null;
      } else known.forgetting ??= this.options.scheduler.after(this.limits.forgetMs, () => this.forget(url));
    }
  }

  /** @param heirs they get what no collector has. */
  private greet(urls: readonly string[], heirs: boolean): void {
    const backlog = this.backlog.all();
    const waiting = [...backlog, ...[...this.known.values()].flatMap((k) => k.delivery.pending())];
    const undelivered = new Set(heirs ? waiting.filter((p) => !p.delivered) : []);
    const inherited = [...undelivered].sort((a, b) => a.serial - b.serial);
    this.backlog.clear();
    for (const url of urls) {
      const { stock } = this;
      const delivery = new Delivery(url, { ...this.around, lost: (p, cause, why) => this.gone(url, p, cause, why) });
      const own = new LossBook(stock, this.options.scheduler, this.options.random, (p, n) => delivery.resized(p, n));
      this.known.set(url, { delivery, own, since: heirs ? 0 : stock.last + 1, forgetting: null });
      for (const parcel of inherited) delivery.offer(parcel);
      this.options.log("info", "trace segments go to a collector", { url, waiting: inherited.length });
    }
    for (const parcel of backlog) this.stock.release(parcel);
  }

  private forget(url: string): void {
    const known = this.known.get(url);
    if (known === undefined) return;
    this.known.delete(url);
    const { delivery } = known;
    known.own.stop();
    const pending = delivery.pending();
    const left = pending.filter((p) => !p.delivered);
    delivery.close();
    this.options.log("info", "a collector is gone from the store for long, and forgotten", {
      url,
      waiting: left.length,
    });
    // What came before another collector did was never offered to it.
    for (const { delivery: other, since } of this.known.values())
      for (const parcel of left) if (parcel.serial < since) other.offer(parcel);
    if (this.known.size === 0) for (const parcel of left) this.intoBacklog(parcel);
    for (const parcel of pending) this.stock.release(parcel);
  }
}

/** The loss takes its place in the spool; and in the notes of whoever does not know yet that it was kept. */
const lossOf = (parcel: Parcel, doubt: StandsFor): StandsFor => ({
  ...doubt,
  replaces: [parcel.serial],
  ...(parcel.told ? {} : { stands: [parcel.id] }),
});
