import type { Clock, Scheduler } from "#core/base";
import { type FlowCounters, type FlowEntry, type FlowRemoved, FlowTable, NONE } from "#core/datapath";
import type { FlowAction, FlowMask, FlowMatch } from "#core/flows";
import { type Timed, TimedQueue } from "./timed-queue.ts";

/** An entry with its life: counters, timers, and its place between less and more recently used ones. */
export class InstalledFlow implements Timed {
  readonly cookie: number;
  readonly mask: FlowMask;
  readonly actions: readonly FlowAction[];
  readonly idleTimeoutMs: number;
  readonly hardTimeoutMs: number;
  packets = 0;
  bytes = 0;
  installedMs: number;
  usedMs: number;
  older: InstalledFlow | null = null;
  newer: InstalledFlow | null = null;
  dueMs = 0;
  ticket = 0;
  heapIndex = -1;

  constructor(entry: FlowEntry, nowMs: number) {
    this.cookie = entry.cookie;
    this.mask = entry.mask;
    this.actions = [...entry.actions];
    this.idleTimeoutMs = entry.idleTimeoutMs;
    this.hardTimeoutMs = entry.hardTimeoutMs;
    this.installedMs = nowMs;
    this.usedMs = nowMs;
  }

  idleDueMs(): number {
    return this.idleTimeoutMs === 0 ? Infinity : this.usedMs + this.idleTimeoutMs;
  }

  hardDueMs(): number {
    return this.hardTimeoutMs === 0 ? Infinity : this.installedMs + this.hardTimeoutMs;
  }
}

/**
 * The installed flows with everything that ends them: removal, timeouts, and eviction of the least recently used when
 * `limit` entries are there. Each end is told to `onRemoved` once, with the last counters.
 */
export class FlowStore {
  private readonly clock: Clock;
  private readonly limit: number;
  private readonly onRemoved: (removed: FlowRemoved) => void;
  private readonly table = new FlowTable<InstalledFlow>();
  private readonly timers: TimedQueue<InstalledFlow>;
  private oldest: InstalledFlow | null = null;
  private newest: InstalledFlow | null = null;

  constructor(clock: Clock, scheduler: Scheduler, limit: number, onRemoved: (removed: FlowRemoved) => void) {
    this.clock = clock;
    this.limit = limit;
    this.onRemoved = onRemoved;
    this.timers = new TimedQueue(clock, scheduler, (flow) => this.due(flow));
  }

  get size(): number {
    return this.table.size;
  }

  /** @throws MidotraceError INTERNAL for a cookie in use and for a mask with userspace-only fields. */
  install(entry: FlowEntry): void {
    const flow = new InstalledFlow(entry, this.clock.monotonicMs());
    const evict = this.size >= this.limit && !this.table.has(entry.match, flow.mask) ? this.oldest : null;
    if (this.table.add(flow.cookie, flow, entry.match) === NONE) {
      this.onRemoved({ cookie: entry.cookie, reason: "deleted", packets: 0, bytes: 0 });
      return;
    }
    if (evict !== null) this.end(evict, "evicted");
    this.append(flow);
    this.wait(flow);
  }

  remove(cookie: number): void {
    const flow = this.get(cookie);
    if (flow !== null) this.end(flow, "deleted");
  }

  /** Finds the flow of a packet and counts the packet. */
  hit(match: FlowMatch, lengthBytes: number): InstalledFlow | null {
    const n = this.table.lookup(match);
    if (n === NONE) return null;
    const flow = this.table.at(n);
    flow.packets++;
    flow.bytes += lengthBytes;
    flow.usedMs = this.clock.monotonicMs();
    if (flow !== this.newest) {
      this.unlink(flow);
      this.append(flow);
    }
    return flow;
  }

  counters(cookie: number): FlowCounters | null {
    const flow = this.get(cookie);
    return flow === null ? null : { packets: flow.packets, bytes: flow.bytes };
  }

  readMatch(cookie: number, match: FlowMatch): boolean {
    const n = this.table.find(cookie);
    if (n === NONE) return false;
    this.table.readMatch(n, match);
    return true;
  }

  private get(cookie: number): InstalledFlow | null {
    const n = this.table.find(cookie);
    return n === NONE ? null : this.table.at(n);
  }

  /** Forgets everything and reports nothing. */
  clear(): void {
    this.table.clear();
    this.timers.clear();
    this.oldest = null;
    this.newest = null;
  }

  /** A packet does not move the idle timer: when it fires, the time of the last packet says how long to wait on. */
  private due(flow: InstalledFlow): void {
    const now = this.clock.monotonicMs();
    if (flow.hardDueMs() <= now) this.end(flow, "hard");
    else if (flow.idleDueMs() <= now) this.end(flow, "idle");
    else this.wait(flow);
  }

  private wait(flow: InstalledFlow): void {
    const dueMs = Math.min(flow.idleDueMs(), flow.hardDueMs());
    if (dueMs !== Infinity) this.timers.schedule(flow, dueMs);
  }

  private end(flow: InstalledFlow, reason: FlowRemoved["reason"]): void {
    this.table.remove(this.table.find(flow.cookie));
    this.timers.cancel(flow);
    this.unlink(flow);
    this.onRemoved({ cookie: flow.cookie, reason, packets: flow.packets, bytes: flow.bytes });
  }

  private append(flow: InstalledFlow): void {
    flow.older = this.newest;
    if (this.newest === null) this.oldest = flow;
    else this.newest.newer = flow;
    this.newest = flow;
  }

  private unlink(flow: InstalledFlow): void {
    if (flow.older === null) this.oldest = flow.newer;
    else flow.older.newer = flow.newer;
    if (flow.newer === null) this.newest = flow.older;
    else flow.newer.older = flow.older;
    flow.older = null;
    flow.newer = null;
  }
}
