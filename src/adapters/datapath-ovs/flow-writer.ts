import type { Cancel, Clock, Scheduler } from "#core/base";
import { NONE } from "#core/datapath";
import { FlowMatch } from "#core/flows";
import { encodeInstructions, writeDeleteByCookie, writeFlowAdd } from "#protocols/openflow";
import type { Connection } from "./connection.ts";
import { cookieHigh, cookieLow } from "./cookies.ts";
import { type Entries, timeoutSeconds } from "./entries.ts";
import { lengthGuard } from "./frame-length.ts";
import { TABLE } from "./program.ts";
import type { Rule } from "./rules.ts";

/** Changes of a batch go to the switch together: each batch costs it one pass over its flows. */
const BATCH_MS = 20;
/** So many changes in the time of a batch go at once, each on its own. */
const AT_ONCE = 20;
/** No more is written while the switch has not taken this much. */
const BACKLOG_BYTES = 1_048_576;

/** Rules whose instructions are kept as bytes. */
const MAX_ENCODED = 4_096;

export interface WriterParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly entries: Entries;
  /** Bytes of the longest frame without tags that the tunnel takes. */
  readonly frameLimit: () => number;
  /** The entry cannot be written: its action list is longer than a message. */
  readonly tooLong: (n: number) => void;
}

/**
 * Brings changes of entries into the switch, in order per lane. At a low rate each goes at once; at a high rate they go in
 * batches, because Open vSwitch pays for every pass in which flows changed, and takes few messages per connection in a
 * pass (so there may be several lanes).
 */
export class FlowWriter {
  private readonly parts: WriterParts;
  private lanes: readonly Connection[] = [];
  /** Cookies. */
  private queue: number[] = [];
  private round = 0;
  private priority = 0;
  private windowMs = -Infinity;
  private atOnce = 0;
  private flushing = false;
  private timer: Cancel | null = null;
  private readonly match = new FlowMatch();
  private readonly encoded = new Map<Rule, { readonly limitBytes: number; readonly bytes: Uint8Array }>();

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

  /** The entry waits to be written, or asked to leave. */
  change(cookie: number): void {
    if (this.lanes.length === 0) return;
    this.queue.push(cookie);
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
      if (done % 64 === 0 && lanes.some((l) => l.backlogBytes > BACKLOG_BYTES)) break;
      this.write(queue[done] as number, now);
    }
    this.atOnce += done;
    this.queue = done === queue.length ? [] : queue.slice(done);
    for (const lane of lanes) lane.send();
    if (this.queue.length > 0 && this.timer === null) this.later(BATCH_MS);
  }

  /** What has changed once more, or is gone, needs nothing. */
  private write(cookie: number, nowMs: number): void {
    const { entries } = this.parts;
    const n = entries.find(cookie);
    if (n !== NONE) {
      if (entries.isWaiting(n)) this.add(cookie, n, nowMs);
      return;
    }
    const leaver = entries.leaver(cookie);
    if (leaver === null) return;
    leaver.writtenMs = nowMs;
    const { output, session } = this.lane(leaver.lane);
    writeDeleteByCookie(output, session.nextXid(), cookieHigh(this.round, cookie), cookieLow(cookie));
  }

  private add(cookie: number, n: number, nowMs: number): void {
    const { entries } = this.parts;
    const { match } = this;
    const rule = entries.ruleOf(n);
    const { output, session } = this.lane(entries.laneOf(n));
    entries.written(n, nowMs);
    entries.readMatch(n, match);
    const written = writeFlowAdd(output, session.nextXid(), {
      table: TABLE.ENTRIES,
      priority: this.priority,
      cookieHigh: cookieHigh(this.round, cookie),
      cookieLow: cookieLow(cookie),
      match,
      mask: rule.mask,
      idleTimeoutS: timeoutSeconds(rule.idleTimeoutMs),
      hardTimeoutS: timeoutSeconds(rule.hardTimeoutMs),
      instructions: this.instructions(rule),
    });
    if (!written) this.parts.tooLong(n);
  }

  /** Of the entry in `match`. */
  private instructions(rule: Rule): Uint8Array {
    const limitBytes = this.parts.frameLimit();
    const kept = this.encoded.get(rule);
    if (kept !== undefined && kept.limitBytes === limitBytes) return kept.bytes;
    const bytes = encodeInstructions(this.match, rule.actions, lengthGuard(rule, limitBytes));
    if (this.encoded.size >= MAX_ENCODED) this.encoded.clear();
    // A rewrite of ports is another one for each protocol, which a rule is not made for.
    if (!rule.actions.some((a) => a.kind === "set-tp")) this.encoded.set(rule, { limitBytes, bytes });
    return bytes;
  }

  private lane(number: number): Connection {
    return this.lanes[number % this.lanes.length] as Connection;
  }
}
