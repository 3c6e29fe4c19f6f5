import { type FlowCounters, FlowTable, NONE } from "#core/datapath";
import type { FlowMatch } from "#core/flows";
import type { Rule } from "./rules.ts";

/** The longest timeout that OpenFlow can say. */
const MAX_TIMEOUT_S = 0xffff;

/** A timeout on the wire: whole seconds, never shorter than asked for. */
export function timeoutSeconds(ms: number): number {
  return ms === 0 ? 0 : Math.min(MAX_TIMEOUT_S, Math.ceil(ms / 1000));
}

/** Words of the table that are ours. */
const LIFE = 0;
/** When it was last written; monotonic, whole ms, the lowest 32 bits. */
const WRITTEN_MS = 1;
/** Bits of LIFE; from LANE_SHIFT on, its lane. */
const WRITTEN = 1;
const IN_SWITCH = 2;
const HEALED = 4;
/** There are counters of it. */
const COUNTED = 8;
const LANE_SHIFT = 8;

/** What the switch counted for an entry, and what it never did. */
interface Counts {
  /** As the switch last told. */
  packets: number;
  bytes: number;
  /** Answered from here, or of a life that ended with the switch. */
  morePackets: number;
  moreBytes: number;
}

/** An entry that asked to leave the switch, until it is gone. */
export interface Leaver {
  readonly cookie: number;
  readonly lane: number;
  readonly healed: boolean;
  /** When its deletion was written. */
  writtenMs: number;
  readonly counts: Counts | null;
}

/**
 * The entries that are, or are to be, in the switch, by their numbers in a table, and those whose end was asked for but not
 * reported yet. Of most nothing is ever counted here, so their counters are apart.
 */
export class Entries {
  private readonly table = new FlowTable<Rule>();
  private readonly counts = new Map<number, Counts>();
  private readonly leaving = new Map<number, Leaver>();

  get size(): number {
    return this.table.size;
  }

  /** @returns its number, or NONE when one that compares the same is there. @throws MidotraceError INTERNAL, see `FlowTable.add`. */
  add(cookie: number, rule: Rule, match: FlowMatch, lanes: number): number {
    const n = this.table.add(cookie, rule, match);
    // Two entries that compare the same, one after the other, go through one connection: there the order is kept.
    if (n !== NONE && lanes > 1) this.table.setUserWord(n, LIFE, ((this.table.hashOf(n) >>> 8) % lanes) << LANE_SHIFT);
    return n;
  }

  /** The number of an entry that is not leaving, or NONE. */
  find(cookie: number): number {
    return this.table.find(cookie);
  }

  covering(match: FlowMatch): number {
    return this.table.lookup(match);
  }

  /** Numbers; the one that was just given may go meanwhile. */
  [Symbol.iterator](): Iterator<number> {
    return this.table[Symbol.iterator]();
  }

  cookieOf(n: number): number {
    return this.table.cookieOf(n);
  }

  ruleOf(n: number): Rule {
    return this.table.at(n);
  }

  readMatch(n: number, m: FlowMatch): void {
    this.table.readMatch(n, m);
  }

  laneOf(n: number): number {
    return this.table.userWord(n, LIFE) >>> LANE_SHIFT;
  }

  /** It has to be written (anew). */
  isWaiting(n: number): boolean {
    return !this.is(n, WRITTEN);
  }

  /** Written at least once since the switch last lost it. An entry that is written anew waits, and is there. */
  isInSwitch(n: number): boolean {
    return this.is(n, IN_SWITCH);
  }

  wait(n: number): void {
    this.set(n, WRITTEN, false);
  }

  /** Written again although the switch should have it: it may be there when its removal was reported already. */
  heal(n: number): void {
    this.set(n, HEALED, true);
    this.wait(n);
  }

  written(n: number, nowMs: number): void {
    this.set(n, WRITTEN | IN_SWITCH, true);
    this.table.setUserWord(n, WRITTEN_MS, nowMs);
  }

  /** Since it was last written, ms. */
  ageMs(n: number, nowMs: number): number {
    return (Math.trunc(nowMs) - this.table.userWord(n, WRITTEN_MS)) >>> 0;
  }

  /** The switch lost it: it begins a new life at zero there. */
  restart(n: number): void {
    this.set(n, WRITTEN | IN_SWITCH | HEALED, false);
    const counts = this.countsOf(n);
    if (counts === null) return;
    counts.morePackets += counts.packets;
    counts.moreBytes += counts.bytes;
    counts.packets = 0;
    counts.bytes = 0;
  }

  /** What the switch tells of it. */
  told(n: number, packets: number, bytes: number): void {
    const counts = this.counting(n);
    counts.packets = packets;
    counts.bytes = bytes;
  }

  /** One of its packets was answered from here. */
  answered(n: number, lengthBytes: number): void {
    const counts = this.counting(n);
    counts.morePackets++;
    counts.moreBytes += lengthBytes;
  }

  counters(n: number): FlowCounters {
    return sum(this.countsOf(n));
  }

  /** It is to leave the switch; packets are not covered by it any more. */
  leave(n: number, nowMs: number): void {
    const cookie = this.table.cookieOf(n);
    const [lane, healed, counts] = [this.laneOf(n), this.is(n, HEALED), this.countsOf(n)];
    this.remove(n, cookie);
    this.leaving.set(cookie, { cookie, lane, healed, writtenMs: nowMs, counts });
  }

  leaver(cookie: number): Leaver | null {
    return this.leaving.get(cookie) ?? null;
  }

  /** Entries that asked to leave, oldest first. */
  leavers(): IterableIterator<Leaver> {
    return this.leaving.values();
  }

  /** It is gone, and nothing happened to it but that it was written. @returns false, and changes nothing, when there is more to know. */
  endPlain(n: number, cookie: number): boolean {
    if (this.is(n, COUNTED | HEALED)) return false;
    this.remove(n, cookie);
    return true;
  }

  /** It is gone. @returns how it was; null when its end is known already. */
  end(cookie: number): Ended | null {
    const n = this.table.find(cookie);
    if (n !== NONE) {
      const ended = { counts: this.countsOf(n), healed: this.is(n, HEALED), leaving: false };
      this.remove(n, cookie);
      return ended;
    }
    const leaver = this.leaving.get(cookie);
    if (leaver === undefined) return null;
    this.leaving.delete(cookie);
    return { counts: leaver.counts, healed: leaver.healed, leaving: true };
  }

  private remove(n: number, cookie: number): void {
    if (this.is(n, COUNTED)) this.counts.delete(cookie);
    this.table.remove(n);
  }

  /** Any of the bits. */
  private is(n: number, bits: number): boolean {
    return (this.table.userWord(n, LIFE) & bits) !== 0;
  }

  private set(n: number, bits: number, on: boolean): void {
    const life = this.table.userWord(n, LIFE);
    this.table.setUserWord(n, LIFE, on ? life | bits : life & ~bits);
  }

  private countsOf(n: number): Counts | null {
    return this.is(n, COUNTED) ? (this.counts.get(this.table.cookieOf(n)) ?? null) : null;
  }

  private counting(n: number): Counts {
    let counts = this.countsOf(n);
    if (counts === null) {
      counts = { packets: 0, bytes: 0, morePackets: 0, moreBytes: 0 };
      this.counts.set(this.table.cookieOf(n), counts);
      this.set(n, COUNTED, true);
    }
    return counts;
  }
}

/** How an entry was when it ended. */
export interface Ended {
  readonly counts: Counts | null;
  readonly healed: boolean;
  /** It had been asked to. */
  readonly leaving: boolean;
}

export const sum = (counts: Counts | null): FlowCounters =>
  counts === null
    ? { packets: 0, bytes: 0 }
    : { packets: counts.packets + counts.morePackets, bytes: counts.bytes + counts.moreBytes };

/** Timeouts of the entries that the switch does not have. */
export class ServedEntries {
  private readonly all = new Map<number, { readonly rule: Rule; readonly installedMs: number; usedMs: number }>();

  add(cookie: number, rule: Rule, nowMs: number): void {
    this.all.set(cookie, { rule, installedMs: nowMs, usedMs: nowMs });
  }

  used(cookie: number, nowMs: number): void {
    const times = this.all.get(cookie);
    if (times !== undefined) times.usedMs = nowMs;
  }

  delete(cookie: number): void {
    this.all.delete(cookie);
  }

  /** Those whose time is over, and why; they are forgotten here. */
  due(nowMs: number): [cookie: number, reason: "idle" | "hard"][] {
    const due: [number, "idle" | "hard"][] = [];
    for (const [cookie, { rule, installedMs, usedMs }] of this.all) {
      const { hardTimeoutMs, idleTimeoutMs } = rule;
      if (hardTimeoutMs > 0 && nowMs - installedMs >= hardTimeoutMs) due.push([cookie, "hard"]);
      else if (idleTimeoutMs > 0 && nowMs - usedMs >= idleTimeoutMs) due.push([cookie, "idle"]);
    }
    for (const [cookie] of due) this.all.delete(cookie);
    return due;
  }
}
