import { MidotraceError, type Scheduler } from "#core/base";
import { NsdbUnavailable } from "#core/nsdb";

/** After this what the store did not answer is asked again, ms. */
const RETRY_MS = 1_000;

export interface RefresherParts {
  readonly scheduler: Scheduler;
  /** Reads again what the name says. */
  readonly refresh: (what: string) => Promise<void>;
  readonly problem: (message: string, error: unknown) => void;
}

/** Readings that are due, by name: several causes make one reading, one after the other; one that fails is made again later. */
export class Refresher {
  private readonly o: RefresherParts;
  private readonly due = new Set<string>();
  private working: Promise<void> | null = null;
  private stopped = false;

  constructor(parts: RefresherParts) {
    this.o = parts;
  }

  ask(what: string): void {
    if (this.stopped) return;
    this.due.add(what);
    this.working ??= this.work();
  }

  /** Resolves when nothing is due; what failed and waits for its next attempt does not count. */
  async settled(): Promise<void> {
    while (this.working !== null) await this.working;
  }

  /** Does the work of a start, again and again while the store is away; ends without it when stopped. */
  async insist(what: string, work: () => Promise<void>): Promise<void> {
    while (!this.stopped) {
      try {
        return await work();
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        this.o.problem(`waiting for ${what}`, error);
        await new Promise<void>((resolve) => this.o.scheduler.after(RETRY_MS, resolve));
      }
    }
  }

  stop(): void {
    this.stopped = true;
    this.due.clear();
  }

  private async work(): Promise<void> {
    await Promise.resolve();
    while (this.due.size > 0) {
      const batch = [...this.due];
      this.due.clear();
      for (const what of batch) {
        try {
          await this.o.refresh(what);
        } catch (error) {
          if (this.stopped) break;
          this.o.problem(`${what}: the store did not answer; asking again`, error);
          this.o.scheduler.after(RETRY_MS, () => this.ask(what));
        }
      }
    }
    // In the same turn as the last look at what is due: what is asked for a moment later begins anew.
    this.working = null;
  }
}

export function isUnavailable(error: unknown): boolean {
  return error instanceof NsdbUnavailable || (error instanceof MidotraceError && error.code === "STORE_UNAVAILABLE");
}
