import { decode, type NsdbStore, RULE } from "#core/nsdb";
import type { RuleRecord } from "#core/topology";

/**
 * Rules as they were last read. When a rule is added to a chain of a thousand, the others are as they were: only the new
 * one is asked for. A rule is kept until the store says that it changed; `clear` after a gap, in which it could not say so.
 */
export class RuleCache {
  private readonly store: NsdbStore;
  private readonly known = new Map<string, RuleRecord>();
  /** Of each reading under way: what changed since it began. Its answer may be older than the change. */
  private readonly readings = new Set<{ readonly changed: Set<string>; gap: boolean }>();

  constructor(store: NsdbStore) {
    this.store = store;
  }

  get size(): number {
    return this.known.size;
  }

  /** The node at the path was created, changed or deleted. */
  touched(path: string): void {
    this.known.delete(path);
    for (const reading of this.readings) reading.changed.add(path);
  }

  clear(): void {
    this.known.clear();
    for (const reading of this.readings) reading.gap = true;
  }

  /** Those of the paths that exist, in order. @throws NsdbUnavailable */
  async records(paths: readonly string[]): Promise<RuleRecord[]> {
    const missing = paths.filter((path) => !this.known.has(path));
    const fresh = missing.length === 0 ? NONE : await this.read(missing);
    return paths.flatMap((path) => fresh.get(path) ?? this.known.get(path) ?? []);
  }

  private async read(paths: readonly string[]): Promise<ReadonlyMap<string, RuleRecord>> {
    const reading = { changed: new Set<string>(), gap: false };
    this.readings.add(reading);
    try {
      const found = new Map<string, RuleRecord>();
      for (const node of await this.store.getMany(paths)) {
        if (node === null) continue;
        const record = decode(RULE.read, node.data, node.path);
        found.set(node.path, record);
        if (!reading.gap && !reading.changed.has(node.path)) this.known.set(node.path, record);
      }
      return found;
    } finally {
      this.readings.delete(reading);
    }
  }
}

const NONE: ReadonlyMap<string, RuleRecord> = new Map();
