import { type Lifecycle, MidotraceError } from "#core/base";
import type { NsdbEvent, NsdbUnavailable } from "#core/nsdb";
import { Engine, type Faults } from "./engine.ts";
import { type Medium, NoMedium } from "./medium.ts";
import { EmbeddedSession } from "./session.ts";
import { SqliteMedium } from "./sqlite-medium.ts";

export interface EmbeddedOptions {
  readonly faults?: Faults;
  /** Takes what a listener throws (a defect of the listener, not of the store). Must not throw. Default: an uncaught exception. */
  readonly onListenerError?: (error: unknown) => void;
}

/**
 * The shared tree: one per process and directory, with as many sessions as there are users of it. `memory:` forgets at
 * stop(); `file:DIR` keeps everything but ephemeral nodes.
 */
export class EmbeddedNsdb implements Lifecycle {
  private readonly engine: Engine;
  private readonly sessions = new Set<EmbeddedSession>();
  private readonly onListenerError: (error: unknown) => void;
  private running = false;
  private stopping: Promise<void> | null = null;
  private owners = 0;

  /** @throws MidotraceError USAGE when the URL is neither `memory:` nor `file:DIR`. */
  constructor(url: string, options: EmbeddedOptions = {}) {
    const listener = {
      committed: (events: readonly NsdbEvent[]) => this.committed(events),
      died: (reason: NsdbUnavailable) => this.died(reason),
    };
    this.engine = new Engine(mediumOf(url), listener, options.faults ?? {});
    this.onListenerError = options.onListenerError ?? throwUncaught;
  }

  /** @throws NsdbUnavailable when the directory is in use (the message says by whom) or cannot be read. */
  async start(): Promise<void> {
    await this.stopping;
    if (this.running) return;
    this.stopping = null;
    this.engine.start();
    this.running = true;
  }

  /** Stops the sessions, finishes what was submitted, releases the directory. Then start() opens it anew. */
  async stop(): Promise<void> {
    if (this.running) this.stopping = this.end();
    await this.stopping;
  }

  /** A new session, to be started by the caller; it can be when the server is. */
  session(): EmbeddedSession {
    return new EmbeddedSession({
      engine: this.engine,
      nextOwner: () => ++this.owners,
      attach: (session) => void this.sessions.add(session),
      detach: (session) => void this.sessions.delete(session),
      guard: (listener) => this.guard(listener),
    });
  }

  private async end(): Promise<void> {
    this.running = false;
    await Promise.all([...this.sessions].map((session) => session.stop()));
    await this.engine.stop();
  }

  private committed(events: readonly NsdbEvent[]): void {
    for (const session of this.sessions) session.deliver(events);
  }

  private died(reason: NsdbUnavailable): void {
    for (const session of this.sessions) session.died(reason);
  }

  private guard(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      this.onListenerError(error);
    }
  }
}

function mediumOf(url: string): Medium {
  if (url === "memory:") return new NoMedium();
  const directory = /^file:(?:\/\/(?=\/))?(?!\/\/)(.+)$/.exec(url)?.[1];
  if (directory === undefined) {
    throw new MidotraceError("USAGE", `not an embedded store: ${url} (expected memory: or file:DIR)`);
  }
  return new SqliteMedium(directory);
}

function throwUncaught(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
