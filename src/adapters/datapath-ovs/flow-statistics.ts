import type { Cancel, Clock, Scheduler } from "#core/base";
import { NONE } from "#core/datapath";
import type { FlowRecord } from "#protocols/openflow";
import { EXACT_COOKIE } from "#protocols/openflow";
import type { Connection } from "./connection.ts";
import { cookieOf, ROUND_MASK, wireCookie } from "./cookies.ts";
import type { Entries } from "./entries.ts";
import { MISS_COOKIE, TABLE } from "./program.ts";

/** The switch's own figures are up to a second old: asking more often tells nothing new. */
const POLL_MS = 500;
/** Nobody asked for so long: no more polls. */
const INTEREST_MS = 3_000;
/** More entries than this are asked for in one question about all of them. */
const SINGLE_QUESTIONS = 32;

/**
 * Counters of entries and of the switch, asked for only while somebody wants them: a question about all entries costs the
 * switch a walk over them.
 */
export class FlowStatistics {
  private readonly clock: Clock;
  private readonly scheduler: Scheduler;
  private readonly entries: Entries;
  private readonly wanted = new Map<number, number>();
  private totalsWantedMs = -Infinity;
  private connection: Connection | null = null;
  private round = 0;
  private timer: Cancel | null = null;
  private polledMs = -Infinity;
  /** Packets of entries that are in the switch, and of those that left it. */
  private inSwitch = 0;
  private ended = 0;
  private lostNow = 0;
  private lostBefore = 0;

  constructor(clock: Clock, scheduler: Scheduler, entries: Entries) {
    this.clock = clock;
    this.scheduler = scheduler;
    this.entries = entries;
  }

  /** Packets that missed and came up since the program was written, which set the switch's count of misses to 0. */
  arrivals = 0;

  /** Packets that entries served, as far as the switch has told. */
  get served(): number {
    return this.inSwitch + this.ended;
  }

  /** Packets that missed and never came up, at least: the switch counts its misses late. */
  get lost(): number {
    return this.lostBefore + this.lostNow;
  }

  /** The program was just written. */
  open(connection: Connection, round: number): void {
    this.connection = connection;
    this.round = round;
    this.arrivals = 0;
    this.wake();
  }

  close(): void {
    this.lostBefore += this.lostNow;
    this.lostNow = 0;
    this.connection = null;
    this.timer?.cancel();
    this.timer = null;
  }

  /** The switch has none of our entries any more: what they served stays counted. */
  restarted(): void {
    this.ended += this.inSwitch;
    this.inSwitch = 0;
  }

  entryEnded(packets: number): void {
    this.ended += packets;
    // Until the next sum they would count twice.
    this.inSwitch = Math.max(0, this.inSwitch - packets);
  }

  wantEntry(cookie: number): void {
    this.wanted.set(cookie, this.clock.monotonicMs());
    this.wake();
  }

  wantTotals(): void {
    this.totalsWantedMs = this.clock.monotonicMs();
    this.wake();
  }

  private wake(): void {
    if (this.timer !== null || this.connection === null) return;
    const now = this.clock.monotonicMs();
    if (this.wanted.size === 0 && now - this.totalsWantedMs > INTEREST_MS) return;
    this.timer = this.scheduler.after(Math.max(0, this.polledMs + POLL_MS - now), () => {
      this.timer = null;
      this.poll();
      this.wake();
    });
  }

  private poll(): void {
    const { connection } = this;
    if (connection === null) return;
    const now = this.clock.monotonicMs();
    this.polledMs = now;
    const { session } = connection;
    for (const [cookie, askedMs] of this.wanted)
      if (now - askedMs > INTEREST_MS || this.entries.find(cookie) === NONE) this.wanted.delete(cookie);
    const each = (record: FlowRecord): void => this.told(record);
    const done = (): void => {};
    if (this.wanted.size > SINGLE_QUESTIONS)
      session.flowStats(
        { table: TABLE.ENTRIES, cookie: wireCookie(this.round, 0), cookieMask: ROUND_MASK },
        each,
        done,
      );
    else
      for (const cookie of this.wanted.keys())
        session.flowStats(
          { table: TABLE.ENTRIES, cookie: wireCookie(this.round, cookie), cookieMask: EXACT_COOKIE },
          each,
          done,
        );
    if (now - this.totalsWantedMs <= INTEREST_MS) this.pollTotals(connection);
    connection.send();
  }

  private pollTotals({ session }: Connection): void {
    session.aggregate(
      { table: TABLE.ENTRIES, cookie: wireCookie(this.round, 0), cookieMask: ROUND_MASK },
      ({ packets }) => {
        this.inSwitch = packets;
      },
    );
    session.flowStats(
      { table: TABLE.ENTRIES, cookie: MISS_COOKIE, cookieMask: EXACT_COOKIE },
      (record) => {
        this.lostNow = Math.max(this.lostNow, record.packets - this.arrivals);
      },
      () => {},
    );
  }

  private told(record: FlowRecord): void {
    const n = this.entries.find(cookieOf(record.cookieHigh, record.cookieLow));
    if (n !== NONE) this.entries.told(n, record.packets, record.bytes);
  }
}
