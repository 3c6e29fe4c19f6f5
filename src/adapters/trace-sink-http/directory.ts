import type { Cancel, Scheduler } from "#core/base";
import { type Collector, Collectors, COLLECTORS, type NsdbStore, type NsdbWatch } from "#core/nsdb";

/** After this what the store did not answer is asked again, ms. */
const RETRY_MS = 1_000;

/**
 * Follows which collectors there are. While the store is away they are those that were there last: nobody is forgotten
 * because the store cannot be asked.
 */
export class CollectorDirectory {
  private readonly store: NsdbStore;
  private readonly scheduler: Scheduler;
  private readonly found: (collectors: readonly Collector[]) => void;
  private watch: NsdbWatch | null = null;
  private timer: Cancel | null = null;
  private running = false;
  private stale = false;
  private reading = false;

  constructor(store: NsdbStore, scheduler: Scheduler, found: (collectors: readonly Collector[]) => void) {
    this.store = store;
    this.scheduler = scheduler;
    this.found = found;
  }

  start(): void {
    if (this.running) return;
    this.running = true;
    this.changed();
  }

  stop(): void {
    this.running = false;
    this.timer?.cancel();
    this.timer = null;
    this.watch?.close();
    this.watch = null;
  }

  private changed(): void {
    this.stale = true;
    if (!this.reading && this.running) void this.read();
  }

  /** Never rejects. */
  private async read(): Promise<void> {
    this.reading = true;
    this.timer?.cancel();
    this.timer = null;
    try {
      if (this.watch === null) {
        const listener = { events: () => this.changed(), resync: () => this.changed() };
        const watch = await this.store.watch(COLLECTORS, listener);
        if (this.running) this.watch = watch;
        else watch.close();
      }
      while (this.stale && this.running) {
        this.stale = false;
        const collectors = await new Collectors(this.store).list();
        if (this.running) this.found(collectors);
      }
    } catch {
      // The store is away; it tells when it is back, but a first watch must be asked for again.
      if (this.running) this.timer = this.scheduler.after(RETRY_MS, () => this.changed());
    } finally {
      this.reading = false;
    }
  }
}
