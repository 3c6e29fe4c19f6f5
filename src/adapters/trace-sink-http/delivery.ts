import { ROUTES, segmentsAnswer, type SegmentsAnswerDto } from "#core/api-contract";
import type { Cancel, Clock, Random, Scheduler } from "#core/base";
import type { SinkLimits } from "./limits.ts";
import { type Loss, type Parcel, ParcelQueue } from "./parcel-queue.ts";
import type { Reply, Transport } from "./transport.ts";

export interface DeliverySurroundings {
  readonly hostId: string;
  readonly bootId: string;
  readonly transport: Transport;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly limits: SinkLimits;
  /** A number that no delivery of this run had before, and larger than all of them. */
  readonly nextSequence: () => number;
  readonly log: (level: "info" | "warn", message: string, fields: Readonly<Record<string, unknown>>) => void;
  readonly counters: DeliveryCounters;
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
  /** What is sent, the same at each attempt: by its sequence the collector knows it again. */
  readonly body: string;
  readonly parcels: readonly Parcel[];
  readonly lost: readonly Loss[];
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

  constructor(url: string, around: DeliverySurroundings) {
    this.url = url;
    this.around = around;
    this.queue = new ParcelQueue(around.limits, OVERFLOW);
    this.batchSegments = around.limits.batchSegments;
  }

  /** Segments that have not been answered. */
  get waiting(): number {
    return this.queue.size + (this.batch?.parcels.length ?? 0);
  }

  get failing(): boolean {
    return this.failures > 0;
  }

  offer(parcel: Parcel): void {
    this.around.counters.overflowed += this.queue.push(parcel, this.batch?.parcels.length);
    this.schedule();
  }

  lost(count: number, why: string): void {
    this.queue.lost.add(count, why);
    this.schedule();
  }

  /** Everything that has not been answered, oldest first; some of it may have arrived. */
  pending(): readonly Parcel[] {
    return [...(this.batch?.parcels ?? []), ...this.queue.all()];
  }

  /** Losses that nobody was told, as of the end of this delivery. */
  untold(): readonly Loss[] {
    return [...(this.batch?.lost ?? []), ...this.queue.lost.take()];
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
    this.request?.abort();
    this.release();
  }

  private get idle(): boolean {
    return this.batch === null && this.queue.size === 0 && this.queue.lost.empty;
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

  /** Never rejects. */
  private async attempt(): Promise<void> {
    const { scheduler, clock, transport, limits } = this.around;
    const batch = (this.batch ??= this.next());
    const request = new AbortController();
    this.request = request;
    this.startedMs = clock.monotonicMs();
    const late = scheduler.after(limits.answerMs, () => request.abort(new Error(`no answer in ${limits.answerMs} ms`)));
    let reply: Reply | Error;
    try {
      reply = await transport.post(this.url + ROUTES.deliverSegments.path, batch.body, request.signal);
    } catch (error) {
      reply = error instanceof Error ? error : new Error(String(error));
    }
    late.cancel();
    this.request = null;
    if (this.closed) return;
    if (reply instanceof Error) this.failed(reply.cause instanceof Error ? reply.cause.message : reply.message);
    else this.answered(batch, reply);
    this.schedule();
  }

  private next(): Batch {
    const { limits, hostId, bootId, nextSequence } = this.around;
    const parcels = this.queue.take(this.batchSegments, limits.batchBytes);
    const lost = this.queue.lost.take();
    const envelope = JSON.stringify({ hostId, bootId, sequence: nextSequence(), lost });
    return { body: `${envelope.slice(0, -1)},"segments":[${parcels.map((p) => p.json).join(",")}]}`, parcels, lost };
  }

  private answered(batch: Batch, { status, body }: Reply): void {
    if (status === 413 && batch.parcels.length > 0) {
      this.tooLarge(batch);
      return;
    }
    if (HOPELESS.has(status)) {
      this.batch = null;
      this.succeeded();
      // They have not been told; by themselves they are tried once more.
      if (batch.parcels.length > 0) this.notTold(batch);
      this.refused(batch.parcels.length, `the collector refused a whole delivery (HTTP ${status})`, {
        answer: body.slice(0, 500),
      });
      return;
    }
    const answer = status === 200 ? readAnswer(body) : null;
    if (answer === null) {
      this.failed(status === 200 ? "the answer is not a collector's" : `HTTP ${status}`);
      return;
    }
    this.batch = null;
    this.succeeded();
    const { counters, limits } = this.around;
    counters.deliveries++;
    counters.delivered += batch.parcels.length - answer.refused.length;
    for (const parcel of batch.parcels) parcel.delivered = true;
    this.batchSegments = Math.min(limits.batchSegments, this.batchSegments * 2);
    if (answer.refused.length > 0)
      this.refused(answer.refused.length, "the collector refused segments", { first: answer.refused[0] });
  }

  /** It was not looked at: what was in it goes in smaller ones. */
  private tooLarge(batch: Batch): void {
    this.batch = null;
    this.notTold(batch);
    if (batch.parcels.length === 1) {
      this.refused(1, "a segment is larger than the collector takes", {});
      return;
    }
    this.batchSegments = Math.floor(batch.parcels.length / 2);
    this.queue.putBack(batch.parcels);
  }

  private notTold(batch: Batch): void {
    for (const { count, why } of batch.lost) this.queue.lost.add(count, why);
  }

  private refused(count: number, why: string, fields: Readonly<Record<string, unknown>>): void {
    this.around.counters.refused += count;
    if (count > 0) this.queue.lost.add(count, why);
    this.around.log("warn", why, { url: this.url, count, ...fields });
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

function readAnswer(body: string): SegmentsAnswerDto | null {
  try {
    return segmentsAnswer.parse(JSON.parse(body));
  } catch {
    return null;
  }
}
