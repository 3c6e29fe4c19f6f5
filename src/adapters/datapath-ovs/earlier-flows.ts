import type { Cancel, Scheduler } from "#core/base";
import { type Cookie, writeDeleteByCookie } from "#protocols/openflow";
import type { Connection } from "./connection.ts";

/** Removed together at most: fewer than the packets that the switch keeps for the agent, so that the first ones all come up. */
const BATCH = 24;
const PAUSE_MS = 5;
/** A busy agent is waited for so long, ms: what it waits for itself may never come. */
const PATIENCE_MS = 500;

/**
 * Entries of earlier runs, and of anybody else: they go on forwarding until they are asked to end. Then they end a few
 * at a time, each batch when the one before is done, so that their packets come up as the agent can answer them: first
 * one, for a new agent has everything still to read that packets need, then twice as many as before.
 */
export class EarlierFlows {
  private readonly scheduler: Scheduler;
  private readonly finished: (ended: number) => void;
  private cookies: Cookie[] = [];
  private connection: Connection | null = null;
  private timer: Cancel | null = null;
  private wanted = false;
  private busy: () => boolean = () => false;
  private next = 0;
  private size = 1;

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
    this.size = 1;
    this.connection = connection;
    if (this.wanted) this.batch();
  }

  /** @param busy whether packets wait for their answer: meanwhile no more entries end. */
  retire(busy: () => boolean): void {
    if (this.wanted) return;
    this.wanted = true;
    this.busy = busy;
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
    const end = Math.min(this.cookies.length, this.next + this.size);
    this.size = Math.min(BATCH, this.size * 2);
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
      this.pause(0);
    });
    connection.send();
  }

  private pause(waitedMs: number): void {
    this.timer = this.scheduler.after(PAUSE_MS, () => {
      this.timer = null;
      if (waitedMs < PATIENCE_MS && this.busy()) this.pause(waitedMs + PAUSE_MS);
      else this.batch();
    });
  }
}
