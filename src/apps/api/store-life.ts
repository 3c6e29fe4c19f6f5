import { type Cancel, type Lifecycle, MidotraceError, type Scheduler } from "#core/base";
import {
  Collectors,
  type Nsdb,
  type NsdbSessionState,
  type NsdbStore,
  NsdbUnavailable,
  type NsdbWatch,
  type NsdbWatcher,
} from "#core/nsdb";
import type { ApiLog } from "./call.ts";

export interface Watcher extends NsdbWatcher {
  /** Reads what is there. After its watch is set. @throws NsdbUnavailable */
  begin(): Promise<void>;
}

export interface StoreLifeOptions {
  readonly store: NsdbStore;
  /** Starts the store, if nobody else did: called until it succeeds. */
  readonly startStore: (() => Promise<void>) | null;
  readonly nsdb: Nsdb;
  /** What is watched, from the first connection on; each is told to begin once its watch is set. */
  readonly watchers: readonly { readonly prefix: string; readonly watcher: Watcher }[];
  readonly scheduler: Scheduler;
  readonly log: ApiLog;
  /** What the store waits for, in its own words. */
  readonly problem: () => string | null;
  /** Where agents reach this server; null: it is no collector. Asked each time. */
  readonly collector: () => { readonly id: string; readonly url: string } | null;
}

/** Pause before the store is asked again, ms; doubled each time up to the longest. */
const RETRY_MS = 200;
const LONGEST_RETRY_MS = 5_000;
/** A start waits so long for the store to answer, ms. */
const PATIENCE_MS = 1_000;
const LATE = Symbol("late");
/** The end waits so long for the store to take this server out of the list of collectors, ms. */
const FAREWELL_MS = 1_000;

/**
 * What ties a server to its store: it is initialized, watched, and told of this collector, at the start and in each new
 * session; while the store is away, again and again until that is done.
 */
export class StoreLife implements Lifecycle {
  private readonly o: StoreLifeOptions;
  private readonly watches: NsdbWatch[] = [];
  private session: NsdbSessionState;
  private started: boolean;
  private listed = false;
  private listening = false;
  /** Everything is said and watched in the present session. */
  private settled = false;
  private working: Promise<void> | null = null;
  private timer: Cancel | null = null;
  private pauseMs = RETRY_MS;
  private running = false;
  private waited = false;
  /** Why the last attempt failed. */
  private reason = "";

  constructor(options: StoreLifeOptions) {
    this.o = options;
    this.started = options.startStore === null;
    this.session = this.started ? "connected" : "disconnected";
  }

  /**
   * Resolves after the first attempt, whatever came of it, or when that takes long; then it goes on behind.
   * @throws what no repetition would cure, if it shows at once.
   */
  async start(): Promise<void> {
    this.running = true;
    const first = this.attempt().then(
      () => null,
      (error: unknown) => ({ error }),
    );
    const failure = await this.within(PATIENCE_MS, first);
    if (failure === LATE) void first.then((late) => late !== null && this.defect(late.error));
    else if (failure !== null) throw failure.error;
  }

  async stop(): Promise<void> {
    if (!this.running) return;
    this.running = false;
    this.timer?.cancel();
    this.timer = null;
    for (const watch of this.watches.splice(0)) watch.close();
    // Of what happens until the next start nobody tells.
    this.listed = false;
    const collector = this.o.collector();
    if (collector === null || !this.settled || this.session !== "connected") return;
    // Agents shall not find a server that is gone; if the store does not answer, the end of the session says it too.
    await this.within(
      FAREWELL_MS,
      new Collectors(this.o.store).unregister(collector.id).catch(() => undefined),
    );
  }

  /** What is missing for requests to be served, in a sentence without a full stop; null: nothing. */
  waitingFor(): string | null {
    if (this.session === "connected" && this.settled) return null;
    const why = this.o.problem() ?? (this.reason === "" ? `session ${this.session}` : this.reason);
    return `the network state database (${why})`;
  }

  private async within<T>(limitMs: number, work: Promise<T>): Promise<T | typeof LATE> {
    let timer: Cancel | null = null;
    const late = new Promise<typeof LATE>((resolve) => {
      timer = this.o.scheduler.after(limitMs, () => resolve(LATE));
    });
    const result = await Promise.race([work, late]);
    (timer as Cancel | null)?.cancel();
    return result;
  }

  private attempt(): Promise<void> {
    this.working ??= this.work().finally(() => {
      this.working = null;
    });
    return this.working;
  }

  private async work(): Promise<void> {
    const { store, startStore, nsdb, watchers, collector, log } = this.o;
    this.timer?.cancel();
    this.timer = null;
    try {
      if (!this.listening) store.onSession((state) => this.heard(state));
      this.listening = true;
      if (!this.started) await startStore?.();
      this.started = true;
      const epoch = store.sessionEpoch;
      await nsdb.initialize();
      for (const { prefix, watcher } of watchers.slice(this.watches.length)) {
        const watch = await store.watch(prefix, watcher);
        if (!this.running) return watch.close();
        this.watches.push(watch);
      }
      if (!this.listed) for (const { watcher } of watchers) await watcher.begin();
      this.listed = true;
      const me = collector();
      if (me !== null) await new Collectors(store).register(me);
      if (!this.running) return;
      // The session may have been lost under this work; then `heard` has begun it anew, or will.
      if (epoch !== store.sessionEpoch) return this.again("the session began anew");
      this.settled = true;
      this.reason = "";
      this.pauseMs = RETRY_MS;
      if (this.waited) log.info("the network state database is there");
      this.waited = false;
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      const { message, cause } = error as Error;
      this.again(cause instanceof Error ? cause.message : message);
    }
  }

  private again(why: string): void {
    if (!this.running) return;
    this.waited = true;
    if (this.reason !== why) this.o.log.info("waiting for the network state database", { why });
    this.reason = why;
    const pause = this.pauseMs;
    this.pauseMs = Math.min(LONGEST_RETRY_MS, pause * 2);
    this.timer = this.o.scheduler.after(pause, () => this.resume());
  }

  /** As `attempt`, for whom nobody waits. */
  private resume(): void {
    if (!this.running) return;
    this.attempt().catch((error: unknown) => this.defect(error));
  }

  private defect(error: unknown): void {
    this.o.log.error("the network state database cannot be used", {
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    this.again(error instanceof Error ? error.message : String(error));
  }

  private heard(state: NsdbSessionState): void {
    const before = this.session;
    this.session = state;
    if (before !== state) this.o.log.info(`session with the network state database: ${state}`);
    if (state === "lost") this.settled = false;
    if (state !== "connected") this.reason = "";
    if (state !== "connected" || this.settled) return;
    // What was waited for is there.
    this.pauseMs = RETRY_MS;
    this.resume();
  }
}

function isUnavailable(error: unknown): boolean {
  return error instanceof NsdbUnavailable || (error instanceof MidotraceError && error.code === "STORE_UNAVAILABLE");
}
