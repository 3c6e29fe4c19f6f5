import type { CompiledRoute, RouteLookup } from "./compiled.ts";

/**
 * Longest destination prefix first; within it the routes whose source prefix contains the source; of those the lightest,
 * all of them when several weigh the same (ECMP, ordered by id so that every host agrees); none: shorter prefixes.
 *
 * A binary trie over destination prefixes in two typed arrays. Every node knows the nearest prefix at or above it that
 * has routes (its *group*), so a lookup is one walk down. A group with routes for certain sources only has a source trie
 * of the same form, whose nodes know their answer; where that is empty, the group's next shorter one is asked.
 *
 * Lookups allocate nothing: the arrays returned are made with the table and shared; do not change them.
 */
export class RouteTable implements RouteLookup {
  /** How many leading bits of the source the last answer depends on, 0..32. */
  srcBitsUsed = 0;
  /** How many leading bits of the destination the last answer depends on, 0..32. */
  dstBitsUsed = 0;
  readonly size: number;
  /** Node n: its children at 2n and 2n+1, 0 = none (node 0 is the destination trie's root and nobody's child). */
  private readonly children: Int32Array;
  /** Node n: destination trie: group index; source trie: index into `answers`. -1 = none. */
  private readonly values: Int32Array;
  /** Group g: the root of its source trie, or -1 when all its routes are for any source. */
  private readonly sourceRoots: Int32Array;
  /** Group g: the answer when it has no source trie. */
  private readonly groupAnswers: Int32Array;
  /** Group g: the next shorter prefix that has routes, or -1. */
  private readonly shorter: Int32Array;
  private readonly answers: readonly (readonly CompiledRoute[])[];

  /** @param routes prefixes of 0..32 bits; host bits below the prefix are ignored. */
  constructor(routes: readonly CompiledRoute[]) {
    this.size = routes.length;
    const trie = new TrieBuilder();
    const root = trie.node();
    const groups = groupByDestination(routes);
    groups.forEach((group, g) => trie.set(trie.insert(root, group.dst, group.dstBits), g));
    trie.inherit(root, -1);
    const answers: CompiledRoute[][] = [];
    this.sourceRoots = new Int32Array(groups.length).fill(-1);
    this.groupAnswers = new Int32Array(groups.length).fill(-1);
    this.shorter = new Int32Array(groups.length).fill(-1);
    groups.forEach((group, g) => {
      // Sorted by length: the last earlier group that contains this one is the next shorter.
      for (let s = g - 1; s >= 0; s--) {
        const other = groups[s] as DestinationGroup;
        if (leading(group.dst, other.dstBits) === other.dst) {
          this.shorter[g] = s;
          break;
        }
      }
      if (group.routes.every((r) => r.srcBits === 0)) {
        this.groupAnswers[g] = answers.push(lightest(group.routes)) - 1;
        return;
      }
      this.sourceRoots[g] = buildSourceTrie(trie, group.routes, answers);
    });
    this.children = Int32Array.from(trie.children);
    this.values = Int32Array.from(trie.values);
    this.answers = answers;
  }

  /** @param src @param dst u32. @returns a shared array, empty when there is no route. Sets `srcBitsUsed`, `dstBitsUsed`. */
  lookup(src: number, dst: number): readonly CompiledRoute[] {
    const end = this.walk(0, dst);
    this.dstBitsUsed = this.depth;
    this.srcBitsUsed = 0;
    let group = this.values[end] as number;
    while (group >= 0) {
      const sourceRoot = this.sourceRoots[group] as number;
      if (sourceRoot < 0) return this.answers[this.groupAnswers[group] as number] as readonly CompiledRoute[];
      const answer = this.values[this.walk(sourceRoot, src)] as number;
      if (this.depth > this.srcBitsUsed) this.srcBitsUsed = this.depth;
      if (answer >= 0) return this.answers[answer] as readonly CompiledRoute[];
      group = this.shorter[group] as number;
    }
    return NO_ROUTES;
  }

  /** Bits that the last walk looked at. */
  private depth = 0;

  /** The deepest node on the way of `address`. A node without children needs no further bit. */
  private walk(root: number, address: number): number {
    const children = this.children;
    let node = root;
    let depth = 0;
    while (depth < 32) {
      const next = children[2 * node + ((address >>> (31 - depth)) & 1)] as number;
      if (next === 0) {
        if (children[2 * node] !== 0 || children[2 * node + 1] !== 0) depth++;
        break;
      }
      node = next;
      depth++;
    }
    this.depth = depth;
    return node;
  }
}

const NO_ROUTES: readonly CompiledRoute[] = [];

interface DestinationGroup {
  readonly dst: number;
  readonly dstBits: number;
  readonly routes: CompiledRoute[];
}

function leading(address: number, bits: number): number {
  return bits === 0 ? 0 : ((address >>> (32 - bits)) << (32 - bits)) >>> 0;
}

/** Routes with the same destination prefix together, shorter prefixes first. */
function groupByDestination(routes: readonly CompiledRoute[]): DestinationGroup[] {
  const groups = new Map<number, DestinationGroup>();
  for (const route of [...routes].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))) {
    const dst = leading(route.dst, route.dstBits);
    const key = dst * 64 + route.dstBits;
    let group = groups.get(key);
    if (group === undefined) {
      group = { dst, dstBits: route.dstBits, routes: [] };
      groups.set(key, group);
    }
    group.routes.push(route);
  }
  return [...groups.values()].sort((a, b) => a.dstBits - b.dstBits);
}

function lightest(routes: readonly CompiledRoute[]): CompiledRoute[] {
  const weight = Math.min(...routes.map((r) => r.weight));
  return routes.filter((r) => r.weight === weight);
}

/** A node's answer: the lightest of all routes whose source prefix contains it. @returns the trie's root. */
function buildSourceTrie(trie: TrieBuilder, routes: readonly CompiledRoute[], answers: CompiledRoute[][]): number {
  const root = trie.node();
  const seen = new Set<number>();
  for (const route of routes) {
    const at = trie.insert(root, route.src, route.srcBits);
    if (seen.has(at)) continue;
    seen.add(at);
    const src = leading(route.src, route.srcBits);
    const containing = routes.filter(
      (r) => r.srcBits <= route.srcBits && leading(src, r.srcBits) === leading(r.src, r.srcBits),
    );
    trie.set(at, answers.push(lightest(containing)) - 1);
  }
  trie.inherit(root, -1);
  return root;
}

class TrieBuilder {
  readonly children: number[] = [];
  readonly values: number[] = [];

  node(): number {
    this.children.push(0, 0);
    return this.values.push(-1) - 1;
  }

  insert(root: number, address: number, bits: number): number {
    let node = root;
    for (let depth = 0; depth < bits; depth++) {
      const at = 2 * node + ((address >>> (31 - depth)) & 1);
      if (this.children[at] === 0) this.children[at] = this.node();
      node = this.children[at] as number;
    }
    return node;
  }

  set(node: number, value: number): void {
    this.values[node] = value;
  }

  /** Gives every node without a value that of its nearest ancestor with one. */
  inherit(node: number, inherited: number): void {
    const value = this.values[node] === -1 ? inherited : (this.values[node] as number);
    this.values[node] = value;
    for (const at of [2 * node, 2 * node + 1]) {
      const child = this.children[at] as number;
      if (child !== 0) this.inherit(child, value);
    }
  }
}
