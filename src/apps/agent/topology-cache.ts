import {
  type BridgeId,
  type Cancel,
  type ChainId,
  type Clock,
  Histogram,
  type PortId,
  type RouterId,
  type RuleId,
  type Scheduler,
} from "#core/base";
import type { FlowTag } from "#core/flows";
import {
  BRIDGE,
  CHAIN,
  IP_ADDR_GROUP,
  type NsdbEvent,
  type NsdbNode,
  type NsdbStore,
  type NsdbWatch,
  PORT,
  ROUTE,
  ROUTER,
  RULE,
} from "#core/nsdb";
import {
  type ArmedTrace,
  type BridgeDevice,
  type CompiledChain,
  type PortDevice,
  type RouterDevice,
  type TopologyView,
  type VirtualDevice,
} from "#core/topology";
import type { KnownObject, ObjectKind } from "./known-objects.ts";
import { KnownTopology } from "./known-topology.ts";
import { NodeCache } from "./node-cache.ts";
import { PathUsers } from "./path-users.ts";
import type { PortKeys } from "./port-keys.ts";
import { isUnavailable } from "./refresher.ts";
import { type IsUp, type Loaded, type ReaderParts, TopologyReader } from "./topology-reader.ts";

export interface TopologyListener {
  /** Flows with one of these tags are stale. */
  invalidate(tags: readonly FlowTag[]): void;
  /** Traces were enabled on a device that this agent knows. */
  armed(device: VirtualDevice, traces: readonly ArmedTrace[]): void;
  /** Trace rules that are gone. */
  disarmed(rules: readonly RuleId[]): void;
  /** The object was loaded for the first time (or found missing). */
  loaded(kind: ObjectKind, id: string): void;
  problem(message: string, error: unknown): void;
}

interface Slot {
  readonly kind: ObjectKind;
  readonly id: string;
  /** `undefined` until read once. */
  object: KnownObject | null | undefined;
  /** What it was made of. */
  from: readonly unknown[];
}

type AnyLoaded = Loaded<KnownObject>;
type Read = { readonly slot: Slot; readonly loaded: AnyLoaded };

/** Changes are read at once, but so long after the last reading at the earliest, ms: a burst of them is few readings. */
const PACE_MS = 50;
/** After this a reading that the store did not answer is made again, ms. */
const RETRY_MS = 1_000;
/** Most nodes that are asked for ahead of a reading. */
const MOST_WANTED = 64;
/** Changes of these can matter to packets; not those of trace requests, tenants and what else the API keeps. */
const TOPOLOGY_PATHS = [BRIDGE, CHAIN, IP_ADDR_GROUP, PORT, ROUTE, ROUTER, RULE].map((kind) => kind.directory);
/** Where the records are that other nodes list by their ids. */
const PARTS: ReadonlySet<string> = new Set([PORT.directory, ROUTE.directory, RULE.directory]);
/** Complaints that are remembered, so that each is made once. */
const MAX_COMPLAINTS = 1_000;

/**
 * The part of the topology that this host's packets needed so far, kept as the store has it. The simulation reads it
 * synchronously; what is not there yet is read on `load`. All objects that one transaction touched are exchanged at one
 * moment, so that no packet sees half of it; then the flows that depended on the old ones are invalidated. An object that
 * cannot be made sense of stays as it was last known (or unknown), and keeps nothing from the others.
 */
export class TopologyCache implements TopologyView {
  private readonly store: NsdbStore;
  private readonly scheduler: Scheduler;
  private readonly listener: TopologyListener;
  private readonly nodes: NodeCache;
  private readonly readerParts: ReaderParts;
  private readonly slots = new Map<string, Slot>();
  private readonly known = new KnownTopology();
  private readonly users = new PathUsers<Slot>();
  /** Slots to read (again), and whether a reading is under way. */
  private dirty = new Set<Slot>();
  private reading: Promise<void> | null = null;
  /** What was said of unreadable nodes since the last gap. */
  private readonly complaints = new Set<string>();
  private watch: NsdbWatch | null = null;
  private owed: ReadonlySet<Slot> = new Set();
  private retry: Cancel | null = null;
  /** Runs after a reading. */
  private cooling: Cancel | null = null;
  private stopped = false;
  private readonly clock: Clock | null;
  /** When the oldest change that is not in force yet was heard of; null: all are in force. */
  private changedAtMs: number | null = null;
  /** Seconds from hearing of a change until packets are simulated by it. */
  readonly lag = new Histogram();

  /** @param clock for `lag`; null: it is not measured. */
  constructor(
    store: NsdbStore,
    scheduler: Scheduler,
    isUp: IsUp,
    listener: TopologyListener,
    clock: Clock | null = null,
  ) {
    this.clock = clock;
    this.store = store;
    this.scheduler = scheduler;
    this.nodes = new NodeCache(store);
    this.readerParts = { nodes: this.nodes, isUp, unreadable: (error) => this.complain(error) };
    this.listener = listener;
  }

  async start(): Promise<void> {
    if (this.watch !== null) return;
    const watch = await this.store.watch(TOPOLOGY_PATHS, {
      events: (events, nodes) => this.changed(events, nodes),
      wants: (events) => this.wants(events),
      resync: () => this.refreshAll(),
    });
    if (this.stopped) watch.close();
    else this.watch = watch;
  }

  stop(): void {
    this.stopped = true;
    this.retry?.cancel();
    this.cooling?.cancel();
    this.watch?.close();
    this.watch = null;
  }

  get portKeys(): PortKeys {
    return this.known.objects.portKeys;
  }

  port(id: PortId): PortDevice | null | undefined {
    return this.known.objects.ports.get(id);
  }

  bridge(id: BridgeId): BridgeDevice | null | undefined {
    return this.known.objects.bridges.get(id);
  }

  router(id: RouterId): RouterDevice | null | undefined {
    return this.known.objects.routers.get(id);
  }

  chain(id: ChainId): CompiledChain | null | undefined {
    return this.known.objects.chains.get(id);
  }

  ipAddrGroup(id: string): ReadonlySet<number> | null | undefined {
    return this.known.objects.groups.get(id);
  }

  /** Asks for an object; `loaded` tells when it is there. Asking again while it is being read does nothing. */
  load(kind: ObjectKind, id: string): void {
    if (this.slots.has(`${kind}:${id}`)) return;
    this.dirty.add(this.newSlot(kind, id));
    this.read();
  }

  private newSlot(kind: ObjectKind, id: string): Slot {
    const slot: Slot = { kind, id, object: undefined, from: [] };
    this.slots.set(`${kind}:${id}`, slot);
    return slot;
  }

  /** The limit of this enabling is used up on this host: the rule is not looked at any more. */
  exhaust(deviceId: string, rule: RuleId): void {
    this.known.armed.exhaust(rule, this.known.objects.device(deviceId));
  }

  /** Enabled traces of the devices that are known here, the exhausted ones too. */
  get armedCount(): number {
    return this.known.armed.count;
  }

  armedTraces(): Iterable<ArmedTrace> {
    return this.known.armed.all();
  }

  /** Resolves when everything that changed so far has been read; for shutdown and tests. */
  async settled(): Promise<void> {
    while (this.reading !== null || (this.dirty.size > 0 && !this.stopped)) {
      this.read();
      await this.reading;
    }
  }

  /**
   * What a reading of what these changes are about begins with: the nodes that somebody depends on, and new parts, which the
   * changed ones are likely to name. No hurry when nobody depends on any (a new part is told of before what names it), or
   * while no reading begins: until then they may change again.
   */
  private wants(events: readonly NsdbEvent[]): string[] | null {
    if (this.cooling !== null || this.reading !== null) return null;
    const isOurs = ({ kind, path }: NsdbEvent): boolean =>
      this.users.has(path) || (kind !== "changed" && this.users.has(`${parentOf(path)}/*`));
    if (!events.some(isOurs)) return null;
    const paths = events.flatMap(({ kind, path }) =>
      this.users.has(path) || (kind === "created" && PARTS.has(parentOf(path))) ? [path] : [],
    );
    return [...new Set(paths)].slice(0, MOST_WANTED);
  }

  private changed(events: readonly NsdbEvent[], nodes: ReadonlyMap<string, NsdbNode | null>): void {
    for (const event of events) {
      this.nodes.touched(event.path);
      this.touch(event.path);
      if (event.kind === "changed") continue;
      const parent = parentOf(event.path);
      this.nodes.touchedChildren(parent);
      this.touch(`${parent}/*`);
    }
    this.nodes.took(nodes);
    if (this.dirty.size === 0) return;
    this.changedAtMs ??= this.clock?.monotonicMs() ?? null;
    if (this.cooling === null) this.read();
  }

  private touch(path: string): void {
    for (const slot of this.users.touched(path)) this.dirty.add(slot);
  }

  /** Reads everything again that is known here. */
  refreshAll(): void {
    this.nodes.clear();
    this.complaints.clear();
    for (const slot of this.slots.values()) this.dirty.add(slot);
    this.read();
  }

  private read(): void {
    this.reading ??= this.readDirty().finally(() => {
      this.reading = null;
      if (this.stopped) return;
      // A packet may wait for what was never read. What only changed is read with what changes next.
      if ([...this.dirty].some((slot) => slot.object === undefined)) this.read();
      else this.cool();
    });
  }

  private cool(): void {
    this.cooling ??= this.scheduler.after(PACE_MS, () => {
      this.cooling = null;
      if (this.dirty.size > 0 && !this.stopped) this.read();
    });
  }

  private async readDirty(): Promise<void> {
    const batch = this.dirty;
    const { changedAtMs } = this;
    this.changedAtMs = null;
    this.dirty = new Set();
    this.users.begin();
    try {
      const results = await this.readSlots([...batch]);
      const filters = this.unreadFilters(results, batch);
      for (const slot of filters) batch.add(slot);
      results.push(...(await this.readSlots(filters)));
      if (this.stopped) return;
      this.exchange(results);
      if (changedAtMs !== null && this.clock !== null)
        this.lag.observe((this.clock.monotonicMs() - changedAtMs) / 1_000);
    } catch (error) {
      if (this.stopped) return;
      this.changedAtMs = changedAtMs ?? this.changedAtMs;
      this.listener.problem("the topology could not be read; trying again when the store answers", error);
      this.readAgainLater(batch);
    } finally {
      this.users.end();
      if (this.dirty.size === 0) this.nodes.forgetTold();
    }
  }

  /** What was not read is neither forgotten nor asked for without a pause. */
  private readAgainLater(batch: ReadonlySet<Slot>): void {
    this.retry?.cancel();
    const owed = new Set([...this.owed, ...batch]);
    this.owed = owed;
    this.retry = this.scheduler.after(RETRY_MS, () => {
      this.owed = new Set();
      for (const slot of owed) this.dirty.add(slot);
      this.read();
    });
  }

  /** @throws NsdbUnavailable */
  private async readSlots(slots: readonly Slot[]): Promise<Read[]> {
    const reads = await Promise.all(slots.map((slot) => this.readSlot(slot)));
    return reads.filter((read) => read !== null);
  }

  /**
   * The filters of devices come with them, never read or being asked for by somebody else: a device's traces stand in its
   * infilter; and an unknown chain that a device has just got counts as a change of everything that passes the device (the one
   * made for a trace holds no ordinary rule, and changes nothing).
   */
  private unreadFilters(results: readonly { loaded: AnyLoaded }[], batch: ReadonlySet<Slot>): Slot[] {
    const slots = new Set<Slot>();
    for (const { loaded } of results) {
      const device = loaded.object;
      if (device === null || !("inFilter" in device)) continue;
      for (const id of [device.inFilter, device.outFilter]) {
        if (id === null) continue;
        const slot = this.slots.get(`chain:${id}`) ?? this.newSlot("chain", id);
        if (slot.object === undefined && !batch.has(slot)) slots.add(slot);
      }
    }
    return [...slots];
  }

  /** Null: there is something that makes no sense. @throws NsdbUnavailable */
  private async readSlot(slot: Slot): Promise<Read | null> {
    const reader = new TopologyReader(this.readerParts, slot);
    try {
      return { slot, loaded: await reader.object(slot.kind, slot.id) };
    } catch (error) {
      if (this.stopped || isUnavailable(error)) throw error;
      this.complain(error);
      // It is read again when something that it depends on, the broken node included, changes.
      this.follow(slot, new Set([...this.users.pathsOf(slot), ...reader.paths]));
      return null;
    }
  }

  private complain(error: unknown): void {
    const what = String(error);
    if (this.complaints.has(what)) return;
    if (this.complaints.size >= MAX_COMPLAINTS) this.complaints.clear();
    this.complaints.add(what);
    this.listener.problem("a part of the topology cannot be read, and stays as it was last known", error);
  }

  private exchange(results: readonly Read[]): void {
    const list = results.map(({ slot, loaded }) => ({ kind: slot.kind, id: slot.id, was: slot.object, loaded }));
    for (const { slot, loaded } of results) {
      this.follow(slot, loaded.paths);
      slot.object = loaded.object;
      slot.from = loaded.from;
    }
    const { tags, armed, gone } = this.known.exchange(list);
    if (tags.length > 0) this.listener.invalidate(tags);
    for (const { device, traces } of armed) this.listener.armed(device, traces);
    if (gone.length > 0) this.listener.disarmed(gone);
    for (const { kind, id, was } of list) if (was === undefined) this.listener.loaded(kind, id);
  }

  private follow(slot: Slot, paths: ReadonlySet<string>): void {
    if (this.users.follow(slot, paths)) this.dirty.add(slot);
  }
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));
