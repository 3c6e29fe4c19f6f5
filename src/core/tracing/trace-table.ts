import type { FlowTraceId, TraceRequestId } from "#core/base";
import type { TraceState } from "./state-codec.ts";
import { type TraceKey, traceKeyText } from "./trace-key.ts";

/** How long state waits for its packet, and a packet for its state. */
export const TRACE_STATE_TTL_MS = 5_000;

/** A traced packet as it came out of the tunnel. */
export interface TraceArrival {
  /** Tunnel address of the sending host. */
  readonly fromIp: string;
  /** Without the trace bit. */
  readonly tunnelKey: number;
  readonly key: TraceKey;
  readonly token: string;
}

export interface TraceMatch {
  readonly flowTraceId: FlowTraceId;
  readonly requestIds: readonly TraceRequestId[];
  /** The underlay delivered this copy before: same host, tunnel key and bytes. */
  readonly duplicate: boolean;
}

/** A held arrival whose wait is over. `match` null: no state came, it is an orphan. */
export interface Released<T> {
  readonly arrival: TraceArrival;
  readonly payload: T;
  readonly match: TraceMatch | null;
}

export interface Joined<T> extends Released<T> {
  readonly match: TraceMatch;
}

export interface TraceTableLimits {
  readonly maxEntries: number;
  readonly maxHeld: number;
}

export const TRACE_TABLE_LIMITS: TraceTableLimits = { maxEntries: 8_192, maxHeld: 1_024 };

interface Entry {
  readonly place: string;
  readonly flowTraceId: FlowTraceId;
  readonly requestIds: TraceRequestId[];
  /** Tunnel key → its packet has come. */
  readonly consumed: Map<number, boolean>;
  readonly untilMs: number;
}

interface Held<T> {
  readonly place: string;
  readonly arrival: TraceArrival;
  readonly payload: T;
  readonly untilMs: number;
}

/**
 * The egress host's memory of trace state. An arrival belongs to an entry of the same sender, token and trace key that
 * names its tunnel key; byte-identical packets of different flow traces are told apart by order of their states. State
 * before packet: `put`, then `match`. Packet before state: `match` gives null, `hold`, and `put` joins it. Every held
 * arrival comes back exactly once, from `put`, `hold` or `expire`. Times are monotonic milliseconds of one clock.
 */
export class TraceTable<T> {
  /** Entries that were thrown out to make room before they were 5 s old. */
  evicted = 0;
  /** Held arrivals that were given up to make room. */
  overflowed = 0;

  private readonly limits: TraceTableLimits;
  /** Both in order of arrival: the oldest is first. */
  private readonly entries = new Set<Entry>();
  private readonly waiting = new Set<Held<T>>();
  private readonly entriesAt = new Map<string, Entry[]>();
  private readonly waitingAt = new Map<string, Held<T>[]>();

  constructor(limits: Partial<TraceTableLimits> = {}) {
    this.limits = { ...TRACE_TABLE_LIMITS, ...limits };
  }

  get size(): number {
    return this.entries.size;
  }

  get heldCount(): number {
    return this.waiting.size;
  }

  /** Takes a state message; a repeated one changes nothing. Returns the held arrivals that it explains. */
  put(state: TraceState, fromIp: string, nowMs: number): Joined<T>[] {
    this.forgetOld(nowMs);
    const place = placeOf(fromIp, state.token, state.key);
    const entry = this.entryFor(state, place, nowMs);
    const held = this.waitingAt.get(place);
    if (held === undefined) return [];
    const joined: Joined<T>[] = [];
    for (const h of held.slice()) {
      if (entry.consumed.get(h.arrival.tunnelKey) !== false) continue;
      entry.consumed.set(h.arrival.tunnelKey, true);
      this.release(h);
      joined.push({ arrival: h.arrival, payload: h.payload, match: matchOf(entry, false) });
    }
    return joined;
  }

  /** The flow trace of an arrival; null when its state has not come (then `hold` it). */
  match(arrival: TraceArrival, nowMs: number): TraceMatch | null {
    this.forgetOld(nowMs);
    return this.take(placeOf(arrival.fromIp, arrival.token, arrival.key), arrival.tunnelKey);
  }

  /** Keeps an arrival that `match` could not place. Returns those that had to be given up for it (oldest first). */
  hold(arrival: TraceArrival, payload: T, nowMs: number): Released<T>[] {
    const place = placeOf(arrival.fromIp, arrival.token, arrival.key);
    const held: Held<T> = { place, arrival, payload, untilMs: nowMs + TRACE_STATE_TTL_MS };
    this.waiting.add(held);
    append(this.waitingAt, place, held);
    const out: Released<T>[] = [];
    for (const oldest of this.waiting) {
      if (this.waiting.size <= this.limits.maxHeld) break;
      this.overflowed++;
      out.push(this.giveUp(oldest));
    }
    return out;
  }

  /**
   * Ends the waits of 5 s. `match` null: an orphan. Not null: the arrival waited in case a second state of byte-identical
   * packets would come; none did, so it is a duplicate of the packet that took the first.
   */
  expire(nowMs: number): Released<T>[] {
    const out: Released<T>[] = [];
    for (const held of this.waiting) {
      if (held.untilMs > nowMs) break;
      out.push(this.giveUp(held));
    }
    this.forgetOld(nowMs);
    return out;
  }

  /** When `expire` has something to do next; null when nothing waits. */
  nextExpiryMs(): number | null {
    for (const held of this.waiting) return held.untilMs;
    return null;
  }

  private entryFor(state: TraceState, place: string, nowMs: number): Entry {
    let entry = this.entriesAt.get(place)?.find((e) => e.flowTraceId === state.flowTraceId);
    if (entry === undefined) {
      entry = {
        place,
        flowTraceId: state.flowTraceId,
        requestIds: [],
        consumed: new Map(),
        untilMs: nowMs + TRACE_STATE_TTL_MS,
      };
      this.entries.add(entry);
      append(this.entriesAt, place, entry);
      for (const oldest of this.entries) {
        if (this.entries.size <= this.limits.maxEntries) break;
        this.evicted++;
        this.forget(oldest);
      }
    }
    for (const id of state.requestIds) if (!entry.requestIds.includes(id)) entry.requestIds.push(id);
    for (const key of state.tunnelKeys) if (!entry.consumed.has(key)) entry.consumed.set(key, false);
    return entry;
  }

  /** Of the first entry whose packet has not come; when all have, a duplicate of the last one. */
  private take(place: string, tunnelKey: number): TraceMatch | null {
    let last: Entry | null = null;
    for (const entry of this.entriesAt.get(place) ?? []) {
      const consumed = entry.consumed.get(tunnelKey);
      if (consumed === true) last = entry;
      if (consumed !== false) continue;
      entry.consumed.set(tunnelKey, true);
      return matchOf(entry, false);
    }
    return last === null ? null : matchOf(last, true);
  }

  private giveUp(held: Held<T>): Released<T> {
    this.release(held);
    const match = this.take(held.place, held.arrival.tunnelKey);
    return { arrival: held.arrival, payload: held.payload, match };
  }

  private release(held: Held<T>): void {
    this.waiting.delete(held);
    drop(this.waitingAt, held.place, held);
  }

  private forgetOld(nowMs: number): void {
    for (const entry of this.entries) {
      if (entry.untilMs > nowMs) return;
      this.forget(entry);
    }
  }

  private forget(entry: Entry): void {
    this.entries.delete(entry);
    drop(this.entriesAt, entry.place, entry);
  }
}

const placeOf = (fromIp: string, token: string, key: TraceKey): string => `${token} ${fromIp} ${traceKeyText(key)}`;

const matchOf = (entry: Entry, duplicate: boolean): TraceMatch => ({
  flowTraceId: entry.flowTraceId,
  requestIds: [...entry.requestIds],
  duplicate,
});

function append<V>(map: Map<string, V[]>, place: string, value: V): void {
  const list = map.get(place);
  if (list === undefined) map.set(place, [value]);
  else list.push(value);
}

function drop<V>(map: Map<string, V[]>, place: string, value: V): void {
  const list = map.get(place);
  if (list === undefined) return;
  const at = list.indexOf(value);
  if (at >= 0) list.splice(at, 1);
  if (list.length === 0) map.delete(place);
}
