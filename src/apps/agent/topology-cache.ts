import type { BridgeId, Cancel, ChainId, PortId, RouterId, RuleId, Scheduler } from "#core/base";
import type { FlowTag } from "#core/flows";
import type { NsdbEvent, NsdbStore, NsdbWatch } from "#core/nsdb";
import {
  type ArmedTrace,
  type BridgeDevice,
  type CompiledChain,
  diffBridge,
  diffChain,
  diffGroup,
  diffPort,
  diffRouter,
  effectiveEmptiness,
  firstRulesAppeared,
  infilterUsersTags,
  type IsEffectivelyEmpty,
  type PortDevice,
  type RouterDevice,
  sameCondition,
  type TopologyView,
  TraceIndex,
  type VirtualDevice,
} from "#core/topology";
import { type Loaded, TopologyReader } from "./topology-reader.ts";

export type ObjectKind = "port" | "bridge" | "router" | "chain" | "group";

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
  object: PortDevice | BridgeDevice | RouterDevice | CompiledChain | ReadonlySet<number> | null | undefined;
  paths: ReadonlySet<string>;
}

type AnyLoaded = Loaded<NonNullable<Slot["object"]>>;

/** After this a reading that the store did not answer is made again, ms. */
const RETRY_MS = 1_000;

/**
 * The part of the topology that this host's packets needed so far, kept as the store has it. The simulation reads it
 * synchronously; what is not there yet is read on `load`. All objects that one transaction touched are exchanged at one
 * moment, so that no packet sees half of it; then the flows that depended on the old ones are invalidated.
 */
export class TopologyCache implements TopologyView {
  private readonly store: NsdbStore;
  private readonly scheduler: Scheduler;
  private readonly listener: TopologyListener;
  private readonly slots = new Map<string, Slot>();
  private readonly ports = new Map<string, PortDevice | null>();
  private readonly bridges = new Map<string, BridgeDevice | null>();
  private readonly routers = new Map<string, RouterDevice | null>();
  private readonly chains = new Map<string, CompiledChain | null>();
  private readonly groups = new Map<string, ReadonlySet<number> | null>();
  private readonly usersOfPath = new Map<string, Set<Slot>>();
  private readonly exhausted = new Set<RuleId>();
  /** Slots to read (again), and whether a reading is under way. */
  private dirty = new Set<Slot>();
  private reading: Promise<void> | null = null;
  private watch: NsdbWatch | null = null;
  private owed: ReadonlySet<Slot> = new Set();
  private retry: Cancel | null = null;
  private stopped = false;

  constructor(store: NsdbStore, scheduler: Scheduler, listener: TopologyListener) {
    this.store = store;
    this.scheduler = scheduler;
    this.listener = listener;
  }

  async start(): Promise<void> {
    this.watch ??= await this.store.watch("/", {
      events: (events) => this.changed(events),
      resync: () => this.refreshAll(),
    });
  }

  stop(): void {
    this.stopped = true;
    this.retry?.cancel();
    this.watch?.close();
    this.watch = null;
  }

  port(id: PortId): PortDevice | null | undefined {
    return this.ports.get(id);
  }

  bridge(id: BridgeId): BridgeDevice | null | undefined {
    return this.bridges.get(id);
  }

  router(id: RouterId): RouterDevice | null | undefined {
    return this.routers.get(id);
  }

  chain(id: ChainId): CompiledChain | null | undefined {
    return this.chains.get(id);
  }

  ipAddrGroup(id: string): ReadonlySet<number> | null | undefined {
    return this.groups.get(id);
  }

  /** Asks for an object; `loaded` tells when it is there. Asking again while it is being read does nothing. */
  load(kind: ObjectKind, id: string): void {
    const key = `${kind}:${id}`;
    if (this.slots.has(key)) return;
    const slot: Slot = { kind, id, object: undefined, paths: new Set() };
    this.slots.set(key, slot);
    this.dirty.add(slot);
    this.read();
  }

  /** The limit of this enabling is used up on this host: the rule is not looked at any more. */
  exhaust(deviceId: string, rule: RuleId): void {
    this.exhausted.add(rule);
    for (const map of [this.ports, this.bridges, this.routers] as const) {
      const device = map.get(deviceId);
      if (device === undefined || device === null || device.traces === null) continue;
      device.traces = this.index(device.traces.traces);
    }
  }

  /** Resolves when everything that changed so far has been read; for shutdown and tests. */
  async settled(): Promise<void> {
    while (this.reading !== null) await this.reading;
  }

  private changed(events: readonly NsdbEvent[]): void {
    for (const event of events) {
      this.touch(event.path);
      if (event.kind !== "changed") this.touch(`${event.path.slice(0, event.path.lastIndexOf("/"))}/*`);
    }
    if (this.dirty.size > 0) this.read();
  }

  private touch(path: string): void {
    const users = this.usersOfPath.get(path);
    if (users !== undefined) for (const slot of users) this.dirty.add(slot);
  }

  private refreshAll(): void {
    for (const slot of this.slots.values()) this.dirty.add(slot);
    this.read();
  }

  private read(): void {
    this.reading ??= this.readDirty().finally(() => {
      this.reading = null;
      if (this.dirty.size > 0 && !this.stopped) this.read();
    });
  }

  private async readDirty(): Promise<void> {
    const batch = this.dirty;
    this.dirty = new Set();
    try {
      const results = await this.readSlots([...batch]);
      const filters = this.unreadFilters(results);
      for (const slot of filters) batch.add(slot);
      results.push(...(await this.readSlots(filters)));
      if (!this.stopped) this.exchange(results);
    } catch (error) {
      if (this.stopped) return;
      this.listener.problem("the topology could not be read; trying again when the store answers", error);
      this.readAgainLater(batch);
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

  private readSlots(slots: readonly Slot[]): Promise<{ slot: Slot; loaded: AnyLoaded }[]> {
    return Promise.all(slots.map(async (slot) => ({ slot, loaded: await this.readSlot(slot) })));
  }

  /**
   * The filters of devices come with them: a chain that a device has just got must be known, for an unknown one counts as
   * a change of everything that passes the device (the chain made for a trace holds no ordinary rule, and changes nothing).
   */
  private unreadFilters(results: readonly { loaded: AnyLoaded }[]): Slot[] {
    const slots: Slot[] = [];
    for (const { loaded } of results) {
      const device = loaded.object;
      if (device === null || !("inFilter" in device)) continue;
      for (const id of [device.inFilter, device.outFilter]) {
        if (id === null || this.slots.has(`chain:${id}`)) continue;
        const slot: Slot = { kind: "chain", id, object: undefined, paths: new Set() };
        this.slots.set(`chain:${id}`, slot);
        slots.push(slot);
      }
    }
    return slots;
  }

  private readSlot(slot: Slot): Promise<AnyLoaded> {
    const reader = new TopologyReader(this.store);
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

  private exchange(results: readonly { slot: Slot; loaded: AnyLoaded }[]): void {
    const before = new Map(this.chains);
    const emptyBefore = effectiveEmptiness((id) => before.get(id));
    const emptyAfter = effectiveEmptiness((id) => this.chains.get(id));
    const old = results.map(({ slot }) => slot.object);
    const newlyArmed: { device: VirtualDevice; traces: ArmedTrace[] }[] = [];
    const gone: RuleId[] = [];
    for (const { slot, loaded } of results) {
      this.follow(slot, loaded.paths);
      const previous = slot.object;
      slot.object = loaded.object;
      this.put(slot);
      const armed = this.arm(slot, previous ?? null, loaded, gone);
      if (armed !== null) newlyArmed.push(armed);
    }
    const tags = new Set<FlowTag>();
    results.forEach(({ slot }, i) => {
      const previous = old[i];
      if (previous === undefined) return;
      for (const tag of this.diff(slot, previous, emptyBefore, emptyAfter)) tags.add(tag);
    });
    if (tags.size > 0) this.listener.invalidate([...tags]);
    for (const { device, traces } of newlyArmed) this.listener.armed(device, traces);
    if (gone.length > 0) this.listener.disarmed(gone);
    results.forEach(({ slot }, i) => {
      if (old[i] === undefined) this.listener.loaded(slot.kind, slot.id);
    });
  }

  private put(slot: Slot): void {
    const object = slot.object ?? null;
    switch (slot.kind) {
      case "port":
        this.ports.set(slot.id, object as PortDevice | null);
        break;
      case "bridge":
        this.bridges.set(slot.id, object as BridgeDevice | null);
        break;
      case "router":
        this.routers.set(slot.id, object as RouterDevice | null);
        break;
      case "chain":
        this.chains.set(slot.id, object as CompiledChain | null);
        break;
      case "group":
        this.groups.set(slot.id, object as ReadonlySet<number> | null);
    }
  }

  /** Gives the new device its traces; tells which of them are new to a device that was known before. */
  private arm(
    slot: Slot,
    previous: Slot["object"] | null,
    loaded: AnyLoaded,
    gone: RuleId[],
  ): { device: VirtualDevice; traces: ArmedTrace[] } | null {
    if (slot.kind === "chain" || slot.kind === "group") return null;
    const before = (previous as VirtualDevice | null)?.traces ?? null;
    const known = new Map((this.allTraces.get(slot.id) ?? []).map((t) => [t.ruleId, t]));
    const traces = loaded.traces;
    const kept = new Set(traces.map((t) => t.ruleId));
    for (const rule of known.keys()) {
      if (kept.has(rule)) continue;
      gone.push(rule);
      this.exhausted.delete(rule);
    }
    if (traces.length > 0) this.allTraces.set(slot.id, traces);
    else this.allTraces.delete(slot.id);
    const device = slot.object as VirtualDevice | null | undefined;
    if (device === null || device === undefined) return null;
    // An enabling whose condition or limit was changed could match flows that it could not match before.
    const fresh = traces.filter((t) => !asksTheSame(known.get(t.ruleId), t));
    for (const t of fresh) this.exhausted.delete(t.ruleId);
    const same = traces.length === known.size && traces.every((t) => isTheSame(known.get(t.ruleId), t));
    device.traces = same ? before : this.index(traces);
    return previous === undefined || previous === null || fresh.length === 0 ? null : { device, traces: fresh };
  }

  /** By device id: all armed traces, the exhausted ones too. */
  private readonly allTraces = new Map<string, readonly ArmedTrace[]>();

  private index(traces: readonly ArmedTrace[]): TraceIndex | null {
    const live = traces.filter((t) => !this.exhausted.has(t.ruleId));
    return live.length === 0 ? null : new TraceIndex(live);
  }

  private diff(slot: Slot, old: Slot["object"], before: IsEffectivelyEmpty, after: IsEffectivelyEmpty): FlowTag[] {
    const now = slot.object ?? null;
    switch (slot.kind) {
      case "port":
        return diffPort((old ?? null) as PortDevice | null, now as PortDevice | null, before, after);
      case "bridge":
        return diffBridge((old ?? null) as BridgeDevice | null, now as BridgeDevice | null, before, after);
      case "router":
        return diffRouter((old ?? null) as RouterDevice | null, now as RouterDevice | null, before, after);
      case "group":
        return diffGroup(slot.id, old as ReadonlySet<number> | null, now as ReadonlySet<number> | null);
      case "chain": {
        const was = (old ?? null) as CompiledChain | null;
        const is = now as CompiledChain | null;
        const tags = diffChain(was, is);
        if (firstRulesAppeared(was, is)) tags.push(...infilterUsersTags(slot.id as ChainId, this.devices()));
        return tags;
      }
    }
  }

  private *devices(): Iterable<VirtualDevice> {
    for (const map of [this.ports, this.bridges, this.routers] as const) {
      for (const device of map.values()) if (device !== null) yield device;
    }
  }

  private follow(slot: Slot, paths: ReadonlySet<string>): void {
    for (const path of slot.paths) {
      if (paths.has(path)) continue;
      const users = this.usersOfPath.get(path);
      users?.delete(slot);
      if (users?.size === 0) this.usersOfPath.delete(path);
    }
    for (const path of paths) {
      const users = this.usersOfPath.get(path);
      if (users === undefined) this.usersOfPath.set(path, new Set([slot]));
      else users.add(slot);
    }
    slot.paths = paths;
  }
}

function asksTheSame(a: ArmedTrace | undefined, b: ArmedTrace): boolean {
  return a !== undefined && a.limit === b.limit && sameCondition(a.condition.source, b.condition.source);
}

function isTheSame(a: ArmedTrace | undefined, b: ArmedTrace): boolean {
  return a !== undefined && a.chainId === b.chainId && asksTheSame(a, b);
}
