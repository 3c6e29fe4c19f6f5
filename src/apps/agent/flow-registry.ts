import type { PortId } from "#core/base";
import { type Datapath, type FlowEntry, FlowRecords, NONE } from "#core/datapath";
import { type FlowAction, type FlowMask, FlowMatch, type FlowTag, sameActions } from "#core/flows";
import { KnownWays } from "./known-ways.ts";
import { PLACE_WORDS, TagIndex, type TagSet } from "./tag-index.ts";

/** Lifetimes of installed flows. A flow that is used stays; what changes around it invalidates it by its tags. */
export const LIFETIME = {
  /** Idle timeout of ordinary flows, ms. */
  FLOW_IDLE_MS: 60_000,
  /** Idle timeout of flows from the tunnel to a local port, ms. */
  TUNNEL_IDLE_MS: 300_000,
  /** Idle timeout of flows that answer a VM's ARP requests, ms: VMs ask again for what they use, but not every minute. */
  ARP_ANSWER_IDLE_MS: 300_000,
  /** Hard timeout of drops that may pass by themselves (no route, no ARP answer, errors), ms. */
  ERROR_HARD_MS: 5_000,
} as const;

/** Timeouts of a flow, ms; 0: none. */
export interface Lifetime {
  readonly idleMs: number;
  readonly hardMs: number;
}

/** Of drops that may pass by themselves. */
export const SHORT_LIFE: Lifetime = { idleMs: 0, hardMs: LIFETIME.ERROR_HARD_MS };

/** What flows have in common whose packets take the same way. */
export class Way {
  readonly mask: FlowMask;
  readonly actions: readonly FlowAction[];
  /** What the way depends on. */
  readonly tags: readonly FlowTag[];
  /** Where its packets enter the virtual network; null for flows from the tunnel. */
  readonly startPort: PortId | null;
  readonly idleTimeoutMs: number;
  readonly hardTimeoutMs: number;
  /** Where the registry keeps flows with these tags. */
  tagSet: TagSet | null = null;

  constructor(
    mask: FlowMask,
    actions: readonly FlowAction[],
    tags: readonly FlowTag[],
    startPort: PortId | null,
    lifetime: Lifetime,
  ) {
    this.mask = mask;
    this.actions = actions;
    this.tags = tags;
    this.startPort = startPort;
    this.idleTimeoutMs = lifetime.idleMs;
    this.hardTimeoutMs = lifetime.hardMs;
  }
}

/** A flow of the books. Its match is used again for the next one. */
export interface InstalledFlow {
  readonly cookie: number;
  readonly match: FlowMatch;
  readonly way: Way;
}

/** What the datapath is given: it keeps a copy, so one object does for all. */
class Declared implements FlowEntry {
  cookie = 0;
  match: FlowMatch = new FlowMatch();
  way: Way = NO_WAY;

  get mask(): FlowMask {
    return this.way.mask;
  }

  get actions(): readonly FlowAction[] {
    return this.way.actions;
  }

  get idleTimeoutMs(): number {
    return this.way.idleTimeoutMs;
  }

  get hardTimeoutMs(): number {
    return this.way.hardTimeoutMs;
  }
}

const NO_WAY = new Way({ fields: 0, nwSrcBits: 0, nwDstBits: 0 }, [], [], null, SHORT_LIFE);

/** The flows this agent has installed, by cookie and by tag. */
export class FlowRegistry {
  private readonly datapath: Datapath;
  private readonly records = new FlowRecords(PLACE_WORDS);
  /** By the number of a flow's record. */
  private readonly wayOf: Way[] = [];
  private readonly index = new TagIndex(this.records);
  private readonly declared = new Declared();
  /** What new flows may be like, for as long as nothing is invalidated. */
  readonly ways = new KnownWays();
  invalidated = 0;

  constructor(datapath: Datapath) {
    this.datapath = datapath;
  }

  get size(): number {
    return this.records.size;
  }

  /** @param match read now; it may be used again. */
  install(cookie: number, match: FlowMatch, way: Way): void {
    const { declared } = this;
    let set = way.tagSet;
    let shared = way;
    if (set === null || !set.kept) {
      set = way.tagSet = this.index.setOf(way.tags);
      shared = this.shared(set, way);
    }
    const n = this.records.add(cookie);
    this.wayOf[n] = shared;
    this.index.add(n, set);
    declared.cookie = cookie;
    declared.match = match;
    declared.way = shared;
    this.datapath.install(declared);
  }

  /** Flows with the same tags mostly do the same with their packets: then they share what says so. */
  private shared(set: TagSet, way: Way): Way {
    const first = set.members[0];
    const other = first === undefined ? way : (this.wayOf[first] as Way);
    if (other === way) return way;
    const same =
      other.mask === way.mask &&
      other.startPort === way.startPort &&
      other.idleTimeoutMs === way.idleTimeoutMs &&
      other.hardTimeoutMs === way.hardTimeoutMs &&
      sameActions(other.actions, way.actions);
    return same ? other : way;
  }

  /** Removes every flow that carries one of the tags; the next packet of each is simulated again. */
  invalidate(tags: readonly FlowTag[]): number {
    if (tags.length > 0) this.ways.clear();
    const stale = new Set<number>();
    for (const tag of tags) for (const n of this.index.with(tag)) stale.add(this.records.cookieOf(n));
    for (const cookie of stale) this.remove(cookie);
    this.invalidated += stale.size;
    return stale.size;
  }

  remove(cookie: number): void {
    this.forget(cookie);
    this.datapath.remove(cookie);
  }

  /** The switch has removed it. */
  forget(cookie: number): void {
    const n = this.records.find(cookie);
    if (n === NONE) return;
    this.index.remove(n, (this.wayOf[n] as Way).tagSet as TagSet);
    this.records.remove(n);
    this.wayOf[n] = NO_WAY;
  }

  has(cookie: number): boolean {
    return this.records.find(cookie) !== NONE;
  }

  /** Those that the datapath has, too. Nothing may be installed or removed meanwhile. */
  *withTag(tag: FlowTag): Iterable<InstalledFlow> {
    const match = new FlowMatch();
    for (const n of this.index.with(tag)) {
      const cookie = this.records.cookieOf(n);
      if (this.datapath.readMatch(cookie, match)) yield { cookie, match, way: this.wayOf[n] as Way };
    }
  }

  isTagged(tag: FlowTag): boolean {
    return this.index.has(tag);
  }
}
