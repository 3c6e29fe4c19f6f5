import type { Cancel, Clock, Random, Scheduler } from "#core/base";
import {
  type Call,
  type Credentials,
  type Effect,
  type Glance,
  type ServerAddress,
  type SessionNews,
  type TransportEffect,
  type ZkRequest,
  ZkSession,
} from "#protocols/zookeeper";
import type { HostPort, TlsFiles } from "./url.ts";
import { resolveHosts, Wire } from "./wire.ts";

export interface ConnectionOptions {
  readonly hosts: readonly HostPort[];
  readonly tls: TlsFiles | null;
  readonly credentials: readonly Credentials[];
  /** ms */
  readonly sessionTimeoutMs: number;
  readonly operationTimeoutMs: number;
  readonly watchedPaths: () => Iterable<string>;
  readonly glance: Glance;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  /** Everything but `deliver`, which is done here. */
  readonly news: (news: Exclude<SessionNews, { kind: "deliver" }>) => void;
  readonly unresolved: (host: string, error: unknown) => void;
}

const isTransport = (effect: Effect): effect is TransportEffect =>
  effect.kind === "send" || effect.kind === "connect" || effect.kind === "drop" || effect.kind === "resolve";

/** Gives a session machine its sockets, names, timer and listeners. Used once: from `start` to `stop`. */
export class Connection {
  private readonly o: ConnectionOptions;
  private readonly session: ZkSession;
  private readonly addresses = new Map<string, readonly ServerAddress[]>();
  private wire: Wire | null = null;
  private timer: Cancel | null = null;
  private timerMs: number | null = null;
  private news: SessionNews[] = [];
  private telling = false;
  private readonly end = Promise.withResolvers<void>();

  constructor(o: ConnectionOptions) {
    this.o = o;
    this.session = new ZkSession({
      timeoutMs: o.sessionTimeoutMs,
      operationTimeoutMs: o.operationTimeoutMs,
      credentials: o.credentials,
      watchedPaths: o.watchedPaths,
      glance: o.glance,
      random: () => o.random.next(),
    });
  }

  /** 16 hex digits, as the server's log writes it; null: none. */
  get sessionId(): string | null {
    const id = this.session.session?.id;
    return id === undefined ? null : BigInt.asUintN(64, id).toString(16).padStart(16, "0");
  }

  get grantedTimeoutMs(): number {
    return this.session.grantedTimeoutMs;
  }

  get seenZxid(): bigint {
    return this.session.seenZxid;
  }

  start(): void {
    this.take(this.session.start(this.now()));
  }

  /** Ends the session after all that was submitted; `leave`: only the connection, at once. */
  stop(leave: boolean): Promise<void> {
    this.take(this.session.close(this.now(), leave));
    return this.end.promise;
  }

  submit<R>(request: ZkRequest<R>, call: Call<R>): void {
    this.take(this.session.submit(request, call, this.now()));
  }

  /** Breaks the connection for a reason of the caller's; a new one is sought after a pause. */
  reset(reason: string): void {
    this.take(this.session.reset(reason, this.now()));
  }

  private now(): number {
    return this.o.clock.monotonicMs();
  }

  private take(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (isTransport(effect)) this.carry(effect);
      else this.news.push(effect);
    }
    this.arm();
    if (!this.telling && this.news.length > 0) this.tell();
  }

  private carry(effect: TransportEffect): void {
    switch (effect.kind) {
      case "send":
        this.wire?.send(effect.bytes);
        return;
      case "connect":
        this.connect(effect.address);
        return;
      case "drop":
        this.wire?.destroy();
        this.wire = null;
        return;
      case "resolve":
        void this.resolve();
        return;
    }
  }

  private connect(address: ServerAddress): void {
    try {
      const wire: Wire = new Wire(address, this.o.tls, {
        opened: () => this.take(this.session.opened()),
        received: (bytes) => this.take(this.session.received(bytes, this.now())),
        closed: (reason) => {
          this.wire = null;
          this.take(this.session.closed(reason, this.now()));
        },
      });
      this.wire = wire;
    } catch (error) {
      // A certificate file that cannot be read: as good as a server that cannot be reached, and may be put right.
      const reason = error instanceof Error ? error.message : String(error);
      this.o.scheduler.after(0, () => this.take(this.session.closed(reason, this.now())));
    }
  }

  private async resolve(): Promise<void> {
    const found = await resolveHosts(this.o.hosts, this.o.unresolved);
    // A name that does not resolve now keeps the addresses it had.
    for (const { host } of this.o.hosts) {
      const now = found.filter((a) => a.host === host);
      if (now.length > 0) this.addresses.set(host, now);
    }
    const known = this.o.hosts.flatMap(({ host, port }) =>
      (this.addresses.get(host) ?? []).filter((a) => a.port === port),
    );
    this.take(this.session.resolved(known, this.now()));
  }

  /** One that goes off too early does no harm: most deadlines move on before they come, and a timer costs more than a look. */
  private arm(): void {
    const deadlineMs = this.session.deadlineMs;
    if (deadlineMs !== null && this.timerMs !== null && deadlineMs >= this.timerMs) return;
    if (deadlineMs === null && this.timerMs === null) return;
    this.timer?.cancel();
    this.timerMs = deadlineMs;
    this.timer =
      deadlineMs === null
        ? null
        : this.o.scheduler.after(Math.max(1, deadlineMs - this.now()), () => {
            this.timerMs = null;
            this.take(this.session.tick(this.now()));
          });
  }

  /**
   * Tells what there is to tell, in order. What comes behind a breaking answer waits for the next turn of the event loop,
   * when everything that awaited the answer has run.
   */
  private tell(): void {
    this.telling = true;
    for (let item = this.news.shift(); item !== undefined; item = this.news.shift()) {
      if (item.kind !== "deliver") {
        this.o.news(item);
        if (item.kind === "ended") this.end.resolve();
        continue;
      }
      item.run();
      if (!item.breaks) continue;
      this.o.scheduler.after(0, () => this.tell());
      return;
    }
    this.telling = false;
  }
}
