import type { Cancel, Clock, Scheduler } from "#core/base";
import { writeDeleteByCookie, writeFlowAdd } from "#protocols/openflow";
import type { Connection } from "./connection.ts";
import { cookieHigh, cookieLow } from "./cookies.ts";
import { type Entry, timeoutSeconds } from "./entries.ts";
import { lengthGuard } from "./frame-length.ts";
import { TABLE } from "./program.ts";

/** Changes of a batch go to the switch together: each batch costs it one pass over its flows. */
const BATCH_MS = 20;
/** So many changes in the time of a batch go at once, each on its own. */
const AT_ONCE = 20;
/** No more is written while the switch has not taken this much. */
const BACKLOG_BYTES = 1_048_576;

export interface WriterParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** Bytes of the longest frame without tags that the tunnel takes. */
  readonly frameLimit: () => number;
  /** The entry cannot be written: its action list is longer than a message. */
  readonly tooLong: (entry: Entry) => void;
}

/**
 * Brings changes of entries into the switch, in order per lane. At a low rate each goes at once; at a high rate they go in
 * batches, because Open vSwitch pays for every pass in which flows changed, and takes few messages per connection in a
 * pass (so there may be several lanes).
 */
export class FlowWriter {
  private readonly parts: WriterParts;
  private lanes: readonly Connection[] = [];
  private queue: Entry[] = [];
  private round = 0;
  private priority = 0;
  private windowMs = -Infinity;
  private atOnce = 0;
  private flushing = false;
  private timer: Cancel | null = null;

  constructor(parts: WriterParts) {
    this.parts = parts;
  }

  /** From here on changes go through these connections. */
  open(lanes: readonly Connection[], round: number, priority: number): void {
    this.lanes = lanes;
    this.round = round;
    this.priority = priority;
    this.wake();
  }

  /** The switch is away; what has not been written is forgotten, and is the business of whoever opens again. */
  close(): void {
    this.lanes = [];
    this.queue = [];
    this.timer?.cancel();
    this.timer = null;
  }

  /** The entry is to be written, or (its state is "leaving") deleted. */
  change(entry: Entry): void {
    if (this.lanes.length === 0) return;
    this.queue.push(entry);
    this.wake();
  }

  private wake(): void {
    if (this.flushing || this.timer !== null || this.queue.length === 0) return;
    const now = this.parts.clock.monotonicMs();
    if (now - this.windowMs >= BATCH_MS) {
      this.windowMs = now;
      this.atOnce = 0;
    }
    if (this.atOnce < AT_ONCE) {
      this.flushing = true;
      queueMicrotask(() => {
        this.flushing = false;
        this.flush();
      });
    } else this.later(this.windowMs + BATCH_MS - now);
  }

  private later(delayMs: number): void {
    this.timer = this.parts.scheduler.after(delayMs, () => {
      this.timer = null;
      this.windowMs = this.parts.clock.monotonicMs();
      this.atOnce = 0;
      this.flush();
    });
  }

  private flush(): void {
    const { queue, lanes } = this;
    if (lanes.length === 0) return;
    const now = Math.trunc(this.parts.clock.monotonicMs());
    let done = 0;
    for (; done < queue.length; done++) {
      const entry = queue[done] as Entry;
      const lane = lanes[entry.lane % lanes.length] as Connection;
      if (done % 64 === 0 && lanes.some((l) => l.backlogBytes > BACKLOG_BYTES)) break;
      this.write(lane, entry, now);
    }
    this.atOnce += done;
    this.queue = done === queue.length ? [] : queue.slice(done);
    for (const lane of lanes) lane.send();
    if (this.queue.length > 0 && this.timer === null) this.later(BATCH_MS);
  }

  private write(lane: Connection, entry: Entry, nowMs: number): void {
    const { output, session } = lane;
    const high = cookieHigh(this.round, entry.cookie);
    const low = cookieLow(entry.cookie);
    if (entry.state === "leaving") {
      entry.writtenMs = nowMs;
      writeDeleteByCookie(output, session.nextXid(), high, low);
    } else if (entry.state === "waiting") {
      entry.state = "written";
      entry.inSwitch = true;
      entry.writtenMs = nowMs;
      const { match, mask, actions } = entry;
      const written = writeFlowAdd(output, session.nextXid(), {
        table: TABLE.ENTRIES,
        priority: this.priority,
        cookieHigh: high,
        cookieLow: low,
        match,
        mask,
        actions,
        idleTimeoutS: timeoutSeconds(entry.idleTimeoutMs),
        hardTimeoutS: timeoutSeconds(entry.hardTimeoutMs),
        guard: lengthGuard(entry, this.parts.frameLimit()),
      });
      if (!written) this.parts.tooLong(entry);
    }
  }
}
