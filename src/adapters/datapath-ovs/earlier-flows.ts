import type { Cancel, Scheduler } from "#core/base";
import { type Cookie, writeDeleteByCookie } from "#protocols/openflow";
import type { Connection } from "./connection.ts";

/** Removed together: fewer than the packets that the switch keeps for the agent, so that the first ones all come up. */
const BATCH = 24;
const PAUSE_MS = 5;

/**
 * Entries of earlier runs, and of anybody else: they go on forwarding until they are asked to end. Then they end a few
 * at a time, each batch when the one before is done, so that their packets come up as the agent can answer them.
 */
export class EarlierFlows {
  private readonly scheduler: Scheduler;
  private readonly finished: (ended: number) => void;
  private cookies: Cookie[] = [];
  private connection: Connection | null = null;
  private timer: Cancel | null = null;
  private wanted = false;
  private next = 0;

  constructor(scheduler: Scheduler, finished: (ended: number) => void) {
    this.scheduler = scheduler;
    this.finished = finished;
  }

  get left(): number {
    return this.cookies.length - this.next;
  }

  /** What was found in the switch, each cookie once. */
  found(cookies: Cookie[], connection: Connection): void {
    this.suspend();
    this.cookies = cookies;
    this.next = 0;
    this.connection = connection;
    if (this.wanted) this.batch();
  }

  retire(): void {
    if (this.wanted) return;
    this.wanted = true;
    this.batch();
  }

  /** The switch is away; it will say what is left. */
  suspend(): void {
    this.timer?.cancel();
    this.timer = null;
    this.connection = null;
    this.cookies = [];
    this.next = 0;
  }

  private batch(): void {
    const { connection } = this;
    if (connection === null || this.left === 0) return;
    const end = Math.min(this.cookies.length, this.next + BATCH);
    for (; this.next < end; this.next++) {
      const { high, low } = this.cookies[this.next] as Cookie;
      writeDeleteByCookie(connection.output, connection.session.nextXid(), high, low);
    }
    connection.session.barrier(() => {
      if (this.connection !== connection) return;
      if (this.left === 0) {
        this.finished(this.cookies.length);
        return;
      }
      this.timer = this.scheduler.after(PAUSE_MS, () => {
        this.timer = null;
        this.batch();
      });
    });
    connection.send();
  }
}
