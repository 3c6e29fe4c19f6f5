import type { NsdbEvent, NsdbStore, NsdbWatch } from "#core/nsdb";
import { readTree } from "#core/nsdb";

/**
 * What a watcher believes is in the store: it reads each path again that it is told of, and everything after a gap. Keeps
 * trying while the store is away, as an agent does.
 */
export class StoreMirror {
  readonly nodes = new Map<string, string>();
  events = 0;
  resyncs = 0;
  private readonly store: NsdbStore;
  private readonly dirty = new Set<string>();
  private everything = true;
  private working: Promise<void> | null = null;
  private watch: NsdbWatch | null = null;
  private stopped = false;

  constructor(store: NsdbStore) {
    this.store = store;
  }

  async start(): Promise<void> {
    this.watch = await this.store.watch("/", {
      events: (events) => this.changed(events),
      resync: () => {
        this.resyncs++;
        this.everything = true;
        this.work();
      },
    });
    this.work();
  }

  stop(): void {
    this.stopped = true;
    this.watch?.close();
  }

  /** Resolves when nothing is left to be read. */
  async settled(): Promise<void> {
    while (this.working !== null) await this.working;
  }

  private changed(events: readonly NsdbEvent[]): void {
    this.events += events.length;
    for (const { path } of events) this.dirty.add(path);
    this.work();
  }

  private work(): void {
    this.working ??= this.catchUp().finally(() => {
      this.working = null;
    });
  }

  private async catchUp(): Promise<void> {
    while (!this.stopped && (this.everything || this.dirty.size > 0)) {
      const paths = [...this.dirty];
      this.dirty.clear();
      const { everything } = this;
      this.everything = false;
      try {
        if (everything) {
          const { tree } = await readTree(this.store);
          this.nodes.clear();
          for (const node of tree.nodes()) this.nodes.set(node.path, textOf(node));
        } else {
          const found = await this.store.getMany(paths);
          for (const [i, path] of paths.entries()) {
            const node = found[i];
            if (node === null || node === undefined) this.nodes.delete(path);
            else this.nodes.set(path, textOf(node));
          }
        }
      } catch {
        this.everything ||= everything;
        for (const path of paths) this.dirty.add(path);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }
}

export const textOf = (node: { readonly data: string; readonly ephemeral: boolean }): string =>
  `${node.ephemeral ? "E" : "P"} ${node.data}`;
