import type { Cancel, Clock, Scheduler } from "#core/base";
import { NONE } from "#core/datapath";
import { FlowMatch } from "#core/flows";
import { encodeInstructions, FlowTemplate, shapeOf, writeDeleteByCookie } from "#protocols/openflow";
import type { Connection } from "./connection.ts";
import { cookieHigh, cookieLow } from "./cookies.ts";
import { type Entries, timeoutSeconds } from "./entries.ts";
import { lengthGuard } from "./frame-length.ts";
import { TABLE } from "./program.ts";
import type { Rule } from "./rules.ts";

/** Changes of a batch go to the switch together: each batch costs it one pass over its flows. */
const BATCH_MS = 20;
/**
 * So many changes in the time of a batch go at once, each on its own. More of them, and the switch is busy with its passes
 * when first packets come (bench/real, b: at 1,000 per second, 20 make the median of their delays 2.5 times as long).
 */
const AT_ONCE = 4;
/** No more is written while the switch has not taken this much. */
const BACKLOG_BYTES = 1_048_576;

/** So many changes are written between two looks at what the switch has not taken. */
const LOOK_EVERY = 64;
/** Rules whose templates are kept. */
const MAX_RULES = 4_096;

interface Made {
  readonly shape: number;
  readonly template: FlowTemplate;
}

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
  /** Cookies of changes that the switch has no room for yet. */
  private queue: number[] = [];
  /** Changes that are written, and go to the switch with the batch. */
  private unsent = 0;
  private nowMs = 0;
  private round = 0;
  private priority = 0;
  private windowMs = -Infinity;
  private atOnce = 0;
  private flushing = false;
  private timer: Cancel | null = null;
  private readonly match = new FlowMatch();
  private readonly templates = new Map<Rule, Made[]>();
  /** That the templates were made for. */
  private limitBytes = NaN;

  constructor(parts: WriterParts) {
    this.parts = parts;
  }

  /** From here on changes go through these connections. */
  open(lanes: readonly Connection[], round: number, priority: number): void {
    this.lanes = lanes;
    this.round = round;
    this.priority = priority;
    this.templates.clear();
    this.wake();
  }

  /** The switch is away; what has not been written is forgotten, and is the business of whoever opens again. */
  close(): void {
    this.lanes = [];
    this.queue = [];
    this.unsent = 0;
    this.timer?.cancel();
    this.timer = null;
  }

  /** The entry is a new one, with this match. */
  begin(cookie: number, n: number, match: FlowMatch): void {
    if (this.lanes.length === 0) return;
    const first = this.isIdle();
    if (this.queue.length > 0 || this.isBehind()) this.queue.push(cookie);
    else this.add(cookie, n, match);
    if (first) this.wake();
  }

  /** The entry waits to be written, or asked to leave. */
  change(cookie: number): void {
    if (this.lanes.length === 0) return;
    const first = this.isIdle();
    if (this.queue.length > 0 || this.isBehind()) this.queue.push(cookie);
    else this.write(cookie);
    if (first) this.wake();
  }

  /** Nothing was on its way: the time is taken anew. */
  private isIdle(): boolean {
    const idle = this.queue.length === 0 && this.unsent === 0;
    if (idle) this.nowMs = this.parts.clock.monotonicMs();
    return idle;
  }

  /** One of the lanes has enough to do. Looked at now and then. */
  private isBehind(): boolean {
    if (this.unsent % LOOK_EVERY !== 0) return false;
    for (const lane of this.lanes) if (lane.backlogBytes > BACKLOG_BYTES) return true;
    return false;
  }

  private wake(): void {
    if (this.flushing || this.timer !== null || this.queue.length + this.unsent === 0) return;
    if (this.nowMs - this.windowMs >= BATCH_MS) {
      this.windowMs = this.nowMs;
      this.atOnce = 0;
    }
    if (this.atOnce < AT_ONCE) {
      this.flushing = true;
      queueMicrotask(() => {
        this.flushing = false;
        this.flush();
      });
    } else this.later(this.windowMs + BATCH_MS - this.nowMs);
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
    this.nowMs = this.parts.clock.monotonicMs();
    let done = 0;
    while (done < queue.length && !this.isBehind()) this.write(queue[done++] as number);
    this.queue = done === queue.length ? [] : queue.slice(done);
    this.atOnce += this.unsent;
    this.unsent = 0;
    for (const lane of lanes) lane.send();
    if (this.queue.length > 0 && this.timer === null) this.later(BATCH_MS);
  }

  /** What has changed once more, or is gone, needs nothing. */
  private write(cookie: number): void {
    const { entries } = this.parts;
    const n = entries.find(cookie);
    if (n !== NONE) {
      if (!entries.isWaiting(n)) return;
      entries.readMatch(n, this.match);
      this.add(cookie, n, this.match);
      return;
    }
    const leaver = entries.leaver(cookie);
    if (leaver === null) return;
    this.unsent++;
    leaver.writtenMs = this.nowMs;
    const { output, session } = this.lane(leaver.lane);
    writeDeleteByCookie(output, session.nextXid(), cookieHigh(this.round, cookie), cookieLow(cookie));
  }

  private add(cookie: number, n: number, match: FlowMatch): void {
    const { entries } = this.parts;
    const rule = entries.ruleOf(n);
    const { output, session } = this.lane(entries.laneOf(n));
    this.unsent++;
    entries.written(n, Math.trunc(this.nowMs));
    const template = this.templateOf(rule, match);
    if (template.tooLong) this.parts.tooLong(n);
    else template.write(output, session.nextXid(), cookieHigh(this.round, cookie), cookieLow(cookie), match);
  }

  private templateOf(rule: Rule, match: FlowMatch): FlowTemplate {
    const limitBytes = this.parts.frameLimit();
    if (limitBytes !== this.limitBytes || this.templates.size >= MAX_RULES) {
      this.limitBytes = limitBytes;
      this.templates.clear();
    }
    const shape = shapeOf(match);
    let templates = this.templates.get(rule);
    if (templates === undefined) this.templates.set(rule, (templates = []));
    for (let i = 0; i < templates.length; i++) {
      const made = templates[i] as Made;
      if (made.shape === shape) return made.template;
    }
    const template = new FlowTemplate({
      table: TABLE.ENTRIES,
      priority: this.priority,
      match,
      mask: rule.mask,
      idleTimeoutS: timeoutSeconds(rule.idleTimeoutMs),
      hardTimeoutS: timeoutSeconds(rule.hardTimeoutMs),
      instructions: encodeInstructions(match, rule.actions, lengthGuard(rule, limitBytes)),
    });
    templates.push({ shape, template });
    return template;
  }

  private lane(number: number): Connection {
    return this.lanes[number % this.lanes.length] as Connection;
  }
}
