import { MidotraceError } from "#core/base";
import { type NsdbNode, type NsdbOp, type NsdbStore, NsdbTxError, NsdbUnavailable } from "./store.ts";
import { Turns } from "./turns.ts";

interface Entry {
  /** What the store has; null: nothing. */
  readonly base: NsdbNode | null;
  /** The store was not asked: the path was created unseen (the creation itself asserts that it was free). */
  readonly unseen: boolean;
  checked: boolean;
  /** Staged: text, or null for deleted; undefined: untouched. */
  next: string | null | undefined;
  forced: boolean;
}

/**
 * One optimistic transaction. What is read is remembered with its version; what is written is staged and seen by later
 * reads; `commit` sends one store transaction in which everything that was read and not written is checked. A path found
 * absent and then created is asserted absent by the creation; a directory that is deleted is asserted to have no other
 * children by the deletion. Not asserted: a path found absent and left alone, and a listing of children that stay. Who
 * depends on one of these changes a node that stands for it (the object above, or a lock).
 */
export class Tx {
  private readonly entries = new Map<string, Entry>();
  private readonly listings = new Map<string, readonly string[]>();
  private readonly staged = new Map<string, Set<string>>();
  private readonly store: NsdbStore;

  constructor(store: NsdbStore) {
    this.store = store;
  }

  /** The node's text; null when there is none. */
  async get(path: string): Promise<string | null> {
    return (await this.getMany([path]))[0] ?? null;
  }

  /** As `get`, in one round trip. */
  async getMany(paths: readonly string[]): Promise<(string | null)[]> {
    return this.load(paths, true);
  }

  /**
   * Reads without demanding that it is still so at commit: for looking names up in a whole topology. What is read again by
   * `get` or written is checked as ever.
   */
  async peekMany(paths: readonly string[]): Promise<(string | null)[]> {
    return this.load(paths, false);
  }

  private async load(paths: readonly string[], checked: boolean): Promise<(string | null)[]> {
    const missing = paths.filter((p) => !this.entries.has(p));
    if (missing.length > 0) {
      const nodes = await this.store.getMany(missing);
      for (const [i, path] of missing.entries()) {
        if (this.entries.has(path)) continue;
        const base = nodes[i] ?? null;
        this.entries.set(path, { base, unseen: false, checked, next: undefined, forced: false });
      }
    }
    return paths.map((p) => {
      const entry = this.entries.get(p) as Entry;
      if (checked) entry.checked = true;
      return current(entry);
    });
  }

  /** Sorted names, with what this transaction created and without what it deleted. */
  async children(path: string): Promise<string[]> {
    let listing = this.listings.get(path);
    if (listing === undefined) {
      listing = await this.store.children(path);
      this.listings.set(path, listing);
    }
    const names = new Set(listing);
    for (const name of this.staged.get(path) ?? []) {
      const next = this.entries.get(below(path, name))?.next;
      if (next === null) names.delete(name);
      else if (next !== undefined) names.add(name);
    }
    return [...names].sort();
  }

  /** @throws MidotraceError INTERNAL when this transaction knows that the path exists. */
  create(path: string, data: string): void {
    const entry = this.entries.get(path) ?? {
      base: null,
      unseen: true,
      checked: false,
      next: undefined,
      forced: false,
    };
    if (current(entry) !== null) throw new MidotraceError("INTERNAL", `transaction creates ${path}, which exists`);
    entry.next = data;
    this.entries.set(path, entry);
    this.stage(path);
  }

  /** Writing what is there already is no write. @throws MidotraceError INTERNAL when the path was not read before, or is absent. */
  set(path: string, data: string): void {
    this.known(path).next = data;
    this.stage(path);
  }

  /** Writes the node as it is: its version goes on, so that two transactions which touch one node exclude each other. */
  async touch(path: string): Promise<void> {
    const data = await this.get(path);
    if (data === null) throw new MidotraceError("INTERNAL", `${path} is missing: the store was not initialized`);
    const entry = this.known(path);
    entry.next = data;
    entry.forced = true;
  }

  /** Reads first, so that the version deleted is the one seen. Absent: nothing to do. @returns whether there was one. */
  async delete(path: string): Promise<boolean> {
    if ((await this.get(path)) === null) return false;
    const entry = this.known(path);
    // An unseen or absent base: the creation was staged here and is taken back.
    entry.next = entry.base === null ? undefined : null;
    this.stage(path);
    return true;
  }

  /** The node and everything below; a child that is added meanwhile makes the commit fail, and the transaction run again. */
  async deleteTree(path: string): Promise<void> {
    const names = await this.children(path);
    await this.getMany([path, ...names.map((n) => below(path, n))]);
    for (const name of names) await this.deleteTree(below(path, name));
    await this.delete(path);
  }

  /** Operations that `commit` would send: none when nothing changed. */
  ops(): NsdbOp[] {
    const checks: NsdbOp[] = [];
    const deletes: NsdbOp[] = [];
    const creates: NsdbOp[] = [];
    const sets: NsdbOp[] = [];
    for (const [path, e] of this.entries) {
      if (e.base === null) {
        if (typeof e.next === "string") creates.push({ op: "create", path, data: e.next });
      } else if (e.next === null) deletes.push({ op: "delete", path, version: e.base.version });
      else if (e.next !== undefined && (e.forced || e.next !== e.base.data))
        sets.push({ op: "set", path, data: e.next, version: e.base.version });
      else if (e.checked) checks.push({ op: "check", path, version: e.base.version });
    }
    if (deletes.length + creates.length + sets.length === 0) return [];
    deletes.sort((a, b) => depth(b.path) - depth(a.path));
    creates.sort((a, b) => depth(a.path) - depth(b.path));
    return [...checks, ...deletes, ...creates, ...sets];
  }

  /** What is staged so far: text, or null for deleted. */
  written(): ReadonlyMap<string, string | null> {
    const out = new Map<string, string | null>();
    for (const [path, { next }] of this.entries) if (next !== undefined) out.set(path, next);
    return out;
  }

  /** What `commit` changes, locks apart. @param since only what was staged after that; default: all. */
  changes(since: ReadonlyMap<string, string | null> = NOTHING_WRITTEN): NodeChange[] {
    const out: NodeChange[] = [];
    for (const [path, entry] of this.entries) {
      const staged = since.get(path);
      const before = staged === undefined ? (entry.base?.data ?? null) : staged;
      const after = current(entry);
      if (after !== before) out.push({ path, before, after });
    }
    return out;
  }

  /** Whether anything but locks would be written. */
  get dirty(): boolean {
    for (const e of this.entries.values()) {
      if (e.next !== undefined && !e.forced && e.next !== (e.base?.data ?? null)) return true;
    }
    return false;
  }

  /**
   * One store transaction; none at all when nothing changed.
   * @throws NsdbTxError when the store moved on, NsdbUnavailable.
   */
  async commit(): Promise<void> {
    const ops = this.ops();
    if (ops.length > 0) await this.store.commit(ops);
  }

  /** Whether everything read is still so: an error that was concluded from a torn view is not one. @throws NsdbUnavailable */
  async stillValid(): Promise<boolean> {
    const seen = [...this.entries].filter(([, e]) => !e.unseen);
    const nodes = await this.store.getMany(seen.map(([path]) => path));
    for (const [i, [, { base }]] of seen.entries()) {
      const now = nodes[i] ?? null;
      if (now?.version !== base?.version || now?.createdZxid !== base?.createdZxid) return false;
    }
    for (const [path, names] of this.listings) {
      const now = await this.store.children(path);
      if (now.length !== names.length || now.some((n, i) => n !== names[i])) return false;
    }
    return true;
  }

  private known(path: string): Entry {
    const entry = this.entries.get(path);
    if (entry === undefined || current(entry) === null)
      throw new MidotraceError("INTERNAL", `transaction writes ${path}, which it has not read or which is absent`);
    return entry;
  }

  private stage(path: string): void {
    const at = path.lastIndexOf("/");
    const parent = at === 0 ? "/" : path.slice(0, at);
    const names = this.staged.get(parent) ?? new Set();
    names.add(path.slice(at + 1));
    this.staged.set(parent, names);
  }
}

const NOTHING_WRITTEN: ReadonlyMap<string, string | null> = new Map();

function current(e: Entry): string | null {
  return e.next === undefined ? (e.base?.data ?? null) : e.next;
}

function below(path: string, name: string): string {
  return path === "/" ? `/${name}` : `${path}/${name}`;
}

function depth(path: string): number {
  return path.split("/").length;
}

/** A node as it was and as it is since one transaction; null: it was, or is, not there. */
export interface NodeChange {
  readonly path: string;
  readonly before: string | null;
  readonly after: string | null;
}

/** Attempts before a contended transaction is given up. */
export const DEFAULT_ATTEMPTS = 24;

export interface TransactOptions {
  readonly attempts?: number;
  /** Told what a transaction has changed, in the asynchronous context of who asked for it. Must not throw. */
  readonly committed?: (changes: readonly NodeChange[]) => void;
}

/**
 * Runs `fn` on a fresh transaction and commits; runs it again when the store moved on in between, or when `fn` failed on
 * something it read that is no longer so. Those of this process who meet at one node take turns from there on (`Turns`).
 * Whatever `fn` throws otherwise passes through.
 * @throws MidotraceError CONFLICT when the attempts are used up; STORE_UNAVAILABLE (a commit's outcome is then unknown);
 *   TOO_LARGE when the store refuses the size; INTERNAL for a path that the store does not take.
 */
export async function transact<T>(
  store: NsdbStore,
  fn: (tx: Tx) => Promise<T>,
  options: TransactOptions = {},
): Promise<T> {
  let queued = false;
  let end = (): void => {};
  /** Once only: who waited for a second turn while having a first could wait for ever. */
  const queue = async (path: string): Promise<void> => {
    if (queued) return;
    queued = true;
    end = await turnsOf(store).take(path);
  };
  try {
    return await attempt(store, fn, options, queue);
  } finally {
    end();
  }
}

/** Of all who use one store in this process. */
const TURNS = new WeakMap<NsdbStore, Turns>();

function turnsOf(store: NsdbStore): Turns {
  let turns = TURNS.get(store);
  if (turns === undefined) TURNS.set(store, (turns = new Turns()));
  return turns;
}

async function attempt<T>(
  store: NsdbStore,
  fn: (tx: Tx) => Promise<T>,
  options: TransactOptions,
  queue: (path: string) => Promise<void>,
): Promise<T> {
  const attempts = options.attempts ?? DEFAULT_ATTEMPTS;
  let last: unknown = null;
  for (let n = 1; n <= attempts; n++) {
    const tx = new Tx(store);
    let result: T;
    try {
      result = await fn(tx);
    } catch (error) {
      if (error instanceof NsdbTxError) refuseUnlessRace(error);
      if (error instanceof NsdbUnavailable) throw unavailable(error);
      if (await guard(() => tx.stillValid())) throw error;
      last = error;
      continue;
    }
    try {
      await tx.commit();
      options.committed?.(tx.changes());
      return result;
    } catch (error) {
      if (error instanceof NsdbUnavailable) throw unavailable(error);
      // Anything but a refusal leaves it unknown whether the commit was done: to run again could do it twice.
      if (!(error instanceof NsdbTxError)) throw error;
      refuseUnlessRace(error);
      last = error;
      await queue(error.path);
    }
  }
  throw new MidotraceError(
    "CONFLICT",
    `others kept changing the same objects: gave up after ${attempts} attempts`,
    [],
    {
      cause: last,
    },
  );
}

/** Runs store operations outside of a transaction. @throws MidotraceError STORE_UNAVAILABLE */
export async function guard<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof NsdbUnavailable ? unavailable(error) : error;
  }
}

function unavailable(cause: NsdbUnavailable): MidotraceError {
  return new MidotraceError("STORE_UNAVAILABLE", "the network state database does not answer", [], { cause });
}

function refuseUnlessRace(error: NsdbTxError): void {
  switch (error.failure) {
    case "BAD_VERSION":
    case "NODE_EXISTS":
    case "NO_NODE":
    case "NO_PARENT":
    case "NOT_EMPTY":
      return;
    case "TOO_LARGE":
      throw new MidotraceError("TOO_LARGE", "the change is larger than one store transaction", [], { cause: error });
    case "BAD_PATH":
    case "EPHEMERAL_PARENT":
      throw new MidotraceError("INTERNAL", error.message, [], { cause: error });
  }
}
