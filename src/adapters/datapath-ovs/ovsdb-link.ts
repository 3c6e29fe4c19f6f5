import { createConnection, type Socket } from "node:net";
import type { Cancel, Clock, Scheduler } from "#core/base";
import { type Operation, OvsdbSession, type SessionEffect, type TransactionResult } from "#protocols/ovsdb";
import { type SwitchRows, TABLES } from "./switch-tables.ts";

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 2000;
const TICK_MS = 1000;
/** Longer than the other one needs to be connected again. */
const SECOND_PAUSE_MS = 3000;

export interface LinkListener {
  /** The database's contents are known: `rows` is set. */
  ready(): void;
  /** The contents, or who holds the lock. */
  changed(): void;
  /** A connection ended, or could not be made; `known`: the contents were known until now. */
  lost(reason: string, known: boolean): void;
}

/** The connection to the switch's database: made again for ever, with a growing pause. */
export class OvsdbLink {
  /** Whether the lock is held here; null: not known. */
  holdsLock: boolean | null = null;
  private readonly path: string;
  private readonly lock: string;
  private readonly clock: Clock;
  private readonly scheduler: Scheduler;
  private readonly listener: LinkListener;
  private socket: Socket | null = null;
  private session: OvsdbSession<typeof TABLES> | null = null;
  private readonly waiting = new Map<number, (result: TransactionResult | null) => void>();
  private retryMs = FIRST_RETRY_MS;
  private timer: Cancel | null = null;
  /** Another held the lock when it was asked for last. */
  private isSecond = false;
  private why: string | null = "not asked yet";
  private stopped = true;

  /** @param lock name of a lock of the server, asked for with each connection. */
  constructor(path: string, lock: string, clock: Clock, scheduler: Scheduler, listener: LinkListener) {
    this.path = path;
    this.lock = lock;
    this.clock = clock;
    this.scheduler = scheduler;
    this.listener = listener;
  }

  /** null while the database's contents are not known. */
  get rows(): SwitchRows | null {
    return this.session?.isReady === true ? this.session.rows : null;
  }

  /** Why there is no connection; null: there is. */
  get trouble(): string | null {
    return this.rows === null ? this.why : null;
  }

  start(): void {
    this.stopped = false;
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.drop("stopped");
  }

  /** The socket file has just been made: no need to wait out the pause. */
  retryNow(): void {
    if (this.stopped || this.socket !== null) return;
    this.timer?.cancel();
    this.retryMs = FIRST_RETRY_MS;
    this.connect();
  }

  /** null: the connection was lost meanwhile, or there is none; whether it was done is not known. */
  transact(operations: readonly Operation[]): Promise<TransactionResult | null> {
    const session = this.session;
    if (session?.isReady !== true) return Promise.resolve(null);
    return new Promise((resolve) => {
      const { ticket, effects } = session.transact(operations, this.clock.monotonicMs());
      this.waiting.set(ticket, resolve);
      this.perform(effects);
    });
  }

  private connect(): void {
    const socket = createConnection(this.path);
    this.socket = socket;
    this.why = "no answer yet";
    const mine = (handle: () => void) => () => {
      if (this.socket === socket) handle();
    };
    socket.on(
      "connect",
      mine(() => {
        this.session = new OvsdbSession({ database: "Open_vSwitch", tables: TABLES });
        this.perform(this.session.open(this.clock.monotonicMs()));
        this.tickLater();
      }),
    );
    socket.on("data", (chunk: Buffer) => {
      if (this.socket === socket && this.session !== null)
        this.perform(this.session.receive(chunk, this.clock.monotonicMs()));
    });
    socket.on("error", (error: NodeJS.ErrnoException) => mine(() => this.lost(inWords(error)))());
    socket.on(
      "close",
      mine(() => this.lost("the server closed the connection")),
    );
  }

  private perform(effects: readonly SessionEffect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case "send":
          this.socket?.write(effect.bytes);
          break;
        case "ready":
          this.retryMs = FIRST_RETRY_MS;
          this.askForLock();
          this.listener.ready();
          break;
        case "lock":
          this.holdsLock = effect.held;
          this.isSecond = !effect.held;
          this.listener.changed();
          break;
        case "changed":
          this.listener.changed();
          break;
        case "transacted":
          this.waiting.get(effect.ticket)?.(effect.result);
          this.waiting.delete(effect.ticket);
          break;
        case "ended":
          this.lost(effect.reason);
          return;
      }
    }
  }

  /** After a restart of the server, the one who held it is to have it again. */
  private askForLock(): void {
    const { session } = this;
    const ask = (): void => {
      if (session !== null && session === this.session) this.perform(session.lock(this.lock, this.clock.monotonicMs()));
    };
    if (this.isSecond) this.scheduler.after(SECOND_PAUSE_MS, ask);
    else ask();
  }

  private tickLater(): void {
    this.timer?.cancel();
    this.timer = this.scheduler.after(TICK_MS, () => {
      if (this.session === null) return;
      this.perform(this.session.tick(this.clock.monotonicMs()));
      if (this.session !== null) this.tickLater();
    });
  }

  private lost(reason: string): void {
    const known = this.rows !== null;
    this.drop(reason);
    this.listener.lost(reason, known);
    this.timer = this.scheduler.after(this.retryMs, () => this.connect());
    this.retryMs = Math.min(this.retryMs * 2, LONGEST_RETRY_MS);
  }

  private drop(reason: string): void {
    this.timer?.cancel();
    this.socket?.destroy();
    this.socket = null;
    this.session = null;
    this.holdsLock = null;
    this.why = reason;
    for (const resolve of this.waiting.values()) resolve(null);
    this.waiting.clear();
  }
}

function inWords(error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT") return "there is no such socket: is ovsdb-server running?";
  if (error.code === "ECONNREFUSED") return "connection refused";
  return error.code === "EACCES" ? "permission denied: root is needed" : error.message;
}
