import type { Cancel, Scheduler } from "#core/base";
import { decode } from "./codec.ts";
import { identityOf, LAYOUT_VERSION, readImportMark } from "./identity.ts";
import { IMPORT_PATH, STORE_PATH } from "./paths.ts";
import {
  type NsdbNode,
  type NsdbOp,
  type NsdbSessionState,
  type NsdbStore,
  NsdbTxError,
  NsdbUnavailable,
  type NsdbWatch,
  type NsdbWatcher,
  type Prefixes,
} from "./store.ts";

/** How often a store that cannot be trusted is looked at again, ms. */
export const LOOK_AGAIN_MS = 1_000;

export interface GuardOptions {
  readonly scheduler: Scheduler;
  /** The identity that the store must have, when it is known from an earlier life. Default: that of the first connection. */
  readonly expected?: string | null;
  /** Called when the identity becomes known: for who wants to remember it. */
  readonly learned?: (id: string) => void;
  /** Takes what a listener throws (a defect of the listener). Default: an uncaught exception. */
  readonly onListenerError?: (error: unknown) => void;
}

export interface GuardedStore extends NsdbStore {
  /** Why the store is not to be had, in a sentence without a full stop; null while it is. */
  problem(): string | null;
  /** Null until it is known: a store that was never initialized has none. */
  readonly identity: string | null;
}

/**
 * A store that is only ever the same one. After each connection it is looked at before its user hears of it: a store that
 * was wiped, or another one at the same address, or one into which an import is not finished, counts as disconnected (its
 * reason is `problem()`) and is looked at again each second; so who forwards by what it knows goes on doing so, instead
 * of believing in an empty network. When the store is itself again the user hears `connected`, then each watch `resync`;
 * before that `lost`, when the session or an import has taken the user's ephemeral nodes.
 *
 * Each commit also asserts that no import has begun since, so that not even one that is under way slips into it.
 */
export function guardIdentity(store: NsdbStore, options: GuardOptions): GuardedStore {
  return new IdentityGuard(store, options);
}

/** `away`: the store below is not connected. `doubt`: it is, but is not (yet) trusted. */
type Phase = "away" | "doubt" | "trusted";

const TOUCHED = "an import into the store has begun or ended, or its identity was touched";

/** What tells one state of `/store` from another. */
type Fence = Pick<NsdbNode, "version" | "createdZxid">;

/** What a look at the store found: `same` with what stands at `/store`. */
type Finding =
  | { readonly kind: "same"; readonly node: NsdbNode | null }
  | { readonly kind: "other" | "unread"; readonly why: string };

const other = (why: string): Finding => ({ kind: "other", why });

class IdentityGuard implements GuardedStore {
  private readonly inner: NsdbStore;
  private readonly options: GuardOptions;
  private readonly listeners: ((state: NsdbSessionState) => void)[] = [];
  private readonly watches = new Set<NsdbWatcher>();
  private phase: Phase = "away";
  private reason = "the store is not started";
  private known: string | null;
  private fence: Fence | null = null;
  /** Epoch of the session below when it was last trusted. */
  private innerEpoch = 0;
  private epoch = 0;
  /** Last thing that the user heard; null: nothing yet. */
  private told: NsdbSessionState | null = null;
  /** Counts how often trust was lost: an answer to a question asked before that is not passed on. */
  private era = 0;
  /** The look whose result counts. */
  private round = 0;
  private looking: Promise<void> | null = null;
  private timer: Cancel | null = null;
  private ownWatches: NsdbWatch[] | null = null;
  private listening = false;

  constructor(inner: NsdbStore, options: GuardOptions) {
    this.inner = inner;
    this.options = options;
    this.known = options.expected ?? null;
  }

  get sessionEpoch(): number {
    return this.epoch;
  }

  get identity(): string | null {
    return this.known;
  }

  problem(): string | null {
    return this.phase === "trusted" ? null : this.reason;
  }

  /** Resolves when the store below has started and was looked at once, whatever was found. @throws what the store below throws. */
  async start(): Promise<void> {
    if (!this.listening) this.inner.onSession((state) => this.session(state));
    this.listening = true;
    await this.inner.start();
    if (this.phase === "away" && this.inner.sessionEpoch > 0) this.session("connected");
    await this.looking;
  }

  async stop(): Promise<void> {
    this.away("the store is stopped");
    this.ownWatches?.forEach((watch) => watch.close());
    this.ownWatches = null;
    this.watches.clear();
    this.told = null;
    await this.inner.stop();
  }

  get(path: string): Promise<NsdbNode | null> {
    return this.ask(() => this.inner.get(path));
  }

  getMany(paths: readonly string[]): Promise<(NsdbNode | null)[]> {
    return this.ask(() => this.inner.getMany(paths));
  }

  children(path: string): Promise<string[]> {
    return this.ask(() => this.inner.children(path));
  }

  async commit(ops: readonly NsdbOp[]): Promise<void> {
    if (this.phase !== "trusted") throw new NsdbUnavailable(this.reason);
    if (this.fence === null || ops.length === 0) return this.inner.commit(ops);
    try {
      await this.inner.commit([{ op: "check", path: STORE_PATH, version: this.fence.version }, ...ops]);
    } catch (error) {
      if (!(error instanceof NsdbTxError)) throw error;
      if (error.index > 0) throw new NsdbTxError(error.failure, error.index - 1, error.path);
      if (this.phase === "trusted") this.doubt(TOUCHED);
      throw new NsdbUnavailable("the store's identity was touched: nothing was done", { cause: error });
    }
  }

  async watch(prefixes: Prefixes, listener: NsdbWatcher): Promise<NsdbWatch> {
    const guarded: NsdbWatcher = {
      events: (events, nodes) => {
        if (this.phase === "trusted") listener.events(events, nodes);
      },
      ...(listener.wants === undefined
        ? {}
        : { wants: (events) => (this.phase === "trusted" ? (listener.wants?.(events) ?? null) : []) }),
      resync: () => {
        if (this.phase === "trusted") listener.resync();
      },
    };
    const begin = async (): Promise<NsdbWatch> => {
      const watch = await this.inner.watch(prefixes, guarded);
      // Before it is handed over: from then on its user counts on hearing of each gap.
      this.watches.add(guarded);
      return {
        close: () => {
          this.watches.delete(guarded);
          watch.close();
        },
      };
    };
    return this.ask(begin, (late) => late.close());
  }

  onSession(listener: (state: NsdbSessionState) => void): void {
    this.listeners.push(listener);
  }

  /** @param tooLate is given an answer that is not passed on. @throws NsdbUnavailable */
  private async ask<T>(question: () => Promise<T>, tooLate: (answer: T) => void = () => {}): Promise<T> {
    if (this.phase !== "trusted") throw new NsdbUnavailable(this.reason);
    const { era } = this;
    const answer = await question();
    if (era === this.era) return answer;
    tooLate(answer);
    throw new NsdbUnavailable(this.reason);
  }

  /** The store below says how it is. */
  private session(state: NsdbSessionState): void {
    if (state === "connected") {
      this.doubt("the identity of the store is being looked at");
      return;
    }
    this.away(state === "lost" ? "the session with the store is lost" : "the store does not answer");
    if (this.told !== "lost" && this.told !== state) this.tell(state);
  }

  private away(reason: string): void {
    this.distrust("away", reason);
    this.round++;
    this.looking = null;
    this.timer?.cancel();
    this.timer = null;
  }

  private distrust(phase: "away" | "doubt", reason: string): void {
    if (this.phase === "trusted") this.era++;
    this.phase = phase;
    this.reason = reason;
  }

  /** Nothing passes from here on, until the store has been looked at. */
  private doubt(reason: string): void {
    this.distrust("doubt", reason);
    if (this.told === "connected") this.tell("disconnected");
    this.look();
  }

  private look(): void {
    this.timer?.cancel();
    this.timer = null;
    const round = ++this.round;
    this.looking = this.lookOnce(round);
  }

  private async lookOnce(round: number): Promise<void> {
    const finding = await this.read();
    if (round === this.round) this.conclude(finding);
  }

  /** Never rejects. */
  private async read(): Promise<Finding> {
    try {
      this.ownWatches ??= await this.follow();
      const [node, mark] = await this.inner.getMany([STORE_PATH, IMPORT_PATH]);
      if (mark) return other(`an import into the store is not finished (${markText(mark)})`);
      const { known } = this;
      if (!node) {
        if (known === null) return { kind: "same", node: null };
        return other(`the store has no identity, not ${known}: it was emptied, or is another one`);
      }
      const { id, version } = identityOf(node);
      if (version > LAYOUT_VERSION)
        return other(`the store has layout ${version}, this program knows ${LAYOUT_VERSION}`);
      if (known !== null && id !== known)
        return other(`the store's identity is ${id}, not ${known}: it is another one`);
      return { kind: "same", node };
    } catch (error) {
      return { kind: "unread", why: `the store's identity cannot be read: ${(error as Error).message}` };
    }
  }

  /** Both stand before the first look, so that nothing can happen between the look and them. */
  private async follow(): Promise<NsdbWatch[]> {
    const watcher = (path: string): NsdbWatcher => ({
      events: (events) => {
        if (events.some((e) => e.path === path)) this.touched(path);
      },
      // Something may have been missed; if the connection broke, it is being looked at anyway.
      resync: () => {
        if (this.phase === "trusted") this.look();
      },
    });
    const watches: NsdbWatch[] = [];
    try {
      for (const path of [STORE_PATH, IMPORT_PATH]) watches.push(await this.inner.watch(path, watcher(path)));
    } catch (error) {
      for (const watch of watches) watch.close();
      throw error;
    }
    return watches;
  }

  private touched(path: string): void {
    if (this.phase === "away") return;
    // The store gets its first identity: nothing that was known before is in doubt.
    if (this.phase === "trusted" && path === STORE_PATH && this.known === null) this.look();
    else this.doubt(TOUCHED);
  }

  private conclude(finding: Finding): void {
    this.looking = null;
    if (finding.kind === "same") {
      this.admit(finding.node);
      return;
    }
    // Of a trusted store that cannot be read, the session will tell.
    if (this.phase === "doubt" || finding.kind === "other") this.distrust("doubt", finding.why);
    if (this.phase === "doubt" && this.told === "connected") this.tell("disconnected");
    this.timer = this.options.scheduler.after(LOOK_AGAIN_MS, () => this.look());
  }

  private admit(node: NsdbNode | null): void {
    const before = this.phase;
    const touched = this.fence !== null && !sameFence(this.fence, node);
    const anew = this.inner.sessionEpoch !== this.innerEpoch || touched;
    const first = this.told === null;
    this.fence = node;
    this.innerEpoch = this.inner.sessionEpoch;
    this.phase = "trusted";
    const learned = this.known === null && node !== null ? identityOf(node).id : null;
    if (learned !== null) this.known = learned;
    const { era } = this;
    if (learned !== null) this.call(() => this.options.learned?.(learned));
    if (before === "trusted") return;
    if (anew) {
      this.epoch++;
      // An import has deleted the user's ephemeral nodes as a new session does.
      if (!first && this.told !== "lost") this.tell("lost");
    }
    this.tell("connected");
    if (first) return;
    for (const watch of this.watches) {
      // A listener may have ended it.
      if (era !== this.era) return;
      this.call(() => watch.resync());
    }
  }

  private tell(state: NsdbSessionState): void {
    this.told = state;
    for (const listener of this.listeners) this.call(() => listener(state));
  }

  private call(listener: () => void): void {
    try {
      listener();
    } catch (error) {
      if (this.options.onListenerError !== undefined) this.options.onListenerError(error);
      else
        this.options.scheduler.after(0, () => {
          throw error;
        });
    }
  }
}

const sameFence = (a: Fence, b: Fence | null): boolean => a.version === b?.version && a.createdZxid === b.createdZxid;

function markText(mark: NsdbNode): string {
  try {
    return `of store ${decode(readImportMark, mark.data, mark.path).storeId}`;
  } catch {
    return "by another version";
  }
}
