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
  effectiveEmptiness,
  type PortDevice,
  type RouterDevice,
  type TopologyView,
  type VirtualDevice,
} from "#core/topology";
import { ArmedTraces } from "./armed-traces.ts";
import { type KnownObject, KnownObjects, type ObjectKind } from "./known-objects.ts";
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
  private readonly known = new KnownObjects();
  private readonly users = new PathUsers<Slot>();
  private readonly armed = new ArmedTraces();
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
    return this.known.portKeys;
  }

  port(id: PortId): PortDevice | null | undefined {
    return this.known.ports.get(id);
  }

  bridge(id: BridgeId): BridgeDevice | null | undefined {
    return this.known.bridges.get(id);
  }

  router(id: RouterId): RouterDevice | null | undefined {
    return this.known.routers.get(id);
  }

  chain(id: ChainId): CompiledChain | null | undefined {
    return this.known.chains.get(id);
  }

  ipAddrGroup(id: string): ReadonlySet<number> | null | undefined {
    return this.known.groups.get(id);
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
    this.armed.exhaust(rule, this.known.device(deviceId));
  }

  /** Enabled traces of the devices that are known here, the exhausted ones too. */
  get armedCount(): number {
    return this.armed.count;
  }

  armedTraces(): Iterable<ArmedTrace> {
    return this.armed.all();
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
   * changed ones are likely to name. Nothing when nobody depends on any, or while no reading begins: until then they may
   * change again.
   */
  private wants(events: readonly NsdbEvent[]): string[] {
    if (this.cooling !== null || this.reading !== null) return [];
    const isOurs = ({ kind, path }: NsdbEvent): boolean =>
      this.users.has(path) || (kind !== "changed" && this.users.has(`${parentOf(path)}/*`));
    if (!events.some(isOurs)) return [];
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
      return { slot, loaded: await read(reader, slot) };
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
    const old = results.map(({ slot }) => slot.object);
    const chains = new Map<string, CompiledChain | null | undefined>();
    for (const { slot } of results) if (slot.kind === "chain") chains.set(slot.id, slot.object as CompiledChain | null);
    const emptyBefore = effectiveEmptiness((id) => (chains.has(id) ? chains.get(id) : this.known.chains.get(id)));
    const emptyAfter = effectiveEmptiness((id) => this.known.chains.get(id));
    const toArm = this.touchedByTraces(results);
    for (const { slot, loaded } of results) {
      this.follow(slot, loaded.paths);
      slot.object = loaded.object;
      slot.from = loaded.from;
      this.known.put(slot.kind, slot.id, loaded.object);
    }
    const newlyArmed: { device: VirtualDevice; traces: readonly ArmedTrace[] }[] = [];
    const gone: RuleId[] = [];
    for (const [id, previous] of toArm) {
      const device = this.known.device(id);
      const arming = this.armed.arm(id, device, previous);
      gone.push(...arming.gone);
      // Through a device that was not known there are no flows.
      if (device !== null && previous !== null && arming.fresh.length > 0)
        newlyArmed.push({ device, traces: arming.fresh });
    }
    const tags = new Set<FlowTag>();
    results.forEach(({ slot }, i) => {
      const previous = old[i];
      if (previous === undefined || previous === slot.object) return;
      for (const tag of this.known.diff(slot.kind, slot.id, previous, emptyBefore, emptyAfter)) tags.add(tag);
    });
    if (tags.size > 0) this.listener.invalidate([...tags]);
    for (const { device, traces } of newlyArmed) this.listener.armed(device, traces);
    if (gone.length > 0) this.listener.disarmed(gone);
    results.forEach(({ slot }, i) => {
      if (old[i] === undefined) this.listener.loaded(slot.kind, slot.id);
    });
  }

  /**
   * Devices that are to be armed anew: those that were read, and those that have or had traces in the chains that were.
   * Each as it is until now.
   */
  private touchedByTraces(results: readonly Read[]): Map<string, VirtualDevice | null> {
    const devices = new Map<string, VirtualDevice | null>();
    for (const { slot, loaded } of results) {
      if (slot.kind === "group") continue;
      if (slot.kind !== "chain") devices.set(slot.id, this.known.device(slot.id));
      else for (const id of this.armed.read(slot.id as ChainId, loaded.traces)) devices.set(id, this.known.device(id));
    }
    return devices;
  }

  private follow(slot: Slot, paths: ReadonlySet<string>): void {
    if (this.users.follow(slot, paths)) this.dirty.add(slot);
  }
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));

function read(reader: TopologyReader, slot: Slot): Promise<AnyLoaded> {
  switch (slot.kind) {
    case "port":
      return reader.port(slot.id as PortId);
    case "bridge":
      return reader.bridge(slot.id as BridgeId);
    case "router":
      return reader.router(slot.id as RouterId);
    case "chain":
      return reader.chain(slot.id as ChainId);
    case "group":
      return reader.group(slot.id);
  }
}
