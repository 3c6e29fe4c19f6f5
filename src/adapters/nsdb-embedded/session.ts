import type { NsdbEvent, NsdbNode, NsdbOp, NsdbSessionState, NsdbStore, NsdbWatch, NsdbWatcher } from "#core/nsdb";
import { covers, NsdbUnavailable, prefixList, type Prefixes, requirePath } from "#core/nsdb";
import type { Engine } from "./engine.ts";
import { Link } from "./link.ts";

/** What a session needs of the server it belongs to. */
export interface SessionHost {
  readonly engine: Engine;
  /** A number that no session of this server had before; not 0. */
  nextOwner(): number;
  attach(session: EmbeddedSession): void;
  detach(session: EmbeddedSession): void;
  /** Runs a listener of the user; what it throws does not come back. */
  guard(listener: () => void): void;
}

type Phase = "stopped" | "connected" | "disconnected" | "lost";

interface Registration {
  readonly prefixes: readonly string[];
  readonly listener: NsdbWatcher;
}

/**
 * One session on a shared tree: its own ephemeral nodes, watches and epoch. What one session submits takes effect in the
 * order submitted, reads included: a get right after a commit that was not awaited sees it. Every operation throws
 * NsdbUnavailable while the session is not connected; what is under way when it is disconnected fails so at once, and may
 * still be done. Paths that break the grammar are refused with NsdbTxError BAD_PATH by reads and watches, too.
 */
export class EmbeddedSession implements NsdbStore {
  private readonly host: SessionHost;
  private readonly watches = new Set<Registration>();
  private readonly stateListeners: ((state: NsdbSessionState) => void)[] = [];
  private phase: Phase = "stopped";
  private link = new Link();
  /** Why operations are refused unless connected. */
  private refusal = new NsdbUnavailable("the session is not started");
  private stopping: Promise<void> | null = null;
  private owner = 0;
  private epoch = 0;

  constructor(host: SessionHost) {
    this.host = host;
  }

  get sessionEpoch(): number {
    return this.epoch;
  }

  /** Begins a session; after stop() another one. @throws NsdbUnavailable when the server is not running. */
  async start(): Promise<void> {
    await this.stopping;
    await this.host.engine.read(() => null);
    if (this.phase !== "stopped") return;
    this.stopping = null;
    this.host.attach(this);
    this.begin();
  }

  /** Ends the session: what was submitted is finished, then its ephemeral nodes go. Its watches hear nothing of that. */
  async stop(): Promise<void> {
    if (this.phase !== "stopped") this.stopping = this.end();
    await this.stopping;
  }

  /** @throws NsdbUnavailable, NsdbTxError BAD_PATH. */
  async get(path: string): Promise<NsdbNode | null> {
    requirePath(path, 0);
    return this.ask((engine) => engine.read((tree) => tree.node(path)));
  }

  /** All at one moment. @throws NsdbUnavailable, NsdbTxError BAD_PATH. */
  async getMany(paths: readonly string[]): Promise<(NsdbNode | null)[]> {
    for (const [index, path] of paths.entries()) requirePath(path, index);
    const asked = [...paths];
    return this.ask((engine) => engine.read((tree) => asked.map((path) => tree.node(path))));
  }

  /** @throws NsdbUnavailable, NsdbTxError BAD_PATH. */
  async children(path: string): Promise<string[]> {
    requirePath(path, 0);
    return this.ask((engine) => engine.read((tree) => tree.children(path)));
  }

  /** Paths and sizes are looked at before any precondition. @throws NsdbTxError, NsdbUnavailable. */
  async commit(ops: readonly NsdbOp[]): Promise<void> {
    const { owner } = this;
    return this.ask((engine) => engine.submit(ops, owner));
  }

  /** @throws NsdbUnavailable, NsdbTxError BAD_PATH. */
  async watch(prefixes: Prefixes, listener: NsdbWatcher): Promise<NsdbWatch> {
    const registration = { prefixes: prefixList(prefixes), listener };
    for (const [index, prefix] of registration.prefixes.entries()) requirePath(prefix, index);
    const { link } = this;
    await this.ask((engine) =>
      engine.read(() => {
        if (link.up && this.phase === "connected") this.watches.add(registration);
      }, true),
    );
    return { close: () => void this.watches.delete(registration) };
  }

  onSession(listener: (state: NsdbSessionState) => void): void {
    this.stateListeners.push(listener);
  }

  /** For tests: the connection breaks, the session lives on. Nothing happens unless connected. */
  disconnect(): void {
    if (this.phase !== "connected") return;
    this.phase = "disconnected";
    this.cut(new NsdbUnavailable("disconnected from the store"));
    this.tell("disconnected");
  }

  /** For tests: the connection is back; watches get `resync`. Nothing happens unless disconnected. */
  reconnect(): void {
    if (this.phase !== "disconnected") return;
    this.connect();
    this.resync();
  }

  /**
   * For tests: the session is lost (as after a long disconnection), its ephemeral nodes go, and a new one begins; watches
   * live on and get `resync`. Resolves when the new session is usable. @throws NsdbUnavailable when the store is dead.
   */
  async expire(): Promise<void> {
    if (this.phase === "stopped" || this.phase === "lost") return;
    this.phase = "lost";
    this.cut(new NsdbUnavailable("the session is lost"));
    this.tell("lost");
    await this.host.engine.release(this.owner);
    if ((this.phase as Phase) !== "lost") return; // stopped meanwhile
    this.begin();
    this.resync();
  }

  /** For the server: the store is dead, and has answered all that was under way. */
  died(reason: NsdbUnavailable): void {
    this.refusal = reason;
    if (this.phase !== "connected") return;
    this.phase = "disconnected";
    this.link.close();
    this.tell("disconnected");
  }

  /** For the server: a commit is durable. */
  deliver(events: readonly NsdbEvent[]): void {
    if (this.phase !== "connected") return;
    const { link } = this;
    for (const watch of this.watches) {
      const seen = events.filter((event) => covers(watch.prefixes, event.path));
      // An earlier listener may have ended the session.
      if (seen.length === 0 || !link.up) continue;
      this.host.guard(() => {
        const wanted = watch.listener.wants?.(seen) ?? [];
        watch.listener.events(seen, new Map(wanted.map((path) => [path, this.host.engine.node(path)])));
      });
    }
  }

  private begin(): void {
    this.owner = this.host.nextOwner();
    this.epoch++;
    this.connect();
  }

  private connect(): void {
    this.phase = "connected";
    this.link = new Link();
    this.tell("connected");
  }

  private cut(reason: NsdbUnavailable): void {
    this.refusal = reason;
    this.link.cut(reason);
  }

  private resync(): void {
    const watches = [...this.watches]; // those made by a listener need no resync
    for (const watch of watches) {
      if (this.watches.has(watch)) this.host.guard(() => watch.listener.resync());
    }
  }

  private tell(state: NsdbSessionState): void {
    for (const listener of this.stateListeners) this.host.guard(() => listener(state));
  }

  private async ask<T>(question: (engine: Engine) => Promise<T>): Promise<T> {
    if (this.phase !== "connected") throw this.refusal;
    return this.link.follow(question(this.host.engine));
  }

  private async end(): Promise<void> {
    this.phase = "stopped";
    this.refusal = new NsdbUnavailable("the session is stopped");
    this.watches.clear();
    try {
      await this.host.engine.release(this.owner);
    } catch (error) {
      // A dead store has no session left to end.
      if (!(error instanceof NsdbUnavailable)) throw error;
    }
    this.host.detach(this);
  }
}
