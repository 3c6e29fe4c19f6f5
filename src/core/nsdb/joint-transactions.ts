import { Fifo, MidotraceError } from "#core/base";
import type { Ctx } from "./objects.ts";
import type { NodeChange } from "./tx.ts";

type Work = (c: Ctx) => Promise<void>;

interface Job {
  readonly work: Work;
  readonly done: (changes: readonly NodeChange[]) => void;
  readonly failed: (error: unknown) => void;
}

/** Most that are done together. */
const MOST = 32;

/**
 * Changes that would wait for each other are made in one transaction: while one is under way, those that come are gathered for
 * the next. Whoever watches is told of what they have in common once, and not once for each. When one of them fails, all are
 * done one by one, so that each has its own outcome.
 */
export class JointTransactions {
  private readonly run: <T>(work: (c: Ctx) => Promise<T>) => Promise<T>;
  private readonly waiting = new Fifo<Job>();
  private busy = false;

  /** @param run does its work in a transaction, again and again until it is committed. */
  constructor(run: <T>(work: (c: Ctx) => Promise<T>) => Promise<T>) {
    this.run = run;
  }

  /**
   * @param work may be run again, also when it was run to its end.
   * @returns what it has changed. @throws what it throws, and what a transaction does.
   */
  do(work: Work): Promise<readonly NodeChange[]> {
    const { promise, resolve: done, reject: failed } = Promise.withResolvers<readonly NodeChange[]>();
    this.waiting.push({ work, done, failed });
    if (!this.busy) void this.doAll();
    return promise;
  }

  /** Never rejects. */
  private async doAll(): Promise<void> {
    this.busy = true;
    while (this.waiting.size > 0) {
      const jobs: Job[] = [];
      for (let job = this.waiting.shift(); job !== undefined; job = this.waiting.shift()) {
        jobs.push(job);
        if (jobs.length === MOST) break;
      }
      if (jobs.length > 1 && (await this.together(jobs))) continue;
      for (const job of jobs) await this.alone(job);
    }
    this.busy = false;
  }

  private async alone({ work, done, failed }: Job): Promise<void> {
    try {
      const changes = await this.run(async (c) => {
        await work(c);
        return c.tx.changes();
      });
      done(changes);
    } catch (error) {
      failed(error);
    }
  }

  /** @returns whether they have their outcomes; else nothing was done. */
  private async together(jobs: readonly Job[]): Promise<boolean> {
    let worked = false;
    try {
      const parts = await this.run(async (c) => {
        const parts: NodeChange[][] = [];
        worked = false;
        for (const { work } of jobs) {
          const before = c.tx.written();
          await work(c);
          parts.push(c.tx.changes(before));
        }
        worked = true;
        return parts;
      });
      for (const [i, { done }] of jobs.entries()) done(parts[i] ?? []);
    } catch (error) {
      const known = error instanceof MidotraceError ? error.code !== "STORE_UNAVAILABLE" : !worked;
      if (known) return false;
      // It may have been done.
      for (const { failed } of jobs) failed(error);
    }
    return true;
  }
}
