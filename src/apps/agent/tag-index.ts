import { type FlowRecords, OWN_WORD } from "#core/datapath";
import type { FlowTag } from "#core/flows";

/** Word of a flow's record: its place in `TagSet.members`, so that taking it out costs nothing. */
const PLACE = OWN_WORD;
/** Words of a record that are the index's. */
export const PLACE_WORDS = 1;

/**
 * One list of tags and the flows that carry exactly it. Packets that take the same way collect the same tags in the
 * same order, so there are few of these however many flows there are.
 */
export class TagSet {
  readonly parent: TagSet | null;
  /** The last tag of the list; "" for the empty list. */
  readonly tag: FlowTag;
  /** Lists that go on from here. */
  readonly longer = new Map<FlowTag, TagSet>();
  /** Numbers of their records. */
  readonly members: number[] = [];
  /** False once the index has dropped it: then the list has to be looked up anew. */
  kept = true;

  constructor(parent: TagSet | null, tag: FlowTag) {
    this.parent = parent;
    this.tag = tag;
  }
}

/**
 * Which flows carry a tag. A flow's list of tags is looked up in a trie; only the first flow of a list pays for the
 * entries of its tags. Adding and removing a flow of a known set costs nothing that grows.
 */
export class TagIndex {
  private readonly records: FlowRecords;
  private readonly root = new TagSet(null, "");
  private readonly byTag = new Map<FlowTag, Set<TagSet>>();

  /** @param records of the flows; the first of their own words is the index's. */
  constructor(records: FlowRecords) {
    this.records = records;
  }

  /** The set of this list of tags, for `add`; it is kept when something is added before the next call. */
  setOf(tags: readonly FlowTag[]): TagSet {
    let set = this.root;
    for (let i = 0; i < tags.length; i++) {
      const tag = tags[i] as FlowTag;
      let next = set.longer.get(tag);
      if (next === undefined) {
        next = new TagSet(set, tag);
        set.longer.set(tag, next);
      }
      set = next;
    }
    return set;
  }

  /** @param n number of the flow's record. */
  add(n: number, set: TagSet): void {
    const { words, stride } = this.records;
    if (set.members.length === 0) this.enter(set);
    words[n * stride + PLACE] = set.members.length;
    set.members.push(n);
  }

  /** @param set that it was added to. */
  remove(n: number, set: TagSet): void {
    const { words, stride } = this.records;
    const last = set.members.pop() as number;
    if (last !== n) {
      const place = words[n * stride + PLACE] as number;
      set.members[place] = last;
      words[last * stride + PLACE] = place;
    }
    if (set.members.length === 0) this.leave(set);
  }

  has(tag: FlowTag): boolean {
    return this.byTag.has(tag);
  }

  with(tag: FlowTag): number[] {
    const found: number[] = [];
    for (const set of this.byTag.get(tag) ?? []) for (const n of set.members) found.push(n);
    return found;
  }

  private enter(set: TagSet): void {
    for (let s: TagSet = set; s.parent !== null; s = s.parent) {
      const sets = this.byTag.get(s.tag);
      if (sets === undefined) this.byTag.set(s.tag, new Set([set]));
      else sets.add(set);
    }
  }

  private leave(set: TagSet): void {
    for (let s: TagSet = set; s.parent !== null; s = s.parent) {
      const sets = this.byTag.get(s.tag);
      if (sets === undefined) continue;
      sets.delete(set);
      if (sets.size === 0) this.byTag.delete(s.tag);
    }
    for (let s: TagSet = set; s.parent !== null && s.members.length === 0 && s.longer.size === 0; s = s.parent) {
      s.parent.longer.delete(s.tag);
      s.kept = false;
    }
  }
}
