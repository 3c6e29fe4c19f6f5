import type { BridgeId, ChainId, HostId, PortId, RouterId, TenantId } from "#core/base";
import {
  BRIDGE,
  CHAIN,
  chainRulesPath,
  devicePortsPath,
  groupAddressesPath,
  type Kind,
  portActivePath,
  portGroupsOfPath,
  PORT,
  readRuleList,
  ROUTE,
  ROUTER,
  routerRoutesPath,
  RULE,
} from "#core/nsdb";
import {
  type ArmedTrace,
  armedIn,
  type BridgeDevice,
  type CompiledChain,
  compileAddresses,
  compileBridge,
  compileChain,
  compilePort,
  compileRouter,
  isUsableNextHop,
  type PortDevice,
  type PortRecord,
  type RouterDevice,
  sameList,
} from "#core/topology";
import type { KnownObject, ObjectKind } from "./known-objects.ts";
import type { NodeCache } from "./node-cache.ts";

export interface Loaded<T> extends Made<T> {
  /** Of a chain: the enabled traces in it, by device. */
  readonly traces: TracesByDevice;
  /** Every path the result depends on; `<directory>/*` stands for the set of its children. */
  readonly paths: ReadonlySet<string>;
}

export type TracesByDevice = ReadonlyMap<string, readonly ArmedTrace[]>;

/** An object, and all that it was made of: what did not change is the same value again, and makes the same object. */
export interface Made<T> {
  readonly object: T | null;
  readonly from: readonly unknown[];
}

/** Whether the port is up on the host that it is bound to; `said`: whether the store says so. */
export type IsUp = (port: PortId, host: HostId, said: boolean) => boolean;

/** What all readings have in common. */
export interface ReaderParts {
  readonly nodes: NodeCache;
  readonly isUp: IsUp;
  /** Takes the error of a port that the device can do without. */
  readonly unreadable: (error: unknown) => void;
}

/** One reading of one object: reads nodes, as far as they are not known, remembers which, compiles what is not as it was. */
export class TopologyReader {
  readonly paths = new Set<string>();
  private readonly parts: ReaderParts;
  private readonly earlier: Made<unknown>;

  /** @param earlier the object as it was read before. */
  constructor(parts: ReaderParts, earlier: Made<unknown>) {
    this.parts = parts;
    this.earlier = earlier;
  }

  /** @throws NsdbUnavailable; MidotraceError INTERNAL when something that it is made of makes no sense. */
  object(kind: ObjectKind, id: string): Promise<Loaded<KnownObject>> {
    switch (kind) {
      case "port":
        return this.port(id as PortId);
      case "bridge":
        return this.bridge(id as BridgeId);
      case "router":
        return this.router(id as RouterId);
      case "chain":
        return this.chain(id as ChainId);
      case "group":
        return this.group(id);
    }
  }

  private async port(id: PortId): Promise<Loaded<PortDevice>> {
    const record = await this.record(PORT, id);
    if (record === null) return this.none();
    const owner =
      record.type === "Bridge"
        ? await this.record(BRIDGE, record.deviceId)
        : await this.record(ROUTER, record.deviceId);
    const { tenantId = NOBODY, name: deviceName = "" } = owner ?? {};
    const active = await this.activeOn(record);
    const groups = await this.children(portGroupsOfPath(id));
    const make = (): PortDevice => compilePort(record, { tenantId, deviceName, active, groups: new Set(groups) });
    return this.made([record, tenantId, deviceName, active, groups], make);
  }

  private async bridge(id: BridgeId): Promise<Loaded<BridgeDevice>> {
    const record = await this.record(BRIDGE, id);
    if (record === null) return this.none();
    const ports = await this.readablePorts(await this.children(devicePortsPath("BRIDGE", id)));
    const peers = await this.readablePorts(ports.flatMap((p) => (p.peerId === null ? [] : [p.peerId])));
    const make = (): BridgeDevice => compileBridge(record, ports, new Map(peers.map((p) => [p.id, p])));
    return this.made([record, ports.length, ...ports, ...peers], make);
  }

  private async router(id: RouterId): Promise<Loaded<RouterDevice>> {
    const record = await this.record(ROUTER, id);
    if (record === null) return this.none();
    const routes = await this.records(ROUTE, await this.children(routerRoutesPath(id)));
    const hops = new Set(routes.flatMap((r) => (r.nextHopPort === null ? [] : [r.nextHopPort])));
    const ports = await this.readablePorts([...hops]);
    // Asked side by side: a router may have hundreds of ports.
    const active = await Promise.all(ports.map((port) => this.activeOn(port)));
    const usable = new Set(ports.filter((port, i) => isUsableNextHop(port, active[i] === true)).map(({ id }) => id));
    const make = (): RouterDevice => compileRouter(record, routes, (port) => usable.has(port));
    return this.made([record, ...routes, ...usable], make);
  }

  private async chain(id: ChainId): Promise<Loaded<CompiledChain>> {
    const record = await this.record(CHAIN, id);
    if (record === null) return this.none();
    const path = chainRulesPath(id);
    this.paths.add(path);
    const list = await this.parts.nodes.value(path, readRuleList);
    const rules = list === null ? [] : await this.records(RULE, list.ruleList);
    const ordinary = rules.filter((rule) => rule.type !== "trace");
    return { ...this.made([record, ...ordinary], () => compileChain(record, ordinary)), traces: armedIn(rules) };
  }

  private async group(id: string): Promise<Loaded<ReadonlySet<number>>> {
    const addresses = await this.children(groupAddressesPath(id as never));
    return this.made([addresses], () => compileAddresses(addresses));
  }

  private none(): Loaded<never> {
    return { object: null, from: [], traces: NO_TRACES, paths: this.paths };
  }

  /** The object of before, if it was made of the same. */
  private made<T>(from: readonly unknown[], make: () => T): Loaded<T> {
    const { object, from: then } = this.earlier;
    const same = object !== null && object !== undefined && sameList(from, then);
    return { object: same ? (object as T) : make(), from, traces: NO_TRACES, paths: this.paths };
  }

  private async activeOn(port: PortRecord): Promise<boolean> {
    if (port.hostId === null) return false;
    const hosts = await this.children(portActivePath(port.id));
    return this.parts.isUp(port.id, port.hostId, hosts.includes(port.hostId));
  }

  private async record<T extends { readonly id: string }>(kind: Kind<T>, id: string): Promise<T | null> {
    return (await this.records(kind, [id]))[0] ?? null;
  }

  /** Those of the ids that exist, in order. @throws MidotraceError INTERNAL when one makes no sense. */
  private async records<T extends { readonly id: string }>(kind: Kind<T>, ids: readonly string[]): Promise<T[]> {
    return this.parts.nodes.records(kind.read, this.dependOn(kind, ids));
  }

  /** Of the other ports of a device: one that makes no sense counts as missing, and the device has the others. */
  private async readablePorts(ids: readonly string[]): Promise<PortRecord[]> {
    return this.parts.nodes.readable(PORT.read, this.dependOn(PORT, ids), this.parts.unreadable);
  }

  /** @returns the paths of the records. */
  private dependOn(kind: Pick<Kind<never>, "directory">, ids: readonly string[]): string[] {
    const paths = ids.map((id) => `${kind.directory}/${id}`);
    for (const path of paths) this.paths.add(path);
    return paths;
  }

  private async children(path: string): Promise<readonly string[]> {
    this.paths.add(`${path}/*`);
    return this.parts.nodes.children(path);
  }
}

const NOBODY = "" as TenantId;
const NO_TRACES: TracesByDevice = new Map();
