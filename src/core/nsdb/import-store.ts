/**
 * An import in several transactions, since one takes no more than 1 MiB. The first makes `/import` and touches `/store`:
 * from then on guarded users keep away, and what they had under way is refused. The last gives the store its identity and
 * removes `/import`. If the process ends in between, `/import` stays: nobody takes the store for whole, and the same
 * document imported again completes it, for what is done is always the difference between the store and the document.
 */
import { MidotraceError } from "#core/base";
import { decode, encode } from "./codec.ts";
import { identityOf, type ImportMark, readImportMark } from "./identity.ts";
import { IMPORT_PATH, IMPORT_RUNNING_PATH, rowOf, STORE_PATH, TOP_DIRECTORIES } from "./paths.ts";
import type { StoreDocument } from "./store-document.ts";
import { type NsdbNode, type NsdbOp, type NsdbStore, NsdbTxError } from "./store.ts";
import { type NsdbTree, readTree, type TreeNode } from "./tree.ts";
import { guard } from "./tx.ts";

export interface ImportOptions {
  /** Tells the document from every other: a hash of its nodes. */
  readonly documentId: string;
  /** Wall clock, milliseconds. */
  readonly nowMs: number;
  /** Replaces what is in the store, or finishes an import of another document with this one. */
  readonly force: boolean;
}

export interface ImportReport {
  readonly created: number;
  readonly changed: number;
  readonly deleted: number;
  readonly transactions: number;
  /** An import of this document that was not finished has been completed. */
  readonly resumed: boolean;
  /** Identity of the store before; null when it had none. */
  readonly storeIdBefore: string | null;
}

/** Most bytes (of paths and data) and operations of one transaction; a node larger than this goes alone. */
const MAX_BYTES = 512 * 1024;
const MAX_OPS = 1_000;
/** What an operation costs beside its texts, roughly. */
const OP_BYTES = 64;
/** Times that somebody who does not keep away may come in between. */
const ROUNDS = 20;

const conflict = (message: string, cause?: unknown): MidotraceError =>
  new MidotraceError("CONFLICT", message, [], { cause });

/**
 * Makes the store hold exactly what the document says; nodes of agents' sessions go too (the agents make them again).
 * @throws MidotraceError CONFLICT when the store is not empty (without `force`), another import is running or took over,
 *   or others kept writing; TOO_LARGE for a node that the store does not take; STORE_UNAVAILABLE. Unless the message says
 *   that nothing was changed, the same call completes what was begun.
 */
export function importStore(store: NsdbStore, document: StoreDocument, options: ImportOptions): Promise<ImportReport> {
  return guard(() => new Import(store, document, options).run());
}

class Import {
  private readonly store: NsdbStore;
  private readonly document: StoreDocument;
  private readonly options: ImportOptions;
  private readonly count = { created: 0, changed: 0, deleted: 0, transactions: 0 };
  private markVersion = 0;

  constructor(store: NsdbStore, document: StoreDocument, options: ImportOptions) {
    this.store = store;
    this.document = document;
    this.options = options;
  }

  async run(): Promise<ImportReport> {
    const { force } = this.options;
    const before = await readTree(this.store);
    const resumed = this.mayGoOn(before.tree);
    if (!resumed && !force) requireEmpty(before.tree);
    const identity = before.tree.get(STORE_PATH);
    await this.begin();
    for (let round = 0; ; round++) {
      const { tree } = await readTree(this.store);
      if (round === 0 && !resumed && !force) await this.requireStillEmpty(tree);
      const ops = this.difference(tree);
      if (ops.length === 0) break;
      if (round === ROUNDS) throw conflict("others kept writing to the store; import again when they are stopped");
      await this.send(ops);
    }
    await this.finish();
    return { ...this.count, resumed, storeIdBefore: identity === null ? null : idOf(identity) };
  }

  /** @returns whether it is this document's import that was not finished. */
  private mayGoOn(tree: NsdbTree): boolean {
    const node = tree.get(IMPORT_PATH);
    if (tree.get(IMPORT_RUNNING_PATH) !== null)
      throw conflict("another import is running, or ended less than a session ago: nothing was changed");
    if (node === null) return false;
    const mark = decode(readImportMark, node.data, node.path);
    if (mark.documentId === this.options.documentId) return true;
    if (this.options.force) return false;
    throw conflict(
      `an import of another document (of store ${mark.storeId}) is not finished: import that one, or this one with --force; nothing was changed`,
    );
  }

  private async begin(): Promise<void> {
    const [mark, identity] = await this.store.getMany([IMPORT_PATH, STORE_PATH]);
    const { documentId, nowMs } = this.options;
    const data: ImportMark = { documentId, storeId: this.document.storeId, startedAtMs: nowMs };
    const text = encode(readImportMark, data, IMPORT_PATH);
    const ops: NsdbOp[] = [
      mark
        ? { op: "set", path: IMPORT_PATH, data: text, version: mark.version }
        : { op: "create", path: IMPORT_PATH, data: text },
      { op: "create", path: IMPORT_RUNNING_PATH, data: "", ephemeral: true },
    ];
    if (identity) ops.push(touch(identity));
    try {
      await this.store.commit(ops);
    } catch (error) {
      if (!(error instanceof NsdbTxError)) throw error;
      throw conflict("another import has just begun: nothing was changed", error);
    }
    this.markVersion = mark ? mark.version + 1 : 0;
    this.count.transactions++;
  }

  /** Somebody may have made something between the look and the mark. */
  private async requireStillEmpty(tree: NsdbTree): Promise<void> {
    try {
      requireEmpty(tree);
    } catch (error) {
      await this.commit([
        { op: "delete", path: IMPORT_RUNNING_PATH },
        { op: "delete", path: IMPORT_PATH },
      ]);
      throw error;
    }
  }

  /** What makes the store's content the document's, but for the identity: deletions first, children before parents. */
  private difference(tree: NsdbTree): NsdbOp[] {
    const { nodes } = this.document;
    const deletes: NsdbOp[] = [];
    const rest: NsdbOp[] = [];
    for (const { path, ephemeral } of tree.nodes())
      if (!isOwn(path) && (ephemeral || !Object.hasOwn(nodes, path))) deletes.unshift({ op: "delete", path });
    for (const path of Object.keys(nodes).sort()) {
      if (isOwn(path)) continue;
      const data = nodes[path] as string;
      const there = tree.get(path);
      if (there === null || there.ephemeral) rest.push({ op: "create", path, data });
      else if (there.data !== data) rest.push({ op: "set", path, data });
    }
    return [...deletes, ...rest];
  }

  /** Sends the operations in as few transactions as they fit into; stops at a refusal, for the difference is another one then. */
  private async send(ops: readonly NsdbOp[]): Promise<void> {
    for (const batch of batches(ops)) {
      try {
        await this.commit(batch);
      } catch (error) {
        if (!(error instanceof NsdbTxError)) throw error;
        if (error.failure === "TOO_LARGE" || error.failure === "BAD_PATH")
          throw new MidotraceError("TOO_LARGE", `the store does not take ${error.path}: ${error.failure}`, [], {
            cause: error,
          });
        return;
      }
      for (const { op } of batch) {
        if (op === "create") this.count.created++;
        else if (op === "set") this.count.changed++;
        else if (op === "delete") this.count.deleted++;
      }
    }
  }

  /** In which the store becomes whole. */
  private async finish(): Promise<void> {
    const data = this.document.nodes[STORE_PATH] as string;
    const there = (await this.store.get(STORE_PATH)) !== null;
    try {
      await this.commit([
        there ? { op: "set", path: STORE_PATH, data } : { op: "create", path: STORE_PATH, data },
        { op: "delete", path: IMPORT_RUNNING_PATH },
        { op: "delete", path: IMPORT_PATH },
      ]);
    } catch (error) {
      if (!(error instanceof NsdbTxError)) throw error;
      throw conflict("the session ended, or somebody else wrote: import again", error);
    }
  }

  /** Each transaction asserts that the import is still this one's. */
  private async commit(ops: readonly NsdbOp[]): Promise<void> {
    try {
      await this.store.commit([{ op: "check", path: IMPORT_PATH, version: this.markVersion }, ...ops]);
    } catch (error) {
      if (error instanceof NsdbTxError && error.index === 0) throw conflict("another import took over", error);
      throw error;
    }
    this.count.transactions++;
  }
}

/** The nodes that the import itself stands on. */
const isOwn = (path: string): boolean =>
  path === STORE_PATH || path === IMPORT_PATH || path.startsWith(`${IMPORT_PATH}/`);

/** Writes the node as it is: commits of guarded users assert its version. */
const touch = ({ path, data }: NsdbNode): NsdbOp => ({ op: "set", path, data });

/** Null when it cannot be read: it is about to be replaced. */
function idOf(node: TreeNode): string | null {
  try {
    return identityOf(node).id;
  } catch {
    return null;
  }
}

/** Nothing but what `initialize` makes. @throws MidotraceError CONFLICT */
function requireEmpty(tree: NsdbTree): void {
  const made = new Set<string>(TOP_DIRECTORIES);
  const more = [...tree.nodes()].filter(({ path }) => !made.has(path) && !isOwn(path));
  if (more.length === 0) return;
  const kinds = new Set(more.map((n) => rowOf(n.path)?.pattern ?? n.path));
  throw conflict(
    `the store is not empty (${more.length} nodes, such as ${[...kinds][0]}): --force replaces all of it; nothing was changed`,
  );
}

function* batches(ops: readonly NsdbOp[]): Iterable<NsdbOp[]> {
  let batch: NsdbOp[] = [];
  let bytes = 0;
  for (const op of ops) {
    const size = OP_BYTES + utf8Bytes(op.path) + ("data" in op ? utf8Bytes(op.data) : 0);
    if (batch.length > 0 && (bytes + size > MAX_BYTES || batch.length === MAX_OPS)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(op);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

/** At most: a unit of UTF-16 takes three bytes or fewer. */
const utf8Bytes = (text: string): number => text.length * 3;
