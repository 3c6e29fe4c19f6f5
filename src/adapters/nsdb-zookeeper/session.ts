import { type NsdbSessionState, NsdbTxError, NsdbUnavailable } from "#core/nsdb";
import {
  ACL_CREATOR,
  ACL_OPEN,
  type AclEntry,
  type Credentials,
  MAX_REQUEST_BYTES,
  type Notification,
  type SessionNews,
  type ZkRequest,
} from "#protocols/zookeeper";
import { Chroot, prepareRoot } from "./chroot.ts";
import { Connection } from "./connection.ts";
import { EXACT_ZXID } from "./nodes.ts";
import { DEFAULT_SESSION_TIMEOUT_MS, type ZookeeperOptions, type ZookeeperStatus } from "./options.ts";
import { describeHosts, type DigestAuth, type TlsFiles, type ZookeeperTarget } from "./url.ts";

export interface SessionUser {
  /** Paths of this store that are to be watched on each connection. */
  watchedPaths(): Iterable<string>;
  /** Which paths of the server are wanted of what is about to be notified; null: there is no hurry to hear of it. */
  glance(pending: readonly Notification[]): readonly string[] | null;
  notified(news: Notified): void;
  /** After a gap in what was notified. */
  resync(): void;
}

export type Notified = Extract<SessionNews, { readonly kind: "notifications" }>;

export interface Answer<R> {
  readonly err: number;
  /** Null when `err` is not ERR.ok. */
  readonly value: R | null;
}

export interface Callback<R> {
  readonly breaks?: boolean;
  answered(err: number, value: R | null): void;
  failed(error: NsdbUnavailable): void;
}

/** "preparing": there is a connection, and the store's root is being looked after. */
type Phase = "stopped" | "searching" | "preparing" | "connected";

/** How often the log repeats that no server answers, ms. */
const REPEAT_WAITING_MS = 30_000;

/** The life of a store's session, as its users are told of it; requests go through only while it is connected. */
export class StoreSession {
  readonly chroot: Chroot;
  /** Of nodes made by this store. */
  readonly acl: readonly AclEntry[];
  private readonly o: ZookeeperOptions;
  private readonly user: SessionUser;
  private readonly servers: string;
  private readonly target: ZookeeperTarget;
  private readonly tls: TlsFiles | null;
  private readonly auth: DigestAuth | null;
  private readonly timeoutMs: number;
  private readonly stateListeners: ((state: NsdbSessionState) => void)[] = [];
  private phase: Phase = "stopped";
  private connection: Connection | null = null;
  private starting: PromiseWithResolvers<void> | null = null;
  private stopping: Promise<void> | null = null;
  private sessions = 0;
  /** The session is another one than the last that users were told of. */
  private begun = false;
  /** Users were told `connected`, and not `lost` since. */
  private told = false;
  private reason = "it is not started";
  private connectedTo: string | null = null;
  private saidWaitingMs = Number.NEGATIVE_INFINITY;

  constructor(target: ZookeeperTarget, o: ZookeeperOptions, user: SessionUser) {
    this.o = o;
    this.user = user;
    this.target = target;
    this.servers = describeHosts(target.hosts);
    this.auth = o.auth ?? target.auth;
    this.tls = o.tls === undefined && target.tls === null ? null : { ...target.tls, ...o.tls };
    this.timeoutMs = o.sessionTimeoutMs ?? target.sessionTimeoutMs ?? DEFAULT_SESSION_TIMEOUT_MS;
    this.chroot = new Chroot(target.chroot);
    this.acl = this.auth === null ? ACL_OPEN : ACL_CREATOR;
  }

  get epoch(): number {
    return this.sessions;
  }

  get isConnected(): boolean {
    return this.phase === "connected";
  }

  status(): ZookeeperStatus {
    return {
      state: this.isConnected ? "connected" : this.phase === "stopped" ? "stopped" : "connecting",
      servers: this.servers,
      connectedTo: this.connectedTo,
      waitingFor: this.isConnected ? null : this.reason,
      sessionId: this.connection?.sessionId ?? null,
      sessionTimeoutMs: this.connection?.grantedTimeoutMs ?? this.timeoutMs,
    };
  }

  /** @throws NsdbUnavailable when stopped before it was connected. */
  async start(): Promise<void> {
    await this.stopping;
    if (this.phase === "stopped") this.begin();
    await this.starting?.promise;
  }

  async stop(): Promise<void> {
    if (this.connection !== null) {
      this.stopping ??= this.end(this.connection).finally(() => {
        this.stopping = null;
      });
    }
    await this.stopping;
  }

  onSession(listener: (state: NsdbSessionState) => void): void {
    this.stateListeners.push(listener);
  }

  /** @throws NsdbUnavailable when not connected. */
  requireConnected(): void {
    if (this.isConnected) return;
    throw new NsdbUnavailable(`not connected to ZooKeeper at ${this.servers}: ${this.reason}`);
  }

  /** @throws NsdbUnavailable; NsdbTxError TOO_LARGE for `path` when the request is longer than servers take. */
  async ask<R>(request: ZkRequest<R>, path: string): Promise<Answer<R>> {
    this.requireConnected();
    if (request.frame.length - 4 > MAX_REQUEST_BYTES) throw new NsdbTxError("TOO_LARGE", 0, path);
    return this.send(request);
  }

  /** To be called only while connected. */
  submit<R>(request: ZkRequest<R>, callback: Callback<R>): void {
    this.connection?.submit(request, {
      ...(callback.breaks === undefined ? {} : { breaks: callback.breaks }),
      answered: (err, value) => callback.answered(err, value),
      failed: (reason) => callback.failed(new NsdbUnavailable(`ZooKeeper: ${reason}`)),
    });
  }

  /** Runs a listener of the user; what it throws does not come back. */
  guard(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      (this.o.onListenerError ?? throwUncaught)(error);
    }
  }

  private send<R>(request: ZkRequest<R>): Promise<Answer<R>> {
    return new Promise((resolve, reject) => {
      this.submit(request, { answered: (err, value) => resolve({ err, value }), failed: reject });
    });
  }

  private begin(): void {
    this.phase = "searching";
    this.reason = "no server has answered yet";
    this.begun = false;
    this.told = false;
    this.starting = Promise.withResolvers();
    // Whoever waits hears of it; nobody has to.
    this.starting.promise.catch(() => {});
    const { clock, scheduler, random } = this.o;
    const connection = new Connection({
      clock,
      scheduler,
      random,
      hosts: this.target.hosts,
      tls: this.tls,
      credentials: this.auth === null ? [] : [digest(this.auth)],
      sessionTimeoutMs: this.timeoutMs,
      operationTimeoutMs: this.o.operationTimeoutMs ?? this.timeoutMs,
      watchedPaths: () => Array.from(this.user.watchedPaths(), (path) => this.chroot.outer(path)),
      glance: (pending) => (this.isConnected ? this.user.glance(pending) : []),
      news: (news) => {
        if (this.connection === connection && this.phase !== "stopped") this.hear(news, connection);
      },
      unresolved: (host, error) =>
        this.log("debug", "a ZooKeeper server's name cannot be resolved", { host, error: String(error) }),
    });
    this.connection = connection;
    connection.start();
  }

  private async end(connection: Connection): Promise<void> {
    this.phase = "stopped";
    this.reason = "it is stopped";
    this.connectedTo = null;
    await connection.stop(this.o.leaveSession ?? false);
    this.connection = null;
    this.starting?.reject(new NsdbUnavailable("the store was stopped before it was connected"));
    this.starting = null;
  }

  private hear(news: Exclude<SessionNews, { kind: "deliver" }>, connection: Connection): void {
    switch (news.kind) {
      case "ready":
        this.begun ||= news.newSession;
        this.phase = "preparing";
        this.connectedTo = `${news.address.host}:${news.address.port}`;
        void this.prepare(connection);
        return;
      case "disconnected":
        this.disconnected(news.reason);
        return;
      case "lost":
        this.log("warn", "the ZooKeeper session is lost; a new one is begun", { reason: news.reason });
        if (this.told) this.tell("lost");
        this.told = false;
        return;
      case "notifications":
        // Those of a connection that is not ready yet belong to the gap.
        if (this.isConnected) this.user.notified(news);
        return;
      case "waiting":
        this.waiting(news.reason, news.rounds);
        return;
      case "blocked":
        this.log("warn", "the event loop was blocked for more than a third of the session timeout", {
          blockedMs: Math.round(news.forMs),
          sessionTimeoutMs: connection.grantedTimeoutMs,
        });
        return;
      case "ended":
        return;
    }
  }

  private disconnected(reason: string): void {
    const was = this.phase;
    this.phase = "searching";
    this.reason = reason;
    this.connectedTo = null;
    if (was !== "connected") return;
    this.log("info", "disconnected from ZooKeeper", { reason });
    this.tell("disconnected");
  }

  private async prepare(connection: Connection): Promise<void> {
    let problem: string | null;
    try {
      problem = await prepareRoot(this.chroot, this.acl, (request) => this.send(request));
    } catch (error) {
      if (error instanceof NsdbUnavailable) return; // the connection broke; the next one is prepared anew
      throw error;
    }
    if (this.connection !== connection || this.phase !== "preparing") return;
    if (problem !== null) connection.reset(problem);
    else this.becomeConnected(connection);
  }

  private becomeConnected(connection: Connection): void {
    this.phase = "connected";
    if (this.begun) this.sessions++;
    this.begun = false;
    this.told = true;
    this.saidWaitingMs = Number.NEGATIVE_INFINITY;
    if (connection.seenZxid > EXACT_ZXID)
      this.log("warn", "ZooKeeper's zxids are beyond 2^53: creation numbers are no longer exact", {});
    this.log("info", "connected to ZooKeeper", {
      server: this.connectedTo,
      sessionId: connection.sessionId,
      sessionTimeoutMs: connection.grantedTimeoutMs,
    });
    const first = this.starting;
    this.starting = null;
    this.tell("connected");
    if (this.isConnected) this.user.resync();
    first?.resolve();
  }

  private waiting(reason: string, rounds: number): void {
    this.reason = reason;
    const nowMs = this.o.clock.monotonicMs();
    // One round that fails is what happens when a server restarts.
    if (rounds < 2 || nowMs - this.saidWaitingMs < REPEAT_WAITING_MS) return;
    this.saidWaitingMs = nowMs;
    this.log("warn", "no ZooKeeper server will do; trying on", { servers: this.servers, reason });
  }

  private tell(state: NsdbSessionState): void {
    for (const listener of this.stateListeners) this.guard(() => listener(state));
  }

  private log(level: "debug" | "info" | "warn", message: string, fields: Readonly<Record<string, unknown>>): void {
    this.o.log?.(level, message, fields);
  }
}

function digest(auth: DigestAuth): Credentials {
  return { scheme: "digest", secret: Buffer.from(`${auth.user}:${auth.password}`, "utf8") };
}

function throwUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
