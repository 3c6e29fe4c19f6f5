import type { Cancel, Clock, Random, Scheduler } from "#core/base";
import {
  EXPORT_LOSSES,
  type Exporter,
  type ExporterCounters,
  type ExportLoss,
  type ExportRecord,
  lossRecord,
  shownFlow,
  stepRecords,
} from "#core/exporting";
import type { FlowTrace, TraceSegment, Viewer } from "#core/tracing";
import { Backlog } from "./backlog.ts";
import { COURIER_LIMITS, type CourierLimits } from "./limits.ts";
import { Revisions } from "./revisions.ts";
import type { ExportWire, Outcome } from "./wire.ts";

export type ExportLog = (level: "info" | "warn", message: string, fields: Readonly<Record<string, unknown>>) => void;

export interface CourierOptions {
  readonly name: string;
  readonly wire: ExportWire;
  /** What is exported: the agent's steps, or the API server's flows. */
  readonly unit: "steps" | "flows";
  /** For whom: decides what is shown. */
  readonly viewer: Viewer;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly log: ExportLog;
  readonly limits?: Partial<CourierLimits>;
}

interface Entry {
  readonly record: ExportRecord;
  /** False: a note of losses, which is not itself counted. */
  readonly counted: boolean;
  readonly sinceMs: number;
  attempts: number;
}

type Batch = readonly Entry[];

/** Brings records to one target: see `Exporter`. Batches in order of age, each until it is answered: at least once. */
export class Courier implements Exporter {
  readonly name: string;
  private readonly o: CourierOptions;
  private readonly limits: CourierLimits;
  private readonly backlog: Backlog;
  private readonly revisions = new Revisions();
  /** Sent and not taken: these go first. */
  private readonly returned: Batch[] = [];
  private readonly underway = new Map<Batch, AbortController>();
  private timer: Cancel | null = null;
  private timerIsPace = false;
  private opened = false;
  private running = false;
  private closed = false;
  private hurried = false;
  private failures = 0;
  private readonly run: string;
  private notes = 0;
  private readonly untold = new Map<ExportLoss, number>();
  private readonly said = new Set<ExportLoss>();
  private readonly count = { offered: 0, delivered: 0, retries: 0, notesDelivered: 0, notesRefused: 0 };
  private readonly lostBy: Partial<Record<ExportLoss, number>> = {};
  private whenIdle: (() => void)[] = [];

  constructor(options: CourierOptions) {
    this.o = options;
    this.name = options.name;
    this.limits = { ...COURIER_LIMITS, ...options.limits };
    this.backlog = new Backlog(this.limits.queueSteps);
    this.run = options.random.uuid();
  }

  /** Returns at once: the target may be away for as long as it likes. */
  async start(): Promise<void> {
    this.running = true;
    this.schedule();
  }

  /** Sends what waits, for so long as `stopMs`; the rest is lost, and counted. */
  async stop(): Promise<void> {
    if (this.closed) return;
    if (this.running) await this.drain();
    this.running = false;
    this.closed = true;
    this.timer?.cancel();
    // Some of what is under way may have arrived all the same.
    const left = [...this.underway.keys(), ...this.returned].flat().filter((e) => e.counted).length;
    for (const request of this.underway.values()) request.abort();
    this.underway.clear();
    this.returned.length = 0;
    this.lose("stopped", left + this.backlog.clear());
    await this.o.wire.close().catch(() => undefined);
  }

  segment(segment: TraceSegment): void {
    if (this.closed) return;
    const { viewer } = this.o;
    const sinceMs = this.o.clock.monotonicMs();
    if (viewer.admin) {
      const steps = segment.steps.length;
      this.offer({ records: steps, steps, sinceMs, make: () => stepRecords(segment, viewer) });
      return;
    }
    const records = this.made(1, () => stepRecords(segment, viewer)) ?? [];
    this.offer({ records: records.length, steps: records.length, sinceMs, make: () => records });
  }

  flow(trace: FlowTrace): void {
    if (this.closed) return;
    const record = this.made(1, () => {
      const flow = shownFlow(trace, this.o.viewer);
      return flow === null ? null : this.revisions.next(flow);
    });
    if (record === null) return;
    const steps = record.flow.segments.reduce((sum, s) => sum + s.steps.length, 1);
    this.offer({ records: 1, steps, sinceMs: this.o.clock.monotonicMs(), make: () => [record] });
  }

  /** What hosts lose is no tenant's business: it may be of others. */
  lost(hostId: string, count: number, because: string): void {
    if (this.closed || !this.o.viewer.admin) return;
    const loss = { atMs: this.o.clock.nowMs(), count, of: "segments", cause: because, hostId } as const;
    const record = lossRecord(loss, `${this.run} ${++this.notes}`);
    this.offer({ records: 1, steps: 1, sinceMs: this.o.clock.monotonicMs(), make: () => [record] });
  }

  gone(): void {
    if (this.closed) return;
    this.count.offered++;
    this.lose("no-longer-stored", 1);
    this.schedule();
  }

  counters(): ExporterCounters {
    const { clock } = this.o;
    const entries = [...this.underway.keys(), ...this.returned].flat();
    const oldest = Math.min(...entries.map((e) => e.sinceMs), this.backlog.oldest?.sinceMs ?? Number.POSITIVE_INFINITY);
    return {
      ...this.count,
      lost: { ...this.lostBy },
      waiting: entries.filter((e) => e.counted).length + this.backlog.records,
      failing: this.failures > 0,
      lagMs: Number.isFinite(oldest) ? clock.monotonicMs() - oldest : 0,
    };
  }

  private offer(item: Parameters<Backlog["push"]>[0]): void {
    if (item.records === 0) return;
    this.count.offered += item.records;
    if (!this.backlog.push(item)) this.lose("queue-full", item.records);
    this.schedule();
  }

  /** Null: it could not be made, and is not offered; counted as lost all the same. */
  private made<T>(count: number, make: () => T): T | null {
    try {
      return make();
    } catch (error) {
      this.count.offered += count;
      this.lose("defect", count, String(error));
      return null;
    }
  }

  private lose(cause: ExportLoss, count: number, why = ""): void {
    if (count === 0) return;
    this.lostBy[cause] = (this.lostBy[cause] ?? 0) + count;
    this.untold.set(cause, (this.untold.get(cause) ?? 0) + count);
    if (this.said.has(cause)) return;
    this.said.add(cause);
    this.o.log("warn", "records are not exported, and counted", {
      target: this.name,
      cause,
      meaning: EXPORT_LOSSES[cause],
      ...(why === "" ? {} : { why }),
    });
  }

  private get idle(): boolean {
    return (
      this.underway.size === 0 && this.returned.length === 0 && this.backlog.records === 0 && this.untold.size === 0
    );
  }

  private drain(): Promise<void> {
    this.hurried = true;
    this.failures = 0;
    this.timer?.cancel();
    this.timer = null;
    if (this.idle) return Promise.resolve();
    return new Promise<void>((resolve) => {
      const deadline = this.o.scheduler.after(this.limits.stopMs, resolve);
      this.whenIdle.push(() => {
        deadline.cancel();
        resolve();
      });
      this.schedule();
    });
  }

  private schedule(): void {
    if (!this.running) return;
    if (this.idle) for (const resolve of this.whenIdle.splice(0)) resolve();
    const nothing = this.returned.length === 0 && this.backlog.records === 0 && this.untold.size === 0;
    if (nothing || this.underway.size >= (this.failures > 0 ? 1 : this.o.wire.parallel)) return;
    const pace = this.failures === 0 && this.backlog.steps < this.limits.batchSteps && !this.hurried;
    if (this.timer !== null) {
      // A whole batch need not wait for more.
      if (!this.timerIsPace || pace) return;
      this.timer.cancel();
    }
    this.timerIsPace = pace;
    this.timer = this.o.scheduler.after(this.failures > 0 ? this.backoffMs() : pace ? this.limits.paceMs : 0, () => {
      this.timer = null;
      void this.attempt();
      this.schedule();
    });
  }

  private backoffMs(): number {
    const { backoffMs, maxBackoffMs } = this.limits;
    const longest = Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(30, this.failures - 1));
    // Half by chance: exporters that lost one target at one moment shall not come back at one.
    return longest * (0.5 + this.o.random.next() / 2);
  }

  /** Never rejects. */
  private async attempt(): Promise<void> {
    const batch = this.returned.shift() ?? this.next();
    if (batch.length === 0) return;
    const { wire, scheduler } = this.o;
    const request = new AbortController();
    this.underway.set(batch, request);
    const { answerMs } = this.limits;
    const late = scheduler.after(answerMs, () => request.abort(new Error(`no answer in ${answerMs} ms`)));
    let outcome: Outcome | Error;
    try {
      if (!this.opened) await wire.open(request.signal);
      this.opened = true;
      outcome = await wire.send(
        batch.map((e) => e.record),
        request.signal,
      );
    } catch (error) {
      outcome = error instanceof Error ? error : new Error(String(error));
    }
    late.cancel();
    if (!this.underway.delete(batch)) return;
    if (outcome instanceof Error) this.failed(batch, outcome);
    else this.answered(batch, outcome);
    this.schedule();
  }

  private next(): Batch {
    const { clock } = this.o;
    const notes = [...this.untold].map(([cause, count]): Entry => {
      const loss = { atMs: clock.nowMs(), count, of: this.o.unit, cause: EXPORT_LOSSES[cause], hostId: null };
      const record = lossRecord(loss, `${this.run} ${++this.notes}`);
      return { record, counted: false, sinceMs: clock.monotonicMs(), attempts: 0 };
    });
    this.untold.clear();
    const entries = this.backlog.take(this.limits.batchSteps).flatMap(({ make, sinceMs, records }) => {
      try {
        return make().map((record): Entry => ({ record, counted: true, sinceMs, attempts: 0 }));
      } catch (error) {
        this.lose("defect", records, String(error));
        return [];
      }
    });
    return [...entries, ...notes];
  }

  private failed(batch: Batch, error: Error): void {
    this.opened = false;
    this.count.retries++;
    this.returned.unshift(batch);
    this.failure(textOf(error));
  }

  private failure(why: string): void {
    this.failures++;
    if (this.failures > 1) return;
    this.o.log("warn", "an export target does not take records; they wait, and are sent again", {
      target: this.name,
      why,
    });
  }

  private succeeded(): void {
    if (this.failures > 0)
      this.o.log("info", "an export target takes records again", { target: this.name, lost: { ...this.lostBy } });
    this.failures = 0;
    this.said.clear();
  }

  private answered(batch: Batch, outcome: Outcome): void {
    if (outcome.kind === "too-large") {
      const half = Math.ceil(batch.length / 2);
      if (batch.length === 1) this.refuse("too-large", batch, "");
      else this.returned.unshift(batch.slice(0, half), batch.slice(half));
      return;
    }
    if (outcome.kind === "refused") {
      this.succeeded();
      this.refuse("refused", batch, outcome.why);
      return;
    }
    const places = (list: readonly number[]): Set<number> => new Set(list);
    const [retry, refused] = [places(outcome.retry), places(outcome.refused)];
    const taken = batch.filter((_, i) => !retry.has(i) && !refused.has(i));
    for (const { counted } of taken) {
      if (counted) this.count.delivered++;
      else this.count.notesDelivered++;
    }
    if (retry.size === 0) this.succeeded();
    this.refuse(
      "refused",
      batch.filter((_, i) => refused.has(i)),
      outcome.why,
    );
    const again = batch.filter((_, i) => retry.has(i) && !refused.has(i));
    if (again.length === 0) return;
    // Where the target takes nothing at all, it is not for the record's sake.
    if (taken.length > 0) for (const entry of again) entry.attempts++;
    const { attempts } = this.limits;
    this.refuse(
      "retries-exhausted",
      again.filter((e) => e.attempts >= attempts),
      outcome.why,
    );
    const left = again.filter((e) => e.attempts < attempts);
    if (left.length === 0) return;
    this.count.retries++;
    this.returned.unshift(left);
    this.failure(outcome.why);
  }

  private refuse(cause: ExportLoss, entries: Batch, why: string): void {
    this.lose(cause, entries.filter((e) => e.counted).length, why.slice(0, MAX_WHY));
    this.count.notesRefused += entries.filter((e) => !e.counted).length;
  }
}

const MAX_WHY = 300;

/** The cause says more where a library wrapped it. */
function textOf(error: Error): string {
  return (error.cause instanceof Error ? error.cause.message : error.message).slice(0, MAX_WHY);
}
