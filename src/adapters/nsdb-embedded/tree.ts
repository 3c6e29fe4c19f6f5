/**
 * The tree and the arithmetic of transactions: pure, in memory, synchronous.
 *
 *     Tree      what is durable; reads are answered from it
 *     Overlay   changes above a View: one transaction being planned, or all that were accepted and are not durable yet
 *     plan()    a transaction's effect on a View, or why it is refused
 *
 * A transaction is planned against Tree + accepted ones, so that one submitted right after another sees its effect.
 */
import { type NsdbEvent, type NsdbNode, type NsdbOp, NsdbTxError } from "#core/nsdb";

/** The state of one path after a change. A fresh object for each change, so that two can be told apart by identity. */
export interface Entry {
  /** Null: deleted. */
  readonly node: NsdbNode | null;
  /** The session that an ephemeral node belongs to; 0 for every other. */
  readonly owner: number;
}

export interface View {
  /** Undefined when nothing is known of the path; a deleted one may also be an entry whose node is null. */
  entry(path: string): Entry | undefined;
  childCount(path: string): number;
}

export interface Plan {
  readonly zxid: number;
  /** The last state of each path touched. */
  readonly changes: ReadonlyMap<string, Entry>;
  /** One per operation that changes something, in the transaction's order. */
  readonly events: readonly NsdbEvent[];
}

const NO_CHILDREN: ReadonlySet<string> = new Set();

/** The parent's path. Not to be asked of "/". */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf("/")));
}

/** The difference that `after` makes to the number of children of the path's parent. */
function birth(before: Entry | undefined, after: Entry): number {
  return (after.node === null ? 0 : 1) - (before === undefined || before.node === null ? 0 : 1);
}

export class Tree implements View {
  private readonly entries = new Map<string, Entry>();
  private readonly names = new Map<string, Set<string>>();

  constructor() {
    const root: NsdbNode = { path: "/", data: "", version: 0, createdZxid: 0, ephemeral: false };
    this.entries.set("/", { node: root, owner: 0 });
  }

  entry(path: string): Entry | undefined {
    return this.entries.get(path);
  }

  node(path: string): NsdbNode | null {
    return this.entries.get(path)?.node ?? null;
  }

  childCount(path: string): number {
    return this.names.get(path)?.size ?? 0;
  }

  /** Names of the children in the order of their code units; a new array. */
  children(path: string): string[] {
    return [...(this.names.get(path) ?? NO_CHILDREN)].sort();
  }

  put(path: string, entry: Entry): void {
    const difference = birth(this.entries.get(path), entry);
    if (entry.node === null) this.entries.delete(path);
    else this.entries.set(path, entry);
    if (difference === 0) return;
    const parent = parentOf(path);
    const name = path.slice(path.lastIndexOf("/") + 1);
    const siblings = this.names.get(parent);
    if (difference > 0) {
      if (siblings === undefined) this.names.set(parent, new Set([name]));
      else siblings.add(name);
    } else if (siblings?.delete(name) && siblings.size === 0) this.names.delete(parent);
  }

  /** A path whose parent is missing, or null when the tree is one: for what was read from a disk. */
  orphan(): string | null {
    for (const parent of this.names.keys()) if (!this.entries.has(parent)) return parent;
    return null;
  }
}

export class Overlay implements View {
  readonly changes = new Map<string, Entry>();
  private readonly below: View;
  private readonly births = new Map<string, number>();

  constructor(below: View) {
    this.below = below;
  }

  entry(path: string): Entry | undefined {
    return this.changes.get(path) ?? this.below.entry(path);
  }

  childCount(path: string): number {
    return this.below.childCount(path) + (this.births.get(path) ?? 0);
  }

  put(path: string, entry: Entry): void {
    const difference = birth(this.entry(path), entry);
    this.changes.set(path, entry);
    if (path !== "/") this.addBirths(parentOf(path), difference);
  }

  /** Moves one change down into the tree below. Changes must sink in the order in which they were put. */
  sink(path: string, entry: Entry, tree: Tree): void {
    const difference = birth(tree.entry(path), entry);
    tree.put(path, entry);
    if (this.changes.get(path) === entry) this.changes.delete(path);
    if (path !== "/") this.addBirths(parentOf(path), -difference);
  }

  private addBirths(parent: string, difference: number): void {
    const sum = (this.births.get(parent) ?? 0) + difference;
    if (sum === 0) this.births.delete(parent);
    else this.births.set(parent, sum);
  }
}

/**
 * The effect of a well-formed transaction (`requireWellFormed`) on `view`, which is not changed.
 * @throws NsdbTxError with the first operation whose precondition fails.
 */
export function plan(view: View, ops: readonly NsdbOp[], zxid: number, owner: number): Plan {
  const draft = new Overlay(view);
  const events: NsdbEvent[] = [];
  for (const [index, op] of ops.entries()) {
    switch (op.op) {
      case "create": {
        draft.put(op.path, create(draft, op, index, zxid, owner));
        events.push({ kind: "created", path: op.path });
        break;
      }
      case "set": {
        const entry = expect(draft, op, index);
        const node = { ...entry.node, data: op.data.toWellFormed(), version: entry.node.version + 1 };
        draft.put(op.path, { node, owner: entry.owner });
        events.push({ kind: "changed", path: op.path });
        break;
      }
      case "delete": {
        expect(draft, op, index);
        if (draft.childCount(op.path) > 0) throw new NsdbTxError("NOT_EMPTY", index, op.path);
        draft.put(op.path, { node: null, owner: 0 });
        events.push({ kind: "deleted", path: op.path });
        break;
      }
      case "check": {
        expect(draft, op, index);
        break;
      }
    }
  }
  return { zxid, changes: draft.changes, events };
}

/** @throws NsdbTxError NODE_EXISTS, NO_PARENT, EPHEMERAL_PARENT. */
function create(
  view: View,
  op: Extract<NsdbOp, { op: "create" }>,
  index: number,
  createdZxid: number,
  owner: number,
): Entry {
  if (view.entry(op.path)?.node) throw new NsdbTxError("NODE_EXISTS", index, op.path);
  const parent = view.entry(parentOf(op.path))?.node;
  if (!parent) throw new NsdbTxError("NO_PARENT", index, op.path);
  if (parent.ephemeral) throw new NsdbTxError("EPHEMERAL_PARENT", index, op.path);
  const ephemeral = op.ephemeral ?? false;
  const node = { path: op.path, data: op.data.toWellFormed(), version: 0, createdZxid, ephemeral };
  return { node, owner: ephemeral ? owner : 0 };
}

/** @throws NsdbTxError NO_NODE, BAD_VERSION. */
function expect(
  view: View,
  op: { readonly path: string; readonly version?: number },
  index: number,
): Entry & { readonly node: NsdbNode } {
  const entry = view.entry(op.path);
  if (entry === undefined || entry.node === null) throw new NsdbTxError("NO_NODE", index, op.path);
  if (op.version !== undefined && op.version !== entry.node.version) {
    throw new NsdbTxError("BAD_VERSION", index, op.path);
  }
  return { node: entry.node, owner: entry.owner };
}
