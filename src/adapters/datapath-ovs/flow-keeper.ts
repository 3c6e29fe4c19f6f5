import type { Cancel, Clock, Scheduler } from "#core/base";
import type { FlowCounters, FlowEntry, FlowRemoved } from "#core/datapath";
import { type FlowMatch, formatMasked } from "#core/flows";
import { type FlowRecord, OFPRR, writeDeleteByCookie } from "#protocols/openflow";
import { cookieHigh, cookieLow, cookieOf, ROUND_MASK, roundOf, wireCookie } from "./cookies.ts";
import { Entries, Entry, ServedEntries } from "./entries.ts";
import { FlowStatistics } from "./flow-statistics.ts";
import { FlowWriter } from "./flow-writer.ts";
import type { FoundFlows } from "./found-flows.ts";
import { isTooLong } from "./frame-length.ts";
import { type Log, RareLog } from "./log.ts";
import { TABLE } from "./program.ts";
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
      clock,
      scheduler,
      frameLimit: () => this.frameLimit,
      tooLong: (entry) => this.notTaken(entry, "its actions do not fit a message"),
    });
  }

  get size(): number {
    return this.entries.size;
  }

  /** @throws MidotraceError INTERNAL for a cookie in use and for a mask with userspace-only fields. */
  install(entry: FlowEntry, tunnelPort: number): void {
    const { config, clock, link, lanes } = this.parts;
    const own = new Entry(entry, tunnelPort, config.datapathType !== "system");
    if (!this.entries.add(own, lanes)) this.report({ cookie: own.cookie, reason: "deleted", packets: 0, bytes: 0 });
    else if (own.served) this.served.add(own, clock.monotonicMs());
    else if (link.attached) this.writer.change(own);
  }

  remove(cookie: number): void {
    const entry = this.entries.get(cookie);
    if (entry === null) return;
    if (this.parts.link.attached && entry.inSwitch) {
      this.entries.leave(entry);
      entry.writtenMs = Math.trunc(this.parts.clock.monotonicMs());
      this.writer.change(entry);
      return;
    }
    this.served.delete(entry);
    // The switch does not have it; or is away, and is told when it is back.
    this.entries.end(cookie);
    this.statistics.entryEnded(entry.packets);
    this.report({ cookie, reason: "deleted", ...entry.counters() });
  }

  counters(cookie: number): FlowCounters | null {
    const entry = this.entries.get(cookie);
    if (entry === null) return null;
    this.statistics.wantEntry(cookie);
    return entry.counters();
  }

  /** About once a second. */
  tick(): void {
    this.checkFrameLimit();
    const now = this.parts.clock.monotonicMs();
    for (const [entry, reason] of this.served.due(now)) this.ended(entry.cookie, reason);
    for (const entry of this.entries.leavers()) {
      if (now - entry.writtenMs < LEAVE_MS) break;
      this.ended(entry.cookie, "deleted");
    }
  }

  /** Entries with tunnel outputs carry the limit with them. */
  checkFrameLimit(): void {
    const limit = this.parts.config.tunnelFrameLimit;
    if (limit === this.frameLimit) return;
    this.frameLimit = limit;
    if (!this.parts.link.attached) return;
    for (const entry of this.entries) {
      if (!entry.viaTunnel || entry.state !== "written") continue;
      entry.state = "waiting";
      this.writer.change(entry);
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
    for (const entry of this.entries) {
      if (entry.served) continue;
      // Entries with tunnel outputs carry the limit of their time. What was about to be written is so still.
      if (present.has(entry.cookie) && !entry.viaTunnel && entry.state === "written") continue;
      if (!present.has(entry.cookie)) entry.restart();
      entry.state = "waiting";
      this.writer.change(entry);
      replayed++;
    }
    for (const cookie of present) {
      if (this.entries.get(cookie) !== null) continue;
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
        if (this.entries.get(cookieOf(cookieHigh, cookieLow)) !== null) return;
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
    for (const entry of this.entries.leavers()) this.ended(entry.cookie, "deleted");
  }

  /** The entry that serves such a packet; null: the agent has to. */
  covering(match: FlowMatch, lengthBytes: number): Entry | null {
    const entry = this.entries.covering(match);
    return entry !== null && isTooLong(entry, lengthBytes, this.frameLimit) ? null : entry;
  }

  /**
   * A packet of the entry came up and is served from here: the entry is on its way into the switch, is being replayed, or
   * is missing there.
   */
  serve(entry: Entry, lengthBytes: number): void {
    this.answered++;
    entry.morePackets++;
    entry.moreBytes += lengthBytes;
    const now = this.parts.clock.monotonicMs();
    if (entry.served) this.served.used(entry, now);
    if (entry.state !== "written" || !this.parts.link.attached || now - entry.writtenMs < HEAL_MS) return;
    const match = formatMasked(entry.match, entry.mask);
    this.rarely.say("warn", "an entry is written again", "its packets come up", { match });
    entry.healed = true;
    entry.state = "waiting";
    this.writer.change(entry);
  }

  flowRemoved(record: FlowRecord): void {
    const round = roundOf(record.cookieHigh);
    const cookie = cookieOf(record.cookieHigh, record.cookieLow);
    if (round !== this.parts.link.run?.round) return;
    const entry = this.entries.get(cookie);
    if (entry?.state === "waiting") {
      // It was to be written again at this moment, so it stays.
      entry.restart();
      return;
    }
    this.ended(cookie, reasonOf(record.reason), record);
  }

  /** Reports the end of an entry, once. */
  private ended(cookie: number, reason: FlowRemoved["reason"], record?: FlowRecord): void {
    const leaving = this.entries.get(cookie) === null;
    const entry = this.entries.end(cookie);
    if (entry === null) return;
    if (record !== undefined) {
      entry.packets = record.packets;
      entry.bytes = record.bytes;
    }
    this.statistics.entryEnded(entry.packets);
    const main = this.parts.link.connection;
    const { run } = this.parts.link;
    if (entry.healed && main !== null && run !== null) {
      writeDeleteByCookie(main.output, main.session.nextXid(), cookieHigh(run.round, cookie), cookieLow(cookie));
      main.send();
    }
    const removed: FlowRemoved = { cookie, reason: leaving ? "deleted" : reason, ...entry.counters() };
    this.parts.removed(removed);
  }

  refused(text: string, cookie: { readonly high: number; readonly low: number } | null): void {
    const round = cookie === null ? -1 : roundOf(cookie.high);
    if (cookie === null || round !== this.parts.link.run?.round) {
      this.rarely.say("warn", "the switch refused a message", text);
      return;
    }
    const entry = this.entries.get(cookieOf(cookie.high, cookie.low));
    if (entry === null) this.rarely.say("warn", "the switch refused a change of an entry", text);
    else this.notTaken(entry, text);
  }

  private notTaken(entry: Entry, because: string): void {
    const match = formatMasked(entry.match, entry.mask);
    this.rarely.say("error", "the switch does not take an entry", because, { match });
    this.entries.end(entry.cookie);
    this.report({ cookie: entry.cookie, reason: "deleted", ...entry.counters() });
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
