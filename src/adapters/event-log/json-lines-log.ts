import type { Clock, Lifecycle } from "#core/base";
import type { TraceSegment, TraceSink } from "#core/tracing";
import { type LogFormat, lossLine, segmentLines } from "./lines.ts";
import type { LogOutput } from "./output.ts";

export interface JsonLinesLogOptions {
  readonly output: LogOutput;
  readonly clock: Clock;
  /** Default `json`: one JSON object per line. `text`: the same for people. */
  readonly format?: LogFormat;
  /** Lines that may wait for the disk; what comes beyond is counted and reported. Default 10 000. */
  readonly maxQueuedLines?: number;
}

/** Lines that are written at once: bounds what one failed write loses. */
const BATCH_LINES = 256;

/**
 * The operator's log of traced packets: each step of each segment as one line. Never blocks and never throws: lines that
 * find the queue full or whose write fails are counted, and the count is the next line that is written.
 */
export class JsonLinesLog implements TraceSink, Lifecycle {
  /** Lines that were lost since the start. */
  linesLost = 0;
  linesWritten = 0;
  /** The last failure of the output. */
  lastError: unknown = null;

  private readonly output: LogOutput;
  private readonly clock: Clock;
  private readonly format: LogFormat;
  private readonly maxQueuedLines: number;
  private queue: string[] = [];
  private readonly unreported = new Map<string, number>();
  private draining: Promise<void> | null = null;
  private open = false;

  constructor(options: JsonLinesLogOptions) {
    this.output = options.output;
    this.clock = options.clock;
    this.format = options.format ?? "json";
    this.maxQueuedLines = options.maxQueuedLines ?? 10_000;
  }

  /** @throws the error of the output, when it cannot be opened. */
  async start(): Promise<void> {
    await this.output.open();
    this.open = true;
    this.drain();
  }

  async stop(): Promise<void> {
    if (!this.open) return;
    await this.flush();
    this.open = false;
    try {
      await this.output.close();
    } catch (error) {
      this.lastError = error;
    }
  }

  segment(segment: TraceSegment): void {
    this.enqueue(segmentLines(segment, this.format));
  }

  lost(hostId: string, count: number, because: string): void {
    this.enqueue([lossLine(this.clock.nowMs(), count, because, hostId, this.format)]);
  }

  /** Resolves when what is queued now has been written or lost. */
  async flush(): Promise<void> {
    if (this.open && this.draining === null) this.drain();
    await this.draining;
  }

  private enqueue(lines: readonly string[]): void {
    const room = Math.max(0, this.maxQueuedLines - this.queue.length);
    this.queue.push(...lines.slice(0, room));
    if (lines.length > room) this.countLost(lines.length - room, "the queue was full");
    this.drain();
  }

  private countLost(count: number, because: string): void {
    this.linesLost += count;
    this.unreported.set(because, (this.unreported.get(because) ?? 0) + count);
  }

  private drain(): void {
    if (!this.open || this.draining !== null) return;
    if (this.queue.length > 0 || this.unreported.size > 0) this.draining = this.work();
  }

  private async work(): Promise<void> {
    while (this.queue.length > 0 || this.unreported.size > 0) if (!(await this.writeBatch())) break;
    this.draining = null;
  }

  /** False when the output failed: the next segment tries again. */
  private async writeBatch(): Promise<boolean> {
    const reports = [...this.unreported];
    const batch = this.queue.splice(0, BATCH_LINES);
    this.unreported.clear();
    const now = this.clock.nowMs();
    const notes = reports.map(([because, count]) => lossLine(now, count, because, null, this.format));
    try {
      await this.output.write([...notes, ...batch]);
      this.linesWritten += batch.length;
      return true;
    } catch (error) {
      this.lastError = error;
      for (const [because, count] of reports) this.unreported.set(because, (this.unreported.get(because) ?? 0) + count);
      if (batch.length > 0) this.countLost(batch.length, "a write failed");
      return false;
    }
  }
}
