import type { NsdbNode } from "#core/nsdb";

/**
 * Where a tree survives its process. Ephemeral nodes never get here: none can outlive the process, so that after a crash
 * there is nothing to clean up. Everything is synchronous; every method may throw, after which only `close` may be called.
 */
export interface Medium {
  /** Takes sole possession and reads everything, the number of the last commit first, then the nodes in any order. */
  open(): { readonly zxid: number; readonly nodes: Iterable<NsdbNode> };
  /**
   * All or nothing, and durable when it returns; null deletes the node if there is one. `beforeDurable` is called when
   * everything is written and nothing is durable; what it throws is thrown, and nothing becomes durable.
   */
  write(zxid: number, nodes: ReadonlyMap<string, NsdbNode | null>, beforeDurable: () => void): void;
  /** Gives up possession. Idempotent, never throws. */
  close(): void;
}

/** `memory:` */
export class NoMedium implements Medium {
  open(): { readonly zxid: number; readonly nodes: Iterable<NsdbNode> } {
    return { zxid: 0, nodes: [] };
  }

  write(_zxid: number, _nodes: ReadonlyMap<string, NsdbNode | null>, beforeDurable: () => void): void {
    beforeDurable();
  }

  close(): void {}
}
