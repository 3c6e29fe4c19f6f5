import {
  type NsdbEvent,
  type NsdbNode,
  type NsdbOp,
  type NsdbSessionState,
  type NsdbStore,
  NsdbTxError,
  type NsdbWatch,
  type NsdbWatcher,
  prefixList,
  type Prefixes,
  requirePath,
  requireWellFormed,
} from "#core/nsdb";
import {
  addWatch,
  ERR,
  EVENT,
  firstBeyond,
  getChildren,
  getData,
  MAX_REQUEST_BYTES,
  multi,
  multiRead,
  type Notification,
  removeWatches,
} from "#protocols/zookeeper";
import { BulkReads } from "./bulk-read.ts";
import { refusal, serverError, toMultiOps, toNode } from "./nodes.ts";
import type { ZookeeperOptions, ZookeeperStatus } from "./options.ts";
import { type Notified, StoreSession } from "./session.ts";
import type { ZookeeperTarget } from "./url.ts";
import { Watches } from "./watches.ts";

/**
 * NsdbStore on a ZooKeeper ensemble: one session, on one connection at a time. Every operation fails with NsdbUnavailable
 * at once while there is none, and when the connection breaks under it; nothing is tried again here.
 *
 * Requests are sent as they are submitted, without waiting, and the server takes those of one session in order. Reads are
 * answered by the server we are connected to, which may be behind others, never behind what this session has seen.
 */
export class ZookeeperStore implements NsdbStore {
  private readonly session: StoreSession;
  private readonly watches = new Watches();
  private readonly bulk = new BulkReads();

  constructor(target: ZookeeperTarget, options: ZookeeperOptions) {
    this.session = new StoreSession(target, options, {
      watchedPaths: () => this.watches.paths(),
      glance: (pending) => this.glance(pending),
      notified: (news) => this.notified(news),
      resync: () => this.watches.resync((listener) => this.session.guard(listener)),
    });
  }

  get sessionEpoch(): number {
    return this.session.epoch;
  }

  status(): ZookeeperStatus {
    return this.session.status();
  }

  /** Connects, trying until it succeeds (`status` tells what it waits for). @throws NsdbUnavailable when stopped meanwhile. */
  async start(): Promise<void> {
    await this.session.start();
  }

  /** Finishes what was submitted, then ends the session: its ephemeral nodes go. Its watches hear nothing of that. */
  async stop(): Promise<void> {
    this.watches.clear();
    await this.session.stop();
  }

  onSession(listener: (state: NsdbSessionState) => void): void {
    this.session.onSession(listener);
  }

  /** @throws NsdbUnavailable, NsdbTxError BAD_PATH. */
  async get(path: string): Promise<NsdbNode | null> {
    requirePath(path, 0);
    const { err, value } = await this.session.ask(getData(this.outer(path)), path);
    if (value !== null) return toNode(path, value);
    if (err === ERR.noNode) return null;
    throw serverError(err, path);
  }

  /** One moment's view of some hundred nodes at a time (see BulkReads). @throws NsdbUnavailable, NsdbTxError BAD_PATH. */
  async getMany(paths: readonly string[]): Promise<(NsdbNode | null)[]> {
    for (const [index, path] of paths.entries()) requirePath(path, index);
    this.session.requireConnected();
    const batches = await Promise.all(this.bulk.cut(paths).map((batch) => this.readBatch(batch)));
    return batches.flat();
  }

  /** @throws NsdbUnavailable, NsdbTxError BAD_PATH. */
  async children(path: string): Promise<string[]> {
    requirePath(path, 0);
    const { err, value } = await this.session.ask(getChildren(this.outer(path)), path);
    if (value !== null) return value.sort();
    if (err === ERR.noNode) return [];
    throw serverError(err, path);
  }

  /**
   * Besides the limit on data, the whole request must fit ZooKeeper's `jute.maxbuffer` (1,048,575 bytes), with its paths
   * and some 50 bytes for each operation; TOO_LARGE names the first one that does not fit.
   * @throws NsdbTxError, NsdbUnavailable.
   */
  async commit(ops: readonly NsdbOp[]): Promise<void> {
    requireWellFormed(ops);
    this.session.requireConnected();
    const [first] = ops;
    if (first === undefined) return;
    const translated = toMultiOps(ops, this.session.chroot, this.session.acl);
    const request = multi(translated);
    if (request.frame.length - 4 > MAX_REQUEST_BYTES) {
      const index = firstBeyond(translated, MAX_REQUEST_BYTES) ?? 0;
      throw new NsdbTxError("TOO_LARGE", index, (ops[index] ?? first).path);
    }
    const { err, value } = await this.session.ask(request, first.path);
    if (err !== ERR.ok) throw serverError(err, request.name);
    if (value !== null) throw refusal(ops[value.index] ?? first, value.index, value.err);
  }

  /** @throws NsdbUnavailable, NsdbTxError BAD_PATH. */
  async watch(prefixes: Prefixes, listener: NsdbWatcher): Promise<NsdbWatch> {
    const list = prefixList(prefixes);
    for (const [index, prefix] of list.entries()) requirePath(prefix, index);
    this.session.requireConnected();
    const requests = list.map((prefix) => addWatch(this.outer(prefix)));
    const long = requests.findIndex(({ frame }) => frame.length - 4 > MAX_REQUEST_BYTES);
    if (long >= 0) throw new NsdbTxError("TOO_LARGE", long, list[long] ?? "/");
    const registration = this.watches.add(list, listener);
    const { promise, resolve, reject } = Promise.withResolvers<NsdbWatch>();
    const close = (): void => this.unwatch(this.watches.remove(registration));
    // Asked of the server even if it watches the path already: the last answer parts the commits before from those after.
    let due = requests.length;
    let refusal: Error | null = null;
    if (due === 0) resolve({ close });
    for (const [index, request] of requests.entries()) {
      this.session.submit(request, {
        breaks: index === requests.length - 1,
        answered: (err) => {
          if (err !== ERR.ok) refusal ??= serverError(err, list[index] ?? "/");
          if (--due > 0) return;
          registration.active = refusal === null;
          if (refusal === null) return resolve({ close });
          close();
          reject(refusal);
        },
        failed: (error) => {
          this.watches.remove(registration);
          reject(error);
        },
      });
    }
    return promise;
  }

  private outer(path: string): string {
    return this.session.chroot.outer(path);
  }

  private unwatch(prefixes: readonly string[]): void {
    if (!this.session.isConnected) return;
    // That there was none is as good; a broken connection has none either.
    for (const prefix of prefixes)
      this.session.submit(removeWatches(this.outer(prefix)), { answered: () => {}, failed: () => {} });
  }

  /** What watchers want to know of the changes, as far as one answer may hold it. */
  private glance(pending: readonly Notification[]): readonly string[] | null {
    const wanted = this.watches.wanted(this.events(pending), (listener) => this.session.guard(listener));
    if (wanted === null || wanted.length === 0) return wanted;
    return (this.bulk.cut(wanted)[0] ?? []).map((path) => this.outer(path));
  }

  private events(list: readonly Notification[]): NsdbEvent[] {
    return list.flatMap(({ type, path }): NsdbEvent[] => {
      const inner = this.session.chroot.inner(path);
      if (inner === null) return [];
      const kind = type === EVENT.created ? "created" : type === EVENT.deleted ? "deleted" : "changed";
      return [{ kind, path: inner }];
    });
  }

  private notified(news: Notified): void {
    const { epoch, chroot } = this.session;
    const events = this.events(news.list);
    const nodes = new Map<string, NsdbNode | null>();
    for (const [outer, found] of news.nodes) {
      const path = chroot.inner(outer);
      if (path !== null) nodes.set(path, found === null ? null : toNode(path, found));
    }
    // An earlier listener may have stopped the store.
    const stillOn = (): boolean => this.session.isConnected && this.session.epoch === epoch;
    this.watches.tell(events, nodes, (listener) => this.session.guard(listener), stillOn);
  }

  private async readBatch(paths: readonly string[]): Promise<(NsdbNode | null)[]> {
    const request = multiRead(paths.map((path) => this.outer(path)));
    const { err, value } = await this.session.ask(request, paths[0] ?? "/");
    if (value === null) throw serverError(err, request.name);
    this.bulk.seen(value.map((result) => (typeof result === "number" ? 0 : result.data.length)));
    return value.map((result, i) => {
      const path = paths[i] as string;
      if (typeof result !== "number") return toNode(path, result);
      if (result === ERR.noNode) return null;
      throw serverError(result, path);
    });
  }
}
