import type { FlowTag } from "#core/flows";

/** What is indexed: its place in the index stands in it, so that taking it out costs nothing. */
export interface Tagged {
  tagSet: TagSet | null;
  /** Index in `tagSet.members`. */
  place: number;
}

/**
 * One list of tags and everything that carries exactly it. Packets that take the same way collect the same tags in the
 * same order, so there are few of these however many flows there are.
 */
export class TagSet {
  readonly parent: TagSet | null;
  /** The last tag of the list; "" for the empty list. */
  readonly tag: FlowTag;
  /** Lists that go on from here. */
  readonly longer = new Map<FlowTag, TagSet>();
  readonly members: Tagged[] = [];

  constructor(parent: TagSet | null, tag: FlowTag) {
    this.parent = parent;
    this.tag = tag;
  }
}

/**
 * Which flows carry a tag. A flow's list of tags is looked up in a trie; only the first flow of a list pays for the
 * entries of its tags. Adding and removing a flow of a known list costs one lookup per tag.
 */
export class TagIndex<T extends Tagged> {
  private readonly root = new TagSet(null, "");
  private readonly byTag = new Map<FlowTag, Set<TagSet>>();

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

  add(item: T, set: TagSet): void {
    if (set.members.length === 0) this.enter(set);
    item.tagSet = set;
    item.place = set.members.length;
    set.members.push(item);
  }

  remove(item: T): void {
    const set = item.tagSet;
    if (set === null) return;
    const last = set.members.pop() as Tagged;
    if (last !== item) {
      set.members[item.place] = last;
      last.place = item.place;
    }
    item.tagSet = null;
    if (set.members.length === 0) this.leave(set);
  }

  has(tag: FlowTag): boolean {
    return this.byTag.has(tag);
  }

  with(tag: FlowTag): T[] {
    const found: T[] = [];
    for (const set of this.byTag.get(tag) ?? []) for (const item of set.members) found.push(item as T);
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
    }
  }
}
