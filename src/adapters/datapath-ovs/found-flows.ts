import type { Cookie, FlowRecord } from "#protocols/openflow";
import { cookieOf, nextRound, PROGRAM_ROUND, roundOf } from "./cookies.ts";
import { FIRST_PRIORITY, LAST_PRIORITY, TABLE } from "./program.ts";

/** The entries that a switch had when it was asked. */
export class FoundFlows {
  private readonly byRound = new Map<number, Set<number>>();
  private highest = 0;

  note(record: FlowRecord): void {
    const round = roundOf(record.cookieHigh);
    if (round === PROGRAM_ROUND) return;
    if (record.table === TABLE.ENTRIES) this.highest = Math.max(this.highest, record.priority);
    const cookie = cookieOf(record.cookieHigh, record.cookieLow);
    const cookies = this.byRound.get(round);
    if (cookies === undefined) this.byRound.set(round, new Set([cookie]));
    else cookies.add(cookie);
  }

  /** A round and a priority for a new run: its entries are told from those found, and win over them. */
  newRun(): { readonly round: number; readonly priority: number } {
    const above = Math.max(FIRST_PRIORITY, this.highest + 1);
    return {
      round: nextRound(new Set(this.byRound.keys())),
      priority: above > LAST_PRIORITY ? FIRST_PRIORITY : above,
    };
  }

  of(round: number): ReadonlySet<number> {
    return this.byRound.get(round) ?? new Set();
  }

  /** Each cookie of the other rounds once, oldest rounds first. */
  notOf(round: number, wire: (round: number, cookie: number) => Cookie): Cookie[] {
    const cookies: Cookie[] = [];
    for (const [r, found] of [...this.byRound].sort((a, b) => a[0] - b[0]))
      if (r !== round) for (const cookie of found) cookies.push(wire(r, cookie));
    return cookies;
  }
}
