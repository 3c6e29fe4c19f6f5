/** The whole content of a store as a value: what checks, exports and imports work on. */
import type { NsdbNode, NsdbStore } from "./store.ts";
import type { Source } from "./topology-reader.ts";

export type TreeNode = Pick<NsdbNode, "path" | "data" | "ephemeral">;

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
const below = (path: string, name: string): string => (path === "/" ? `/${name}` : `${path}/${name}`);

export class NsdbTree implements Source {
  private readonly byPath: ReadonlyMap<string, TreeNode>;
  private readonly names = new Map<string, string[]>();

  /** The root is not among the nodes. */
  constructor(nodes: Iterable<TreeNode>) {
    const sorted = [...nodes].sort((a, b) => (a.path < b.path ? -1 : 1));
    this.byPath = new Map(sorted.map((n) => [n.path, n]));
    for (const { path } of sorted) {
      const siblings = this.names.get(parentOf(path));
      if (siblings === undefined) this.names.set(parentOf(path), [nameOf(path)]);
      else siblings.push(nameOf(path));
    }
  }

  get size(): number {
    return this.byPath.size;
  }

  get(path: string): TreeNode | null {
    return this.byPath.get(path) ?? null;
  }

  /** Each after its parent. */
  nodes(): IterableIterator<TreeNode> {
    return this.byPath.values();
  }

  /** Names of the children, sorted. */
  childNames(path: string): readonly string[] {
    return this.names.get(path) ?? [];
  }

  texts(paths: readonly string[]): Promise<(string | null)[]> {
    return Promise.resolve(paths.map((path) => this.get(path)?.data ?? null));
  }

  children(path: string): Promise<string[]> {
    return Promise.resolve([...this.childNames(path)].sort());
  }

  /** What is at these paths and below. */
  without(...prefixes: string[]): NsdbTree {
    const gone = (path: string): boolean => prefixes.some((p) => path === p || path.startsWith(`${p}/`));
    return new NsdbTree([...this.nodes()].filter((n) => !gone(n.path)));
  }
}

/** Questions that are asked at one time. */
const AT_ONCE = 256;
/** Readings before a store that does not keep still is taken as it is. */
const ATTEMPTS = 5;

/** Entries that agents write all the time, each a thing of its own: no reading is torn by them. */
const LEARNED = /\/(mac_ports|arp_table)\//;

export interface Reading {
  readonly tree: NsdbTree;
  /** Nothing was changed between the first and the last question: it is one moment's content. */
  readonly stable: boolean;
}

/** Reads everything, again when something was changed meanwhile. @throws NsdbUnavailable */
export async function readTree(store: NsdbStore): Promise<Reading> {
  let changes = 0;
  const watch = await store.watch("/", {
    events: (events) => {
      changes += events.filter((e) => !LEARNED.test(e.path)).length;
    },
    resync: () => {
      changes++;
    },
  });
  try {
    for (let attempt = 1; ; attempt++) {
      const before = changes;
      const tree = new NsdbTree(await walk(store));
      // The events of a change come before the answers that show it.
      if (changes === before || attempt === ATTEMPTS) return { tree, stable: changes === before };
    }
  } finally {
    watch.close();
  }
}

async function walk(store: NsdbStore): Promise<TreeNode[]> {
  const found: TreeNode[] = [];
  let level = ["/"];
  while (level.length > 0) {
    const next: string[] = [];
    for (const some of batches(level)) {
      const names = await Promise.all(some.map((path) => store.children(path)));
      next.push(...some.flatMap((path, i) => (names[i] ?? []).map((name) => below(path, name))));
    }
    level = [];
    for (const paths of batches(next)) {
      for (const node of await store.getMany(paths)) {
        if (node === null) continue;
        found.push({ path: node.path, data: node.data, ephemeral: node.ephemeral });
        if (!node.ephemeral) level.push(node.path);
      }
    }
  }
  return found;
}

function* batches(paths: readonly string[]): Iterable<string[]> {
  for (let i = 0; i < paths.length; i += AT_ONCE) yield paths.slice(i, i + AT_ONCE);
}
