import { ROUTES, segmentsAnswer, type SegmentsAnswerDto } from "#core/api-contract";
import type { Cancel, Clock, Random, Scheduler } from "#core/base";
import type { AgentStatus, LossCause } from "#core/tracing";
import type { SinkLimits } from "./limits.ts";
import type { Parcel } from "./parcel.ts";
import { ParcelQueue } from "./parcel-queue.ts";
import type { Stock } from "./stock.ts";
import type { Reply, Transport } from "./transport.ts";

export interface DeliverySurroundings {
  readonly hostId: string;
  readonly bootId: string;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly limits: SinkLimits;
  readonly stock: Stock;
  /** A number that no delivery of this run had before, and larger than all of them. */
  readonly nextSequence: () => number;
  readonly log: (level: "info" | "warn", message: string, fields: Readonly<Record<string, unknown>>) => void;
  readonly counters: DeliveryCounters;
  /** Null: nobody asked for it, and no delivery is made for its sake alone. */
  readonly status: (() => AgentStatus) | null;
  /** The collector will never get these segments from here. They are still held. */
  readonly lost: (parcels: readonly Parcel[], cause: LossCause, why: string) => void;
  /** A parcel goes out for the first time: a loss does not grow any more. */
  readonly taken: (parcel: Parcel) => void;
}

export interface DeliveryCounters {
  /** Deliveries that were answered well. */
  deliveries: number;
  /** Segments that a collector took or had: counted for each collector. */
  delivered: number;
  /** Segments that a collector refused for ever: counted for each collector. */
  refused: number;
  /** Deliveries that failed and were tried again. */
  retries: number;
  /** Segments that went because a queue was full: counted for each collector. */
  overflowed: number;
}

interface Batch {
  /** The same at each attempt: by it the collector knows the delivery again. */
  readonly sequence: number;
  readonly parcels: readonly Parcel[];
  /** Of the segments and of the losses, as JSON lists. */
  readonly segments: string;
  readonly lost: string;
}

const OVERFLOW = "the agent's queue for this collector was full";
/** The collector will never take this delivery: a repetition would only stand in the way of the others. */
const HOPELESS: ReadonlySet<number> = new Set([400, 415, 422]);

/**
 * Delivers to one collector, in order, one request at a time, until each is answered: at least once. What is refused for
 * ever is dropped, and the collector is told how much.
 */
export class Delivery {
  readonly url: string;
  private readonly around: DeliverySurroundings;
  private readonly queue: ParcelQueue;
  private batch: Batch | null = null;
  private request: AbortController | null = null;
  private timer: Cancel | null = null;
  private startedMs = Number.NEGATIVE_INFINITY;
  private failures = 0;
  /** Less than the limit after a delivery that was too large for the collector. */
  private batchSegments: number;
  private hurried = false;
  private closed = false;
  private whenEmpty: (() => void)[] = [];
  private heartbeat: Cancel | null = null;
  /** A delivery is made even if there is nothing to deliver. */
  private due = false;
  /** The shortest time from a delivery to its answer. */
  private fastestMs: number | null = null;

  constructor(url: string, around: DeliverySurroundings) {
    this.url = url;
    this.around = around;
    this.queue = new ParcelQueue(around.limits);
    this.batchSegments = around.limits.batchSegments;
    this.armHeartbeat();
  }

  /** Segments that have not been answered. */
  get waiting(): number {
    return this.queue.segments + (this.batch === null ? 0 : segmentsOf(this.batch.parcels).length);
  }

  get failing(): boolean {
    return this.failures > 0;
  }

  offer(parcel: Parcel): void {
    const { stock, clock, counters } = this.around;
    stock.hold(parcel);
    const gone = this.queue.push(parcel, clock.monotonicMs(), this.batch?.parcels.length);
    counters.overflowed += segmentsOf(gone).length;
    if (gone.length > 0) this.around.lost(gone, "spool-full", OVERFLOW);
    this.schedule();
  }

  /** Something that waits may have become ready. */
  poke(): void {
    this.schedule();
  }

  resized(parcel: Parcel, byBytes: number): void {
    this.queue.resized(parcel, byBytes);
  }

  /** Everything that has not been answered, oldest first; some of it may have arrived. Still held. */
  pending(): readonly Parcel[] {
    return [...(this.batch?.parcels ?? []), ...this.queue.all()];
  }

  /** No pauses between deliveries any more, and a fresh attempt now; resolves when nothing waits, or on `close`. */
  async drain(): Promise<void> {
    this.hurried = true;
    this.failures = 0;
    this.timer?.cancel();
    this.timer = null;
    if (this.closed || this.idle) return;
    const empty = new Promise<void>((resolve) => this.whenEmpty.push(resolve));
    this.schedule();
    await empty;
  }

  /** Nothing is sent after this. */
  close(): void {
    this.closed = true;
    this.timer?.cancel();
    this.timer = null;
    this.heartbeat?.cancel();
    this.request?.abort();
    this.release();
  }

  private get idle(): boolean {
    return this.batch === null && this.queue.size === 0 && !this.due;
  }

  private release(): void {
    for (const resolve of this.whenEmpty.splice(0)) resolve();
  }

  private schedule(): void {
    if (this.closed || this.request !== null || this.timer !== null) return;
    if (this.idle) {
      this.release();
      return;
    }
    if (this.batch === null && !this.queue.ready && !this.due) return;
    this.timer = this.around.scheduler.after(this.pauseMs(), () => {
      this.timer = null;
      void this.attempt();
    });
  }

  private pauseMs(): number {
    const { limits, clock, random } = this.around;
    const { backoffMs, maxBackoffMs, paceMs } = limits;
    if (this.failures > 0) {
      const longest = Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(30, this.failures - 1));
      // Half by chance: agents that lost one server at one moment shall not come back at one.
      return longest * (0.5 + random.next() / 2);
    }
    return this.hurried ? 0 : Math.max(0, this.startedMs + paceMs - clock.monotonicMs());
  }

  private armHeartbeat(): void {
    this.heartbeat?.cancel();
    if (this.around.status === null || this.closed) return;
    this.heartbeat = this.around.scheduler.after(this.around.limits.heartbeatMs, () => {
      this.due = true;
      this.schedule();
    });
  }

  /** Never rejects. */
  private async attempt(): Promise<void> {
    const { scheduler, clock, transport, limits } = this.around;
    const request = new AbortController();
    this.request = request;
    const batch = (this.batch ??= await this.next());
    if (this.closed) return;
    this.startedMs = clock.monotonicMs();
    const late = scheduler.after(limits.answerMs, () => request.abort(new Error(`no answer in ${limits.answerMs} ms`)));
    let reply: Reply | Error;
    try {
      reply = await transport.post(this.url + ROUTES.deliverSegments.path, this.bodyOf(batch), request.signal);
    } catch (error) {
      reply = error instanceof Error ? error : new Error(String(error));
    }
    late.cancel();
    this.request = null;
    if (this.closed) return;
    if (reply instanceof Error) this.failed(reply.cause instanceof Error ? reply.cause.message : reply.message);
    else this.answered(batch, reply);
    this.armHeartbeat();
    this.schedule();
  }

  private async next(): Promise<Batch> {
    const { limits, nextSequence, stock, taken } = this.around;
    this.due = false;
    const parcels = this.queue.take(this.batchSegments, limits.batchBytes);
    for (const parcel of parcels) taken(parcel);
    const texts = await Promise.all(parcels.map((parcel) => stock.text(parcel)));
    const there = parcels.filter((_, i) => texts[i] !== null);
    const list = (kind: Parcel["kind"]): string =>
      `[${texts.filter((text, i) => text !== null && parcels[i]?.kind === kind).join(",")}]`;
    const batch = { sequence: nextSequence(), parcels: there, segments: list("segment"), lost: list("loss") };
    if (there.length < parcels.length)
      this.around.lost(
        parcels.filter((_, i) => texts[i] === null),
        "spool-damaged",
        "reports in the agent's spool could not be read",
      );
    return batch;
  }

  /** The clock, the status and what waits are of the moment of sending. */
  private bodyOf({ sequence, segments, lost }: Batch): string {
    const { hostId, bootId, clock, status } = this.around;
    const envelope = JSON.stringify({
      hostId,
      bootId,
      sequence,
      sentAtMs: clock.nowMs(),
      ...(this.fastestMs === null ? {} : { roundTripMs: this.fastestMs }),
      waiting: this.queue.segments,
      ...(status === null ? {} : { status: status() }),
    });
    return `${envelope.slice(0, -1)},"lost":${lost},"segments":${segments}}`;
  }

  private answered(batch: Batch, { status, body }: Reply): void {
    const { counters, limits, stock, clock } = this.around;
    const segments = segmentsOf(batch.parcels);
    if (status === 413 && batch.parcels.length > 0) {
      this.tooLarge(batch);
      return;
    }
    if (HOPELESS.has(status)) {
      this.batch = null;
      this.succeeded();
      // Losses have not been told; by themselves they are tried once more.
      const untold = batch.parcels.filter((p) => p.kind === "loss");
      if (segments.length > 0) this.queue.putBack(untold);
      else for (const parcel of untold) stock.release(parcel);
      this.refused(segments, `the collector refused a whole delivery (HTTP ${status})`, { answer: body.slice(0, 500) });
      return;
    }
    const answer = status === 200 ? readAnswer(body) : null;
    if (answer === null) {
      this.failed(status === 200 ? "the answer is not a collector's" : `HTTP ${status}`);
      return;
    }
    this.batch = null;
    this.succeeded();
    const tookMs = clock.monotonicMs() - this.startedMs;
    this.fastestMs = Math.min(tookMs, this.fastestMs ?? tookMs);
    counters.deliveries++;
    counters.delivered += segments.length - answer.refused.length;
    this.batchSegments = Math.min(limits.batchSegments, this.batchSegments * 2);
    const refused = new Set(answer.refused.flatMap(({ index }) => segments[index] ?? []));
    for (const parcel of batch.parcels) {
      if (refused.has(parcel)) continue;
      parcel.delivered = true;
      stock.release(parcel);
    }
    if (refused.size > 0) this.refused([...refused], "the collector refused segments", { first: answer.refused[0] });
  }

  /** It was not looked at: what was in it goes in smaller ones. */
  private tooLarge(batch: Batch): void {
    this.batch = null;
    const segments = segmentsOf(batch.parcels);
    if (batch.parcels.length === 1 && segments.length === 1) {
      this.refused(segments, "a segment is larger than the collector takes", {});
      return;
    }
    this.batchSegments = Math.max(1, Math.floor(batch.parcels.length / 2));
    this.queue.putBack(batch.parcels);
  }

  private refused(parcels: readonly Parcel[], why: string, fields: Readonly<Record<string, unknown>>): void {
    this.around.counters.refused += parcels.length;
    if (parcels.length > 0) this.around.lost(parcels, "refused", why);
    this.around.log("warn", why, { url: this.url, count: parcels.length, ...fields });
  }

  private failed(why: string): void {
    this.around.counters.retries++;
    // Said once until it works again.
    if (this.failures++ === 0)
      this.around.log("warn", "a collector does not take trace segments; trying again", { url: this.url, why });
  }

  private succeeded(): void {
    if (this.failures > 0)
      this.around.log("info", "the collector takes trace segments again", { url: this.url, waiting: this.queue.size });
    this.failures = 0;
  }
}

const segmentsOf = (parcels: readonly Parcel[]): Parcel[] => parcels.filter((p) => p.kind === "segment");

function readAnswer(body: string): SegmentsAnswerDto | null {
  try {
    return segmentsAnswer.parse(JSON.parse(body));
  } catch {
    return null;
  }
}
