import type { Lifecycle } from "#core/base";

/**
 * The network state database as the rest of the system sees it: ZooKeeper's data model (a tree of small nodes with
 * versions, ephemeral nodes, multi-operation transactions, persistent recursive watches), nothing more. Paths are absolute
 * below the store's root, without a trailing slash; the root itself is "/". A node's data is a text of at most 1 MiB.
 */
export interface NsdbStore extends Lifecycle {
  /** Null when there is no such node. */
  get(path: string): Promise<NsdbNode | null>;
  /** Many nodes at one moment as far as the store can (one round trip); null where there is none. Same order as asked. */
  getMany(paths: readonly string[]): Promise<(NsdbNode | null)[]>;
  /** Names (not paths) of the children, sorted; empty when the node has none or does not exist. */
  children(path: string): Promise<string[]>;
  /**
   * All or nothing, in order; resolves when durable.
   * @throws NsdbTxError when an operation's precondition fails (nothing was done), NsdbUnavailable when the outcome may be unknown.
   */
  commit(ops: readonly NsdbOp[]): Promise<void>;
  /**
   * Every change at one of the prefixes and below, in commit order, once each; the events of one commit arrive in one call, which may bring those
   * of several commits (ZooKeeper does not say where one ends; protocols/zookeeper/exchange.ts has what can be known). The
   * listener is called only for commits after the returned promise resolved. After a gap (a reconnection) it gets
   * `resync`: the watcher must read again, no event of the gap is replayed.
   */
  watch(prefixes: Prefixes, listener: NsdbWatcher): Promise<NsdbWatch>;
  /** Changes each time the session is lost and begun anew: all ephemeral nodes of the old one are gone. 0 = not connected yet. */
  readonly sessionEpoch: number;
  onSession(listener: (state: NsdbSessionState) => void): void;
}

/** A path, or several. */
export type Prefixes = string | readonly string[];

export const prefixList = (prefixes: Prefixes): readonly string[] =>
  typeof prefixes === "string" ? [prefixes] : prefixes;

/** Whether the path is one of the prefixes or below it. */
export function covers(prefixes: readonly string[], path: string): boolean {
  for (const prefix of prefixes) {
    if (prefix === "/" || path === prefix || (path.startsWith(prefix) && path[prefix.length] === "/")) return true;
  }
  return false;
}

export type NsdbSessionState = "connected" | "disconnected" | "lost";

export interface NsdbNode {
  readonly path: string;
  readonly data: string;
  /** Starts at 0, +1 at each set; a node deleted and created again starts at 0 but has another `createdZxid`. */
  readonly version: number;
  /** Number of the commit that created it; increases over the whole store. */
  readonly createdZxid: number;
  readonly ephemeral: boolean;
}

export type NsdbOp =
  /** Fails with NODE_EXISTS, or NO_PARENT when the parent does not exist (or EPHEMERAL_PARENT when it is ephemeral). */
  | { readonly op: "create"; readonly path: string; readonly data: string; readonly ephemeral?: boolean }
  /** `version` undefined: whatever it is. Fails with NO_NODE or BAD_VERSION. */
  | { readonly op: "set"; readonly path: string; readonly data: string; readonly version?: number }
  /** Fails with NO_NODE, BAD_VERSION or NOT_EMPTY. */
  | { readonly op: "delete"; readonly path: string; readonly version?: number }
  /** Fails with NO_NODE or BAD_VERSION. */
  | { readonly op: "check"; readonly path: string; readonly version: number };

export type NsdbTxFailure =
  | "NODE_EXISTS"
  | "NO_NODE"
  | "NO_PARENT"
  | "EPHEMERAL_PARENT"
  | "BAD_VERSION"
  | "NOT_EMPTY"
  | "TOO_LARGE"
  | "BAD_PATH";

/** The transaction was refused: `index` is the operation whose precondition failed. Nothing was changed. */
export class NsdbTxError extends Error {
  readonly failure: NsdbTxFailure;
  readonly index: number;
  readonly path: string;

  constructor(failure: NsdbTxFailure, index: number, path: string) {
    super(`transaction refused: ${failure} at operation ${index} on ${path}`);
    this.name = "NsdbTxError";
    this.failure = failure;
    this.index = index;
    this.path = path;
  }
}

/** The store does not answer. A commit that fails so may or may not have been done: read before trying again. */
export class NsdbUnavailable extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "NsdbUnavailable";
  }
}

export type NsdbEvent =
  | { readonly kind: "created"; readonly path: string }
  | { readonly kind: "changed"; readonly path: string }
  | { readonly kind: "deleted"; readonly path: string };

export interface NsdbWatcher {
  /**
   * @param nodes what the store has read already of what the watcher `wants`, as it is when all of `events` is done; null:
   *   no such node. What it has not read is not in it.
   */
  events(events: readonly NsdbEvent[], nodes: ReadonlyMap<string, NsdbNode | null>): void;
  /**
   * Paths that the watcher is going to read when it hears of these changes. The store may ask at any time, with a part of
   * the changes or none of them, and may read some of the paths in the same round trip in which it makes sure that a commit
   * is whole. Null: there is no hurry to hear of them (the store decides how long it waits, a twentieth of a second at most);
   * a watcher without this wants to hear of everything at once. Must not throw.
   */
  wants?(events: readonly NsdbEvent[]): readonly string[] | null;
  resync(): void;
}

export interface NsdbWatch {
  close(): void;
}
