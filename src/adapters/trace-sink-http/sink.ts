import type { Cancel, Clock, Lifecycle, Random, Scheduler } from "#core/base";
import type { Collector, NsdbStore } from "#core/nsdb";
import type { TraceSegment, TraceSink } from "#core/tracing";
import { Delivery, type DeliveryCounters, type DeliverySurroundings } from "./delivery.ts";
import { CollectorDirectory } from "./directory.ts";
import { SINK_LIMITS, type SinkLimits } from "./limits.ts";
import { type Parcel, ParcelQueue } from "./parcel-queue.ts";
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
}

export interface HttpTraceSinkCounters extends DeliveryCounters {
  /** Collectors that are delivered to. */
  readonly collectors: number;
  /** Of them, those whose last delivery failed. */
  readonly failing: number;
  /** Segments that wait for a collector, counted for each; or for the first collector at all. */
  readonly waiting: number;
}

interface Known {
  readonly delivery: Delivery;
  /** Serial of the first parcel that was meant for it: those before were others' business, as long as there were others. */
  readonly since: number;
  /** Runs while the store does not have the collector. */
  forgetting: Cancel | null;
}

const NO_COLLECTOR = "the agent knew no collector, and its backlog was full";

/**
 * Brings each segment to every API server that is registered in the store. A collector is known by its URL: a server that
 * was started again at its place goes on where the one before ended. What comes while there is no collector waits for the
 * first one; so does what a collector that vanished has not answered, unless another one has it.
 */
export class HttpTraceSink implements TraceSink, Lifecycle {
  private readonly options: HttpTraceSinkOptions;
  private readonly limits: SinkLimits;
  private readonly transport: Transport;
  private readonly directory: CollectorDirectory;
  private readonly around: DeliverySurroundings;
  private readonly known = new Map<string, Known>();
  private readonly backlog: ParcelQueue;
  private readonly count: DeliveryCounters = { deliveries: 0, delivered: 0, refused: 0, retries: 0, overflowed: 0 };
  private serials = 0;
  private sequences = 0;
  private running = false;

  constructor(options: HttpTraceSinkOptions) {
    this.options = options;
    this.limits = { ...SINK_LIMITS, ...options.limits };
    this.transport = options.transport ?? new HttpTransport();
    const { hostId, clock, scheduler, random, store, log } = options;
    this.around = {
      hostId,
      bootId: random.uuid(),
      transport: this.transport,
      clock,
      scheduler,
      random,
      limits: this.limits,
      nextSequence: () => ++this.sequences,
      log,
      counters: this.count,
    };
    this.backlog = new ParcelQueue(this.limits, NO_COLLECTOR);
    this.directory = new CollectorDirectory(store, scheduler, (collectors) => this.found(collectors));
  }

  /** Returns at once: collectors are found when the store says so. */
  async start(): Promise<void> {
    this.running = true;
    this.directory.start();
  }

  /** Delivers what waits to whoever answers, for so long as `stopMs`. */
  async stop(): Promise<void> {
    if (!this.running) return;
    this.running = false;
    this.directory.stop();
    const all = [...this.known.values()];
    for (const { forgetting } of all) forgetting?.cancel();
    const drained = Promise.all(all.map(({ delivery }) => delivery.drain()));
    let deadline: Cancel | null = null;
    const over = new Promise<void>((resolve) => {
      deadline = this.options.scheduler.after(this.limits.stopMs, resolve);
    });
    await Promise.race([drained, over]);
    (deadline as Cancel | null)?.cancel();
    const left = this.counters().waiting;
    if (left > 0) this.options.log("warn", "trace segments were not delivered before the end", { segments: left });
    for (const { delivery } of all) delivery.close();
    this.known.clear();
    this.backlog.clear();
    this.transport.close();
  }

  segment(segment: TraceSegment): void {
    const json = JSON.stringify(segment);
    const sizeBytes = Buffer.byteLength(json);
    if (sizeBytes > this.limits.segmentBytes) {
      this.lost(segment.hostId, 1, "a segment is longer than a delivery may be");
      return;
    }
    const parcel: Parcel = { serial: ++this.serials, json, sizeBytes, delivered: false };
    if (this.known.size === 0) this.count.overflowed += this.backlog.push(parcel);
    else for (const { delivery } of this.known.values()) delivery.offer(parcel);
  }

  lost(_hostId: string, count: number, because: string): void {
    if (this.known.size === 0) this.backlog.lost.add(count, because);
    else for (const { delivery } of this.known.values()) delivery.lost(count, because);
  }

  counters(): HttpTraceSinkCounters {
    const all = [...this.known.values()].map((k) => k.delivery);
    return {
      ...this.count,
      collectors: all.length,
      failing: all.filter((d) => d.failing).length,
      waiting: all.reduce((sum, d) => sum + d.waiting, this.backlog.size),
    };
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
    const waiting = [...this.backlog.all(), ...[...this.known.values()].flatMap((k) => k.delivery.pending())];
    const undelivered = new Set(heirs ? waiting.filter((p) => !p.delivered) : []);
    const inherited = [...undelivered].sort((a, b) => a.serial - b.serial);
    const losses = this.backlog.lost.take();
    this.backlog.clear();
    for (const url of urls) {
      const delivery = new Delivery(url, this.around);
      this.known.set(url, { delivery, since: heirs ? 0 : this.serials + 1, forgetting: null });
      for (const parcel of inherited) delivery.offer(parcel);
      for (const { count, why } of losses) delivery.lost(count, why);
      this.options.log("info", "trace segments go to a collector", { url, waiting: inherited.length });
    }
  }

  private forget(url: string): void {
    const known = this.known.get(url);
    if (known === undefined) return;
    this.known.delete(url);
    const { delivery } = known;
    const left = delivery.pending().filter((p) => !p.delivered);
    const losses = delivery.untold();
    delivery.close();
    this.options.log("info", "a collector is gone from the store for long, and forgotten", {
      url,
      waiting: left.length,
    });
    if (this.known.size > 0) {
      // What came before another collector did was never offered to it.
      for (const { delivery: other, since } of this.known.values())
        for (const parcel of left) if (parcel.serial < since) other.offer(parcel);
      return;
    }
    for (const parcel of left) this.count.overflowed += this.backlog.push(parcel);
    for (const { count, why } of losses) this.backlog.lost.add(count, why);
  }
}
