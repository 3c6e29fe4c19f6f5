import type { Cancel, Clock, Scheduler } from "#core/base";
import { type FlowCounters, type FlowEntry, type FlowRemoved, NONE } from "#core/datapath";
import { type FlowAction, FlowMatch, formatMasked } from "#core/flows";
import { type FlowRecord, OFPRR, writeDeleteByCookie } from "#protocols/openflow";
import { cookieHigh, cookieLow, cookieOf, ROUND_MASK, roundOf, wireCookie } from "./cookies.ts";
import { type Ended, Entries, ServedEntries, sum } from "./entries.ts";
import { FlowStatistics } from "./flow-statistics.ts";
import { FlowWriter } from "./flow-writer.ts";
import type { FoundFlows } from "./found-flows.ts";
import { isTooLong } from "./frame-length.ts";
import { type Log, RareLog } from "./log.ts";
import { TABLE } from "./program.ts";
import { Rules } from "./rules.ts";
import type { SwitchConfig } from "./switch-config.ts";
import type { SwitchLink } from "./switch-link.ts";

/** An entry that was to leave and of which nothing is heard for so long was not there. */
const LEAVE_MS = 5_000;
/** A packet that the switch should have served for so long shows that the entry is not there. */
const HEAL_MS = 2_000;
/** After this the switch has taken what lay in the sockets of connections that ended. */
const LATE_MS = 2_000;

export interface KeeperParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly log: Log;
  readonly config: SwitchConfig;
  readonly link: SwitchLink;
  readonly lanes: number;
  /** Each entry's end, once; never inside a call of `install` or `remove`. */
  readonly removed: (removed: FlowRemoved) => void;
}

/**
 * The entries that the agent declared, kept in the switch: written, replayed when the switch lost them, followed to their
 * end. What it knows is the truth; the switch is made to agree.
 */
export class FlowKeeper {
  readonly statistics: FlowStatistics;
  /** Packets that were served from here. */
  answered = 0;
  private readonly parts: KeeperParts;
  private readonly rarely: RareLog;
  private readonly entries = new Entries();
  private readonly rules = new Rules();
  private readonly served = new ServedEntries();
  private readonly writer: FlowWriter;
  private frameLimit = Infinity;
  /** Reports that came about inside a call of the agent's. */
  private reports: FlowRemoved[] = [];
  private wasAttached = false;
  private lookAgain: Cancel | null = null;

  constructor(parts: KeeperParts) {
    const { clock, scheduler, log } = parts;
    this.parts = parts;
    this.rarely = new RareLog(log, clock);
    this.statistics = new FlowStatistics(clock, scheduler, this.entries);
    this.writer = new FlowWriter({
      entries: this.entries,
      clock,
      scheduler,
      frameLimit: () => this.frameLimit,
      tooLong: (n) => this.notTaken(n, "its actions do not fit a message"),
    });
  }

  get size(): number {
    return this.entries.size;
  }

  /** @throws MidotraceError INTERNAL for a cookie in use and for a mask with userspace-only fields. */
  install(entry: FlowEntry, tunnelPort: number): void {
    const { config, clock, link, lanes } = this.parts;
    const rule = this.rules.of(entry, tunnelPort, config.datapathType !== "system");
    const { cookie } = entry;
    const n = this.entries.add(cookie, rule, entry.match, lanes);
    if (n === NONE) this.report({ cookie, reason: "deleted", packets: 0, bytes: 0 });
    else if (rule.served) this.served.add(cookie, rule, clock.monotonicMs());
    else if (link.attached) this.writer.begin(cookie, n, entry.match);
  }

  remove(cookie: number): void {
    const { entries } = this;
    const n = entries.find(cookie);
    if (n === NONE) return;
    if (this.parts.link.attached && entries.isInSwitch(n)) {
      entries.leave(n, Math.trunc(this.parts.clock.monotonicMs()));
      this.writer.change(cookie);
      return;
    }
    this.served.delete(cookie);
    // The switch does not have it; or is away, and is told when it is back.
    const { counts } = entries.end(cookie) as Ended;
    this.statistics.entryEnded(counts?.packets ?? 0);
    this.report({ cookie, reason: "deleted", ...sum(counts) });
  }

  counters(cookie: number): FlowCounters | null {
    const n = this.entries.find(cookie);
    if (n === NONE) return null;
    this.statistics.wantEntry(cookie);
    return this.entries.counters(n);
  }

  readMatch(cookie: number, match: FlowMatch): boolean {
    const n = this.entries.find(cookie);
    if (n === NONE) return false;
    this.entries.readMatch(n, match);
    return true;
  }

  /** About once a second. */
  tick(): void {
    this.checkFrameLimit();
    const now = this.parts.clock.monotonicMs();
    for (const [cookie, reason] of this.served.due(now)) this.ended(cookie, reason);
    for (const { cookie, writtenMs } of this.entries.leavers()) {
      if (now - writtenMs < LEAVE_MS) break;
      this.ended(cookie, "deleted");
    }
  }

  /** Entries with tunnel outputs carry the limit with them. */
  checkFrameLimit(): void {
    const limit = this.parts.config.tunnelFrameLimit;
    if (limit === this.frameLimit) return;
    this.frameLimit = limit;
    if (!this.parts.link.attached) return;
    const { entries } = this;
    for (const n of entries) {
      if (entries.ruleOf(n).tagGrowth === null || entries.isWaiting(n)) continue;
      entries.wait(n);
      this.writer.change(entries.cookieOf(n));
    }
  }

  /** The switch is there, with `found` in it. */
  attached(found: FoundFlows): void {
    const { link, config, log } = this.parts;
    const main = link.connection;
    const { run } = link;
    if (main === null || run === null) return;
    const present = found.of(run.round);
    if (present.size === 0) this.statistics.restarted();
    this.statistics.open(main, run.round);
    this.frameLimit = config.tunnelFrameLimit;
    this.writer.open(link.lanes.length === 0 ? [main] : link.lanes, run.round, run.priority);
    let replayed = 0;
    const { entries } = this;
    for (const n of entries) {
      const rule = entries.ruleOf(n);
      if (rule.served) continue;
      const cookie = entries.cookieOf(n);
      // Entries with tunnel outputs carry the limit of their time. What was about to be written is so still.
      if (present.has(cookie) && rule.tagGrowth === null && !entries.isWaiting(n)) continue;
      if (!present.has(cookie)) entries.restart(n);
      entries.wait(n);
      this.writer.change(cookie);
      replayed++;
    }
    for (const cookie of present) {
      if (entries.find(cookie) !== NONE) continue;
      writeDeleteByCookie(main.output, main.session.nextXid(), cookieHigh(run.round, cookie), cookieLow(cookie));
    }
    main.send();
    if (this.wasAttached) this.lookAgain = this.parts.scheduler.after(LATE_MS, () => this.endUnknown());
    this.wasAttached = true;
    if (replayed > 0) log("info", "entries were replayed into the switch", { replayed });
  }

  /** Entries of this run that are declared no more: written through an earlier connection, and taken late. */
  private endUnknown(): void {
    this.lookAgain = null;
    const main = this.parts.link.connection;
    const { run } = this.parts.link;
    if (main === null || run === null) return;
    const { output, session } = main;
    session.flowStats(
      { table: TABLE.ENTRIES, cookie: wireCookie(run.round, 0), cookieMask: ROUND_MASK },
      ({ cookieHigh, cookieLow }) => {
        if (this.entries.find(cookieOf(cookieHigh, cookieLow)) !== NONE) return;
        writeDeleteByCookie(output, session.nextXid(), cookieHigh, cookieLow);
      },
      () => main.send(),
    );
    main.send();
  }

  detached(): void {
    this.lookAgain?.cancel();
    this.lookAgain = null;
    this.writer.close();
    this.statistics.close();
    for (const { cookie } of this.entries.leavers()) this.ended(cookie, "deleted");
  }

  /** The number of the entry that serves such a packet; NONE: the agent has to. */
  covering(match: FlowMatch, lengthBytes: number): number {
    const n = this.entries.covering(match);
    return n !== NONE && isTooLong(this.entries.ruleOf(n), lengthBytes, this.frameLimit) ? NONE : n;
  }

  actionsOf(n: number): readonly FlowAction[] {
    return this.entries.ruleOf(n).actions;
  }

  /**
   * A packet of the entry came up and is served from here: the entry is on its way into the switch, is being replayed, or
   * is missing there.
   */
  serve(n: number, lengthBytes: number): void {
    const { entries } = this;
    this.answered++;
    entries.answered(n, lengthBytes);
    const now = this.parts.clock.monotonicMs();
    const cookie = entries.cookieOf(n);
    if (entries.ruleOf(n).served) this.served.used(cookie, now);
    if (entries.isWaiting(n) || !this.parts.link.attached || entries.ageMs(n, now) < HEAL_MS) return;
    this.rarely.say("warn", "an entry is written again", "its packets come up", { match: this.textOf(n) });
    entries.heal(n);
    this.writer.change(cookie);
  }

  flowRemoved(record: FlowRecord): void {
    const round = roundOf(record.cookieHigh);
    const cookie = cookieOf(record.cookieHigh, record.cookieLow);
    if (round !== this.parts.link.run?.round) return;
    const n = this.entries.find(cookie);
    // It was to be written again at this moment, so it stays.
    if (n !== NONE && this.entries.isWaiting(n)) this.entries.restart(n);
    else if (n !== NONE && this.entries.endPlain(n, cookie)) {
      const { packets, bytes } = record;
      this.statistics.entryEnded(packets);
      this.parts.removed({ cookie, reason: reasonOf(record.reason), packets, bytes });
    } else this.ended(cookie, reasonOf(record.reason), record);
  }

  /** Reports the end of an entry, once. */
  private ended(cookie: number, reason: FlowRemoved["reason"], record?: FlowRecord): void {
    const ended = this.entries.end(cookie);
    if (ended === null) return;
    const { counts, healed, leaving } = ended;
    const packets = record?.packets ?? counts?.packets ?? 0;
    const bytes = record?.bytes ?? counts?.bytes ?? 0;
    this.statistics.entryEnded(packets);
    const main = this.parts.link.connection;
    const { run } = this.parts.link;
    if (healed && main !== null && run !== null) {
      writeDeleteByCookie(main.output, main.session.nextXid(), cookieHigh(run.round, cookie), cookieLow(cookie));
      main.send();
    }
    this.parts.removed({
      cookie,
      reason: leaving ? "deleted" : reason,
      packets: packets + (counts?.morePackets ?? 0),
      bytes: bytes + (counts?.moreBytes ?? 0),
    });
  }

  refused(text: string, cookie: { readonly high: number; readonly low: number } | null): void {
    const round = cookie === null ? -1 : roundOf(cookie.high);
    if (cookie === null || round !== this.parts.link.run?.round) {
      this.rarely.say("warn", "the switch refused a message", text);
      return;
    }
    const n = this.entries.find(cookieOf(cookie.high, cookie.low));
    if (n === NONE) this.rarely.say("warn", "the switch refused a change of an entry", text);
    else this.notTaken(n, text);
  }

  private notTaken(n: number, because: string): void {
    this.rarely.say("error", "the switch does not take an entry", because, { match: this.textOf(n) });
    const cookie = this.entries.cookieOf(n);
    const ended = this.entries.end(cookie);
    this.report({ cookie, reason: "deleted", ...sum(ended?.counts ?? null) });
  }

  private textOf(n: number): string {
    const match = new FlowMatch();
    this.entries.readMatch(n, match);
    return formatMasked(match, this.entries.ruleOf(n).mask);
  }

  /** To the listener, from outside of the call that runs now. */
  private report(removed: FlowRemoved): void {
    this.reports.push(removed);
    if (this.reports.length > 1) return;
    this.parts.scheduler.after(0, () => {
      for (const due of this.reports.splice(0)) this.parts.removed(due);
    });
  }
}

function reasonOf(wire: number): FlowRemoved["reason"] {
  if (wire === OFPRR.IDLE_TIMEOUT) return "idle";
  if (wire === OFPRR.HARD_TIMEOUT) return "hard";
  return wire === OFPRR.EVICTION ? "evicted" : "deleted";
}
