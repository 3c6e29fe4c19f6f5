import { decode, type NsdbNode, type NsdbStore, type Reader } from "#core/nsdb";

/** What was asked of the store and is being answered, and what changed meanwhile: the answer may be older than the change. */
interface Reading {
  readonly changed: Set<string>;
  gap: boolean;
}

interface Question {
  readonly paths: Set<string>;
  readonly answer: Promise<ReadonlyMap<string, NsdbNode | null>>;
}

/**
 * Nodes and sets of children as they were last read. The store tells of every change below the root, so what was read holds
 * until it is touched: when a rule is added to a chain of a thousand, one list and one rule are asked for, and not the
 * device with its ports and routes. `clear` after a gap, in which the store could not tell.
 */
export class NodeCache {
  private readonly store: NsdbStore;
  /** By path; null: there is no such node. Never undefined. */
  private readonly nodes = new Map<string, unknown>();
  /** By path of the parent. */
  private readonly directories = new Map<string, readonly string[]>();
  /** As the store told them with a change; nobody has made sense of them yet. */
  private readonly told = new Map<string, NsdbNode | null>();
  /** What is asked for in this turn of the event loop. */
  private question: Question | null = null;
  private readonly readings = new Set<Reading>();

  constructor(store: NsdbStore) {
    this.store = store;
  }

  /** Nodes and sets of children that are kept. */
  get size(): number {
    return this.nodes.size + this.directories.size;
  }

  /** The node at the path was created, changed or deleted. */
  touched(path: string): void {
    this.nodes.delete(path);
    this.told.delete(path);
    for (const reading of this.readings) reading.changed.add(path);
  }

  /** A child of the node at the path was created or deleted. */
  touchedChildren(path: string): void {
    this.directories.delete(path);
    const name = childrenOf(path);
    for (const reading of this.readings) reading.changed.add(name);
  }

  /** Nodes as they are when every change is done that was told so far. */
  took(nodes: ReadonlyMap<string, NsdbNode | null>): void {
    for (const [path, node] of nodes) this.told.set(path, node);
  }

  /** What was told and nobody asked for is of no use. */
  forgetTold(): void {
    this.told.clear();
  }

  clear(): void {
    this.nodes.clear();
    this.told.clear();
    this.directories.clear();
    for (const reading of this.readings) reading.gap = true;
  }

  /** Those of the nodes that exist, in order. @throws NsdbUnavailable; MidotraceError INTERNAL when one makes no sense. */
  async records<T>(read: Reader<T>, paths: readonly string[]): Promise<T[]> {
    return this.readable(read, paths, (error) => {
      throw error;
    });
  }

  /** As `records`; one that makes no sense is left out, and complained about each time. @throws NsdbUnavailable */
  async readable<T>(read: Reader<T>, paths: readonly string[], complain: (error: unknown) => void): Promise<T[]> {
    const found: T[] = [];
    for (const value of await this.values(paths, read)) {
      if (value instanceof Unreadable) complain(value.error);
      else if (value !== null) found.push(value);
    }
    return found;
  }

  /** Null: there is no such node. @throws NsdbUnavailable; MidotraceError INTERNAL when it makes no sense. */
  async value<T>(path: string, read: Reader<T>): Promise<T | null> {
    const [value = null] = await this.values([path], read);
    if (value instanceof Unreadable) throw value.error;
    return value;
  }

  /** Names, none for a node that does not exist. @throws NsdbUnavailable */
  async children(path: string): Promise<readonly string[]> {
    const known = this.directories.get(path);
    if (known !== undefined) return known;
    return this.reading(async (current) => {
      const names = await this.store.children(path);
      if (current(childrenOf(path))) this.directories.set(path, names);
      return names;
    });
  }

  /** A path is always read by the same reader: each belongs to one kind of node. */
  private async values<T>(paths: readonly string[], read: Reader<T>): Promise<(T | Unreadable | null)[]> {
    const missing: string[] = [];
    const known = paths.map((path) => {
      let value = this.nodes.get(path);
      if (value === undefined) value = this.learned(path, read);
      if (value === undefined) missing.push(path);
      return value;
    });
    const fresh = missing.length === 0 ? NONE : await this.read(missing, read);
    // One that was known and has been touched meanwhile is as it was: whoever depends on it reads again.
    return known.map((value, i) => (value === undefined ? fresh.get(paths[i] ?? "") : value) as T | Unreadable | null);
  }

  /** What the store told of the node; undefined: nothing. */
  private learned(path: string, read: Reader<unknown>): unknown {
    const node = this.told.get(path);
    if (node === undefined) return undefined;
    this.told.delete(path);
    const value = made(read, node, path);
    this.nodes.set(path, value);
    return value;
  }

  private read(paths: readonly string[], read: Reader<unknown>): Promise<ReadonlyMap<string, unknown>> {
    return this.reading(async (current) => {
      const found = new Map<string, unknown>();
      const nodes = await this.ask(paths);
      for (const path of paths) {
        const value = made(read, nodes.get(path) ?? null, path);
        found.set(path, value);
        if (current(path)) this.nodes.set(path, value);
      }
      return found;
    });
  }

  /** Everything that is asked for in one turn of the event loop goes to the store as one question. */
  private ask(paths: readonly string[]): Promise<ReadonlyMap<string, NsdbNode | null>> {
    this.question ??= this.newQuestion();
    for (const path of paths) this.question.paths.add(path);
    return this.question.answer;
  }

  private newQuestion(): Question {
    const paths = new Set<string>();
    const put = async (): Promise<ReadonlyMap<string, NsdbNode | null>> => {
      // When everybody who can go on has done so.
      await new Promise<void>((resolve) => process.nextTick(resolve));
      this.question = null;
      const nodes = await this.store.getMany([...paths]);
      return new Map([...paths].map((path, i) => [path, nodes[i] ?? null]));
    };
    return { paths, answer: put() };
  }

  private async reading<R>(work: (current: (what: string) => boolean) => Promise<R>): Promise<R> {
    const reading: Reading = { changed: new Set(), gap: false };
    this.readings.add(reading);
    try {
      return await work((what) => !reading.gap && !reading.changed.has(what));
    } finally {
      this.readings.delete(reading);
    }
  }
}

/** A node that makes no sense, until it changes. */
class Unreadable {
  readonly error: unknown;
  constructor(error: unknown) {
    this.error = error;
  }
}

function made(read: Reader<unknown>, node: NsdbNode | null, path: string): unknown {
  if (node === null) return null;
  try {
    return decode(read, node.data, path);
  } catch (error) {
    return new Unreadable(error);
  }
}

const NONE: ReadonlyMap<string, unknown> = new Map();
const childrenOf = (path: string): string => `${path}/*`;
