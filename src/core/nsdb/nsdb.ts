/** The resources as the rest of the system uses them: each call is one transaction. */
import {
  type BridgeId,
  type ChainId,
  type Clock,
  type HostId,
  type IpAddrGroupId,
  MidotraceError,
  type PortGroupId,
  type PortId,
  type Random,
  type RouteId,
  type RouterId,
  type RuleId,
  type TraceRequestId,
  type TunnelZoneId,
} from "#core/base";
import { MAX_PORT_KEY } from "#core/flows";
import type {
  BridgeRecord,
  RouterRecord,
  TopologyDocument,
  TopologyRecords,
  TraceRequestRecord,
  TunnelZoneMember,
} from "#core/topology";
import { applyIn } from "./apply.ts";
import * as tables from "./bridge-tables.ts";
import type { ApplyReport } from "./apply-report.ts";
import * as chains from "./chains.ts";
import * as devices from "./devices.ts";
import * as groups from "./groups.ts";
import { HostState } from "./host-state.ts";
import { JointTransactions } from "./joint-transactions.ts";
import * as hosts from "./hosts.ts";
import { initialize } from "./identity.ts";
import {
  BRIDGE,
  CHAIN,
  HOST,
  IP_ADDR_GROUP,
  type Kind,
  PORT,
  PORT_GROUP,
  ROUTE,
  ROUTER,
  TRACE,
  TUNNEL_ZONE,
} from "./kinds.ts";
import * as links from "./links.ts";
import { type Ctx, find, findAll, need, notFound } from "./objects.ts";
import * as ports from "./ports.ts";
import * as routes from "./routes.ts";
import type { NsdbStore } from "./store.ts";
import { readTopology } from "./topology-reader.ts";
import { SwitchedLately } from "./switched-lately.ts";
import * as system from "./system-state.ts";
import type { TraceQuota } from "./quota.ts";
import * as traces from "./traces.ts";
import { transact, type TransactOptions } from "./tx.ts";

export interface NsdbOptions extends TransactOptions {
  /** Largest tunnel key to hand out, default 0xfffff: smaller only to test what happens at the end. */
  readonly maxTunnelKey?: number;
}

type Work<T> = (c: Ctx) => Promise<T>;
/** Runs work in a transaction of its own. */
type Run = <T>(work: Work<T>) => Promise<T>;

/**
 * Every change is one store transaction and is run again when others changed the same objects meanwhile. The changes of
 * one `Nsdb` wait for each other (they would only make each other run again; those that switch traces are made together with
 * others that wait); reads wait for nothing.
 *
 * Every method may throw MidotraceError STORE_UNAVAILABLE, INTERNAL (malformed data in the store) and, when it changes
 * something, CONFLICT (others kept winning) and TOO_LARGE; what else it throws is said at the function of the same name in
 * the resource's module.
 */
export class Nsdb {
  readonly store: NsdbStore;
  /** What agents say of the moment. */
  readonly state: HostState;
  private readonly random: Random;
  private readonly clock: Clock;
  private readonly options: NsdbOptions;
  private readonly switchedLately = new SwitchedLately();
  private readonly joint: JointTransactions;
  private tail: Promise<unknown> = Promise.resolve();

  constructor(store: NsdbStore, random: Random, clock: Clock, options: NsdbOptions = {}) {
    this.store = store;
    this.random = random;
    this.clock = clock;
    this.options = options;
    const { attempts } = options;
    const alone = attempts === undefined ? {} : { attempts };
    this.joint = new JointTransactions((work) => this.inTurn(() => this.attempt(work, alone)));
    this.state = new HostState(store);
  }

  /** Several operations of the resource modules as one transaction. */
  readonly transaction: Run = (work) => this.inTurn(() => this.attempt(work, this.options));

  private readonly read: Run = (work) => this.attempt(work, this.options);

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.tail.then(work);
    this.tail = result.catch(() => undefined);
    return result;
  }

  private attempt<T>(work: Work<T>, options: TransactOptions): Promise<T> {
    const { random, clock } = this;
    const maxTunnelKey = this.options.maxTunnelKey ?? MAX_PORT_KEY;
    return transact(this.store, (tx) => work({ tx, random, clock, maxTunnelKey }), options);
  }

  /** As a transaction, in one with others that wait for the same. */
  private async jointly(work: Work<void>): Promise<void> {
    const changes = await this.joint.do(work);
    this.options.committed?.(changes);
  }

  /** See `initialize`. */
  initialize(): Promise<void> {
    return initialize(this.store, this.random);
  }

  /** See `readTopology`. */
  readTopology(): Promise<TopologyRecords> {
    return readTopology(this.store);
  }

  /** See `applyDocument`. */
  apply(doc: TopologyDocument): Promise<ApplyReport> {
    return this.transaction((c) => applyIn(c, doc));
  }

  readonly systemState = {
    get: () => this.read((c) => system.getSystemState(c)),
    update: (patch: system.SystemStatePatch) => this.transaction((c) => system.updateSystemState(c, patch)),
  };

  private reader<T extends { readonly id: string }>(kind: Kind<T>) {
    return {
      /** Null when there is none. */
      find: (id: string) => this.read((c) => find(c, kind, id)),
      /** @throws MidotraceError NOT_FOUND */
      get: (id: string) => this.read((c) => need(c, kind, id)),
    };
  }

  readonly bridges = {
    ...this.reader(BRIDGE),
    list: (filter?: devices.DeviceFilter): Promise<BridgeRecord[]> =>
      this.read((c) => devices.listDevices(c, BRIDGE, filter)),
    create: (input: devices.DeviceInput<BridgeId>) => this.transaction((c) => devices.createBridge(c, input)),
    update: (id: BridgeId, patch: devices.DevicePatch) => this.transaction((c) => devices.updateBridge(c, id, patch)),
    delete: (id: BridgeId) => this.transaction((c) => devices.deleteBridge(c, id)),
  };

  readonly bridgeTables = {
    setMac: (id: BridgeId, entry: tables.StaticMac) => this.transaction((c) => tables.setStaticMac(c, id, entry)),
    removeMac: (id: BridgeId, entry: tables.StaticMac) => this.transaction((c) => tables.removeStaticMac(c, id, entry)),
    arpSeeds: (id: BridgeId) => this.read((c) => tables.listArpSeeds(c, id)),
    setArpSeed: (id: BridgeId, entry: tables.ArpSeed) => this.transaction((c) => tables.setArpSeed(c, id, entry)),
    removeArpSeed: (id: BridgeId, entry: tables.ArpSeed) => this.transaction((c) => tables.removeArpSeed(c, id, entry)),
  };

  readonly routers = {
    ...this.reader(ROUTER),
    list: (filter?: devices.DeviceFilter): Promise<RouterRecord[]> =>
      this.read((c) => devices.listDevices(c, ROUTER, filter)),
    create: (input: devices.RouterInput) => this.transaction((c) => devices.createRouter(c, input)),
    update: (id: RouterId, patch: devices.RouterPatch) => this.transaction((c) => devices.updateRouter(c, id, patch)),
    delete: (id: RouterId) => this.transaction((c) => devices.deleteRouter(c, id)),
  };

  readonly ports = {
    ...this.reader(PORT),
    list: (filter?: ports.PortFilter) => this.read((c) => ports.listPorts(c, filter)),
    createOnBridge: (bridge: BridgeId, input: ports.BridgePortInput) =>
      this.transaction((c) => ports.createBridgePort(c, bridge, input)),
    createOnRouter: (router: RouterId, input: ports.RouterPortInput) =>
      this.transaction((c) => ports.createRouterPort(c, router, input)),
    update: (id: PortId, patch: ports.PortPatch) => this.transaction((c) => ports.updatePort(c, id, patch)),
    delete: (id: PortId) => this.transaction((c) => ports.deletePort(c, id)),
    link: (id: PortId, peer: PortId) => this.transaction((c) => links.linkPorts(c, id, peer)),
    unlink: (id: PortId) => this.transaction((c) => links.unlinkPort(c, id)),
    bind: (binding: links.Binding) => this.transaction((c) => links.bindPort(c, binding)),
    unbind: (id: PortId) => this.transaction((c) => links.unbindPort(c, id)),
  };

  readonly chains = {
    ...this.reader(CHAIN),
    list: (filter?: { readonly tenantId?: string | undefined }) => this.read((c) => chains.listChains(c, filter)),
    create: (input: chains.ChainInput) => this.transaction((c) => chains.createChain(c, input)),
    update: (id: ChainId, patch: chains.ChainPatch) => this.transaction((c) => chains.updateChain(c, id, patch)),
    delete: (id: ChainId) => this.transaction((c) => chains.deleteChain(c, id)),
  };

  readonly rules = {
    find: (id: RuleId) => this.read((c) => chains.findRule(c, id)),
    get: (id: RuleId, onlooker?: chains.Onlooker) => this.read((c) => chains.getRule(c, id, onlooker)),
    list: (chain: ChainId, onlooker?: chains.Onlooker) => this.read((c) => chains.listRules(c, chain, onlooker)),
    /** `position` is 1-based, default 1. */
    create: (chain: ChainId, input: chains.RuleInput, position?: number, onlooker?: chains.Onlooker) =>
      this.transaction((c) => chains.createRule(c, chain, input, position, onlooker)),
    delete: (id: RuleId, onlooker?: chains.Onlooker) => this.transaction((c) => chains.deleteRule(c, id, onlooker)),
  };

  readonly routes = {
    ...this.reader(ROUTE),
    list: (router?: RouterId) => this.read((c) => routes.listRoutes(c, router)),
    create: (router: RouterId, input: routes.RouteInput) =>
      this.transaction((c) => routes.createRoute(c, router, input)),
    update: (id: RouteId, patch: { readonly weight?: number | undefined }) =>
      this.transaction((c) => routes.updateRoute(c, id, patch)),
    delete: (id: RouteId) => this.transaction((c) => routes.deleteRoute(c, id)),
  };

  readonly hosts = {
    ...this.reader(HOST),
    list: () => this.read((c) => findAll(c, HOST)),
    create: (input: hosts.HostInput) => this.transaction((c) => hosts.createHost(c, input)),
    register: (id: HostId, name: string) => this.transaction((c) => hosts.registerHost(c, id, name)),
    update: (id: HostId, patch: hosts.HostPatch) => this.transaction((c) => hosts.updateHost(c, id, patch)),
    delete: (id: HostId) => this.transaction((c) => hosts.deleteHost(c, id)),
    /** @throws MidotraceError NOT_FOUND for the host. */
    bindings: (id: HostId) =>
      this.read(async (c) => {
        await need(c, HOST, id);
        return links.bindingsOf(c, id);
      }),
    /** @throws MidotraceError NOT_FOUND when the port is not bound to the host. */
    binding: (id: HostId, port: PortId) =>
      this.read(async (c) => {
        const found = (await links.bindingsOf(c, id)).find((b) => b.portId === port);
        if (found === undefined) throw notFound(`binding on host ${id}:`, `port ${port}`);
        return found;
      }),
  };

  readonly tunnelZones = {
    ...this.reader(TUNNEL_ZONE),
    list: () => this.read((c) => findAll(c, TUNNEL_ZONE)),
    create: (input: hosts.ZoneInput) => this.transaction((c) => hosts.createZone(c, input)),
    update: (id: TunnelZoneId, patch: Partial<Omit<hosts.ZoneInput, "id">>) =>
      this.transaction((c) => hosts.updateZone(c, id, patch)),
    delete: (id: TunnelZoneId) => this.transaction((c) => hosts.deleteZone(c, id)),
    members: (id: TunnelZoneId) => this.read((c) => hosts.listMembers(c, id)),
    member: (id: TunnelZoneId, host: HostId) => this.read((c) => hosts.getMember(c, id, host)),
    addMember: (member: TunnelZoneMember) => this.transaction((c) => hosts.addMember(c, member)),
    updateMember: (member: TunnelZoneMember) => this.transaction((c) => hosts.updateMember(c, member)),
    removeMember: (id: TunnelZoneId, host: HostId) => this.transaction((c) => hosts.removeMember(c, id, host)),
  };

  readonly portGroups = {
    ...this.reader(PORT_GROUP),
    list: (filter?: groups.PortGroupFilter) => this.read((c) => groups.listPortGroups(c, filter)),
    create: (input: groups.PortGroupInput) => this.transaction((c) => groups.createPortGroup(c, input)),
    update: (id: PortGroupId, patch: groups.PortGroupPatch) =>
      this.transaction((c) => groups.updatePortGroup(c, id, patch)),
    delete: (id: PortGroupId) => this.transaction((c) => groups.deletePortGroup(c, id)),
    ports: (id: PortGroupId) => this.read((c) => groups.listGroupPorts(c, id)),
    isMember: (id: PortGroupId, port: PortId) => this.read((c) => groups.isMember(c, id, port)),
    addPort: (id: PortGroupId, port: PortId) => this.transaction((c) => groups.addPort(c, id, port)),
    removePort: (id: PortGroupId, port: PortId) => this.transaction((c) => groups.removePort(c, id, port)),
  };

  readonly ipAddrGroups = {
    ...this.reader(IP_ADDR_GROUP),
    list: () => this.read((c) => findAll(c, IP_ADDR_GROUP)),
    create: (input: { readonly id?: IpAddrGroupId | undefined; readonly name: string }) =>
      this.transaction((c) => groups.createIpAddrGroup(c, input)),
    update: (id: IpAddrGroupId, patch: { readonly name?: string | undefined }) =>
      this.transaction((c) => groups.updateIpAddrGroup(c, id, patch)),
    delete: (id: IpAddrGroupId) => this.transaction((c) => groups.deleteIpAddrGroup(c, id)),
    addresses: (id: IpAddrGroupId) => this.read((c) => groups.listAddresses(c, id)),
    hasAddress: (id: IpAddrGroupId, address: string) => this.read((c) => groups.hasAddress(c, id, address)),
    addAddress: (id: IpAddrGroupId, address: string) => this.transaction((c) => groups.addAddress(c, id, address)),
    removeAddress: (id: IpAddrGroupId, address: string) =>
      this.transaction((c) => groups.removeAddress(c, id, address)),
  };

  readonly traces = {
    ...this.reader(TRACE),
    list: (filter?: traces.TraceFilter) => this.read((c) => traces.listTraces(c, filter)),
    page: (filter: traces.TraceFilter, page: { readonly limit: number; readonly marker?: string | undefined }) =>
      this.read((c) => traces.pageTraces(c, filter, page)),
    create: (input: traces.TraceInput, quota?: TraceQuota) =>
      this.transaction((c) => traces.createTrace(c, input, quota)),
    update: (id: TraceRequestId, patch: traces.TracePatch) => this.transaction((c) => traces.updateTrace(c, id, patch)),
    enable: (id: TraceRequestId, quota?: TraceQuota) => this.transaction((c) => traces.enableTrace(c, id, quota)),
    disable: (id: TraceRequestId) => this.transaction((c) => traces.disableTrace(c, id)),
    switch: (
      id: TraceRequestId,
      decide: (stored: TraceRequestRecord) => boolean | undefined,
      quota?: TraceQuota,
    ): Promise<void> => this.jointly((c) => traces.switchTrace(c, id, decide, quota, this.switchedLately)),
    delete: (id: TraceRequestId) => this.transaction((c) => traces.deleteTrace(c, id)),
    /** Owner of the request's device (for a port: of its bridge or router). @throws MidotraceError NOT_FOUND */
    tenant: (id: TraceRequestId) =>
      this.read(async (c) => {
        const tenant = await traces.traceTenant(c, await need(c, TRACE, id));
        if (tenant === null) throw new MidotraceError("NOT_FOUND", `the device of trace request ${id} is gone`);
        return tenant;
      }),
  };
}

/**
 * One transaction that brings the store to what the document says (`applyIn` has the rules); a second apply of the same
 * document writes nothing.
 * @throws MidotraceError VALIDATION (a name that nothing has; the field is named), CONFLICT, STORE_UNAVAILABLE, TOO_LARGE.
 */
export function applyDocument(nsdb: Nsdb, doc: TopologyDocument): Promise<ApplyReport> {
  return nsdb.apply(doc);
}
