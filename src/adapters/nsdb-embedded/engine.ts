import {
  type NsdbEvent,
  type NsdbNode,
  type NsdbOp,
  NsdbTxError,
  NsdbUnavailable,
  requireWellFormed,
} from "#core/nsdb";
import type { Medium } from "./medium.ts";
import { type Entry, Overlay, type Plan, plan, Tree } from "./tree.ts";

/** For tests: throwing in one of these is the process dying there, right before / right after the n-th commit is durable (n from 1, since start). */
export interface Faults {
  beforeDurable?(n: number): void;
  afterDurable?(n: number): void;
}

export interface EngineListener {
  /** One commit became durable and is visible to readers; its promise is not resolved yet. Must not throw. */
  committed(events: readonly NsdbEvent[]): void;
  /** Nothing will ever work again. Must not throw. */
  died(reason: NsdbUnavailable): void;
}

/** Something that has its place in the order of commits. */
interface Turn {
  /** Null for what changes nothing: reads, refused transactions, checks. */
  readonly plan: Plan | null;
  /** Its place has come: everything before it is durable and visible. */
  take(): void;
  fail(error: NsdbUnavailable): void;
  /** Whatever follows waits until promises resolved by this turn have run their continuations. */
  readonly breaks: boolean;
}

/**
 * The order of things: one queue of commits and reads, flushed once per turn of the event loop with one write to the
 * medium (group commit). A commit is planned, and gets its zxid and versions, when it is submitted; it reaches the tree
 * that readers see when it is durable. A refusal waits for its place too, since it may rest on commits not durable yet.
 *
 * When a write fails, what was planned on top of it is void: the engine is dead for ever, and fsync is never tried again
 * (after a failed one, the next may succeed without the data).
 */
export class Engine {
  private readonly medium: Medium;
  private readonly listener: EngineListener;
  private readonly faults: Faults;
  private tree = new Tree();
  /** Accepted, not durable yet. */
  private pending = new Overlay(this.tree);
  /** Ephemeral nodes by session, accepted ones included. */
  private readonly owned = new Map<number, Set<string>>();
  private queue: Turn[] = [];
  private flushing = false;
  private zxid = 0;
  private durableCount = 0;
  /** Why nothing works; null while it does. */
  private closed: NsdbUnavailable | null = new NsdbUnavailable("the store is not started");

  constructor(medium: Medium, listener: EngineListener, faults: Faults) {
    this.medium = medium;
    this.listener = listener;
    this.faults = faults;
  }

  /** @throws NsdbUnavailable when the medium is in use by another process or unreadable. */
  start(): void {
    const { zxid, nodes } = this.medium.open();
    this.tree = new Tree();
    this.pending = new Overlay(this.tree);
    for (const node of nodes) this.tree.put(node.path, { node, owner: 0 });
    const orphan = this.tree.orphan();
    if (orphan !== null) {
      this.medium.close();
      throw new NsdbUnavailable(`the store is damaged: ${orphan} has children but does not exist`);
    }
    this.zxid = zxid;
    this.durableCount = 0;
    this.owned.clear();
    this.closed = null;
  }

  /** Finishes what was submitted, then releases the medium. */
  async stop(): Promise<void> {
    if (this.closed === null) await this.read(() => null).catch(() => null);
    this.closed ??= new NsdbUnavailable("the store is stopped");
    this.medium.close();
  }

  /**
   * @throws NsdbTxError when refused; NsdbUnavailable when the engine is closed, or dies before the commit is durable
   *   or before this could be said.
   */
  async submit(ops: readonly NsdbOp[], owner: number): Promise<void> {
    requireWellFormed(ops);
    await this.accept(ops, owner);
  }

  /** Deletes the ephemeral nodes of a session, and waits for all it submitted. @throws NsdbUnavailable */
  async release(owner: number): Promise<void> {
    const paths = [...(this.owned.get(owner) ?? [])];
    await this.accept(
      paths.map((path) => ({ op: "delete", path })),
      owner,
    );
  }

  /**
   * Runs `look` on the durable tree when everything submitted before is visible. With `breaks`, nothing later happens
   * before continuations of the returned promise have run. @throws NsdbUnavailable
   */
  read<T>(look: (tree: Tree) => T, breaks = false): Promise<T> {
    if (this.closed !== null) return Promise.reject(this.closed);
    if (this.queue.length === 0 && !this.flushing) return Promise.resolve(look(this.tree));
    return new Promise((resolve, reject) => {
      this.enqueue({ plan: null, take: () => resolve(look(this.tree)), fail: reject, breaks });
    });
  }

  /** As it is in the durable tree at this moment. */
  node(path: string): NsdbNode | null {
    return this.tree.node(path);
  }

  private accept(ops: readonly NsdbOp[], owner: number): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.closed !== null) throw this.closed;
      try {
        const accepted = plan(this.pending, ops, this.zxid + 1, owner);
        if (accepted.events.length > 0) this.zxid = accepted.zxid;
        for (const [path, entry] of accepted.changes) this.addPending(path, entry);
        this.enqueue({
          plan: accepted.events.length > 0 ? accepted : null,
          take: resolve,
          fail: reject,
          breaks: false,
        });
      } catch (refusal) {
        if (!(refusal instanceof NsdbTxError)) throw refusal;
        this.enqueue({ plan: null, take: () => reject(refusal), fail: reject, breaks: false });
      }
    });
  }

  private addPending(path: string, entry: Entry): void {
    const before = this.pending.entry(path)?.owner ?? 0;
    if (before !== 0) this.owned.get(before)?.delete(path);
    if (this.owned.get(before)?.size === 0) this.owned.delete(before);
    if (entry.owner !== 0) this.owned.set(entry.owner, (this.owned.get(entry.owner) ?? new Set()).add(path));
    this.pending.put(path, entry);
  }

  private enqueue(turn: Turn): void {
    this.queue.push(turn);
    if (this.queue.length === 1 && !this.flushing) setImmediate(() => this.flush());
  }

  private flush(): void {
    const breakAt = this.queue.findIndex((turn) => turn.breaks);
    const batch = this.queue.splice(0, breakAt < 0 ? this.queue.length : breakAt + 1);
    this.flushing = true;
    let done = 0;
    try {
      this.write(batch.flatMap((turn) => turn.plan ?? []));
      for (const turn of batch) {
        if (turn.plan !== null) this.publish(turn.plan);
        done++;
        turn.take();
      }
    } catch (cause) {
      this.die(cause, batch.slice(done));
    }
    this.flushing = false;
    if (this.queue.length > 0) setImmediate(() => this.flush());
  }

  private write(plans: readonly Plan[]): void {
    const last = plans.at(-1);
    if (last === undefined) return;
    const nodes = new Map<string, NsdbNode | null>();
    for (const { changes } of plans) {
      for (const [path, { node }] of changes) nodes.set(path, node === null || node.ephemeral ? null : node);
    }
    this.medium.write(last.zxid, nodes, () => {
      for (let i = 1; i <= plans.length; i++) this.faults.beforeDurable?.(this.durableCount + i);
    });
  }

  private publish(durable: Plan): void {
    this.durableCount++;
    this.faults.afterDurable?.(this.durableCount);
    for (const [path, entry] of durable.changes) this.pending.sink(path, entry, this.tree);
    this.listener.committed(durable.events);
  }

  private die(cause: unknown, unfinished: readonly Turn[]): void {
    this.closed = new NsdbUnavailable(`the store failed and must be opened anew: ${String(cause)}`, { cause });
    this.medium.close();
    for (const turn of [...unfinished, ...this.queue.splice(0)]) turn.fail(this.closed);
    this.listener.died(this.closed);
  }
}
