import type { Nsdb } from "#core/nsdb";
import type { Watcher } from "./store-life.ts";

/**
 * Whether an administrator has set the system to READONLY. Every change of the network asks, so the store is asked once, and
 * again when it has told of a change: what an answer of this server follows is known by then, and other servers' as soon as
 * the store would say so if asked.
 */
export class ReadOnly implements Watcher {
  private readonly nsdb: Nsdb;
  private answer: Promise<boolean> | null = null;
  /** Changes are told: an answer holds until then. */
  private told = false;

  constructor(nsdb: Nsdb) {
    this.nsdb = nsdb;
    nsdb.store.onSession((state) => {
      this.told &&= state === "connected";
      this.answer = null;
    });
  }

  /** @throws MidotraceError STORE_UNAVAILABLE */
  isSet(): Promise<boolean> {
    if (this.answer !== null) return this.answer;
    const answer = this.ask();
    if (!this.told) return answer;
    this.answer = answer;
    answer.catch(() => {
      if (this.answer === answer) this.answer = null;
    });
    return answer;
  }

  /** The watch is closed: from now on nobody tells. */
  stop(): void {
    this.told = false;
    this.answer = null;
  }

  /** After the watch is set. */
  begin(): Promise<void> {
    this.told = true;
    return Promise.resolve();
  }

  events(): void {
    this.answer = null;
  }

  resync(): void {
    this.answer = null;
    this.told = true;
  }

  private async ask(): Promise<boolean> {
    return (await this.nsdb.systemState.get()).availability === "READONLY";
  }
}
