import type { BridgeId, HostId, RouterId, Scheduler } from "#core/base";
import type { Datapath } from "#core/datapath";
import { tunnelKeyTag } from "#core/flows";
import {
  BRIDGE,
  HOST,
  type HostState,
  type NsdbEvent,
  type NsdbSessionState,
  type NsdbStore,
  type NsdbWatch,
  PORT,
  ROUTER,
  RULE,
  TUNNEL_ZONE,
} from "#core/nsdb";
import { Announcer } from "./announcer.ts";
import type { Bindings } from "./bindings.ts";
import type { FlowRegistry } from "./flow-registry.ts";
import type { Hearsay } from "./hearsay.ts";
import type { LearnedTables } from "./learned-tables.ts";
import type { Peers } from "./peers.ts";
import { Refresher } from "./refresher.ts";
import { readBindings, readPeers } from "./shared-state.ts";
import type { TopologyCache } from "./topology-cache.ts";
import type { AgentTraceGate } from "./trace-gate.ts";

/** What `changed` makes something of. */
const WATCHED = [BRIDGE, HOST, PORT, ROUTER, TUNNEL_ZONE].map((kind) => kind.directory);
/** Directories of a bridge that say where MACs are. */
const BRIDGE_TABLES: ReadonlySet<string> = new Set(["mac_ports", "vlans", "static_macs"]);

export interface UpkeepParts {
  readonly hostId: HostId;
  readonly store: NsdbStore;
  readonly state: HostState;
  readonly scheduler: Scheduler;
  readonly datapath: Datapath;
  readonly bindings: Bindings;
  readonly peers: Peers;
  readonly flows: FlowRegistry;
  readonly topology: TopologyCache;
  readonly learned: LearnedTables;
  readonly hearsay: Hearsay;
  readonly gate: AgentTraceGate;
  readonly problem: (message: string, error: unknown) => void;
}

/**
 * What an agent and the store tell each other beside devices and chains: which ports are bound here, who the peers are, what
 * others have learned, that this host is alive and which of its ports are up, which enablings are over.
 */
export class Upkeep {
  private readonly o: UpkeepParts;
  private readonly ready: (what: string) => void;
  private readonly announcer: Announcer;
  private readonly refresher: Refresher;
  private watching: NsdbWatch | null = null;
  private announcing = false;
  private stopped = false;
  private away = false;

  /** @param ready what packets may wait for was read. */
  constructor(parts: UpkeepParts, ready: (what: string) => void) {
    this.o = parts;
    this.ready = ready;
    const { scheduler, problem, store, state, hostId } = parts;
    this.announcer = new Announcer(state, store, hostId);
    this.refresher = new Refresher({ scheduler, problem, refresh: (what) => this.refresh(what) });
  }

  /** The store is not known to answer. */
  get storeAway(): boolean {
    return this.away;
  }

  get isAnnounced(): boolean {
    return this.announcer.isAnnounced;
  }

  /** Does the work of a start, again and again while the store is away; ends without it when stopped. */
  insist(what: string, work: () => Promise<void>): Promise<void> {
    return this.refresher.insist(what, work);
  }

  /** From here on all changes are followed. @throws NsdbUnavailable */
  async watch(): Promise<void> {
    this.watching ??= await this.o.store.watch(WATCHED, {
      events: (events) => this.changed(events),
      resync: () => this.askForAll(),
    });
    if (this.stopped) this.watching.close();
  }

  /** The session and its ends are followed, too. */
  followSession(): void {
    this.o.store.onSession((state) => this.session(state));
  }

  /** @throws NsdbUnavailable */
  async readBindingsAndPeers(): Promise<void> {
    await this.refresh("peers");
    await this.refresh("bindings");
  }

  /** Says from here on that the host is alive, and which ports are up. */
  announce(): void {
    this.announcing = true;
    this.ask("active");
  }

  /** A port of the switch came, went or changed. */
  portsChanged(): void {
    this.ask("active");
  }

  /** The device was met for the first time: what others have learned of it is needed. */
  follow(kind: "bridge" | "router", id: string): void {
    this.ask(kind === "bridge" ? `macs ${id}` : `arp ${id}`);
  }

  askForLearned(): void {
    const { learned } = this.o;
    for (const id of learned.bridges()) this.follow("bridge", id);
    for (const id of learned.routers()) this.follow("router", id);
  }

  /** Looks after what ends without an event. */
  sweep(): void {
    if (this.o.gate.overdue().length > 0) this.ask("enablings");
  }

  /** Resolves when everything that the store said so far was read. */
  settled(): Promise<void> {
    return this.refresher.settled();
  }

  stop(): void {
    this.stopped = true;
    this.refresher.stop();
    this.watching?.close();
  }

  private ask(what: string): void {
    this.refresher.ask(what);
  }

  private changed(events: readonly NsdbEvent[]): void {
    const { learned, hostId } = this.o;
    for (const { kind, path } of events) {
      if (kind === "deleted" && this.announcer.gone(path)) this.ask("active");
      const [top, id, what] = path.slice(1).split("/");
      if (top === "bridges" && BRIDGE_TABLES.has(what ?? "")) {
        if (learned.knowsBridge(id as BridgeId)) this.ask(`macs ${id}`);
      } else if (top === "routers" && what === "arp_table") {
        if (learned.knowsRouter(id as RouterId)) this.ask(`arp ${id}`);
      } else if (top === "hosts" && id === hostId && what === "vrnMappings") this.ask("bindings");
      else if (top === "tunnel_zones" || (top === "hosts" && what === undefined)) this.ask("peers");
    }
  }

  private askForAll(): void {
    this.ask("bindings");
    this.ask("peers");
    this.askForLearned();
    this.announcer.gap();
    if (this.announcing) this.ask("active");
  }

  private session(state: NsdbSessionState): void {
    this.away = state !== "connected";
    if (this.stopped) return;
    const { learned, hearsay } = this.o;
    if (state === "lost") {
      // Everything ephemeral of this agent is gone with its session.
      learned.sessionLost();
      hearsay.sessionLost();
    } else if (state === "connected") {
      // Said again now: while the session is lost the store takes nothing.
      if (this.announcing) this.ask("active");
      learned.shareAgain();
      hearsay.connected();
    }
  }

  private async refresh(what: string): Promise<void> {
    const [kind = "", id] = what.split(" ");
    const { learned, bindings } = this.o;
    switch (kind) {
      case "macs":
        await learned.refreshBridge(id as BridgeId);
        return this.ready(`bridge ${id}`);
      case "arp":
        await learned.refreshRouter(id as RouterId);
        return this.ready(`router ${id}`);
      case "bindings":
        return this.refreshBindings();
      case "peers":
        return this.refreshPeers();
      case "active":
        return this.announcer.announce(bindings.active());
      case "enablings":
        return this.forgetEnablings();
    }
  }

  private async refreshBindings(): Promise<void> {
    const { store, hostId, bindings, topology, flows, datapath } = this.o;
    const found = await readBindings(store, hostId, this.unreadable);
    const before = new Set(bindings.bound());
    const stale = bindings.replace(found);
    for (const id of bindings.bound()) {
      topology.load("port", id);
      // Known as another host's port until now: its frames may have come here, and be dropped for want of it.
      const key = before.has(id) ? undefined : topology.port(id)?.tunnelKey;
      if (key !== undefined) stale.push(tunnelKeyTag(key));
    }
    flows.invalidate(stale);
    datapath.bindInterfaces([...found.keys()]);
    if (this.announcing) this.ask("active");
  }

  private async refreshPeers(): Promise<void> {
    const { store, hostId, peers: known, flows, datapath } = this.o;
    const { own, peers } = await readPeers(store, hostId, this.unreadable);
    flows.invalidate(known.replace(own, peers));
    datapath.setPeers(peers.map((p) => p.tunnelIp));
  }

  /** Whether an enabling is over the store says: this host may just not have met its device since it started. */
  private async forgetEnablings(): Promise<void> {
    const { gate, store } = this.o;
    const rules = gate.overdue();
    const nodes = await store.getMany(rules.map((rule) => `${RULE.directory}/${rule}`));
    for (const [i, rule] of rules.entries()) {
      if (nodes[i] === null) gate.forget(rule);
      else gate.keep(rule);
    }
  }

  private readonly unreadable = (error: unknown): void =>
    this.o.problem("a node cannot be read, and is left out", error);
}
