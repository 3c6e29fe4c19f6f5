import type { BridgeId, ChainId, HostId, PortId, RouterId } from "#core/base";
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
  armedTraces,
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
  type RuleRecord,
} from "#core/topology";
import type { NodeCache } from "./node-cache.ts";

/** A device as read, with the traces armed on it (empty for chains and groups). */
export interface Loaded<T> {
  readonly object: T | null;
  readonly traces: readonly ArmedTrace[];
  /** Every path the result depends on; `<directory>/*` stands for the set of its children. */
  readonly paths: ReadonlySet<string>;
}

/** Whether the port is up on the host that it is bound to; `said`: whether the store says so. */
export type IsUp = (port: PortId, host: HostId, said: boolean) => boolean;

/** One reading of one object: reads nodes, as far as they are not known, remembers which, compiles. */
export class TopologyReader {
  readonly paths = new Set<string>();
  private readonly nodes: NodeCache;
  private readonly isUp: IsUp;
  private readonly unreadable: (error: unknown) => void;

  /** @param unreadable takes the error of a port that the device can do without. */
  constructor(nodes: NodeCache, isUp: IsUp, unreadable: (error: unknown) => void) {
    this.nodes = nodes;
    this.isUp = isUp;
    this.unreadable = unreadable;
  }

  async port(id: PortId): Promise<Loaded<PortDevice>> {
    const record = await this.record(PORT, id);
    if (record === null) return this.result<PortDevice>(null, []);
    const owner =
      record.type === "Bridge"
        ? await this.record(BRIDGE, record.deviceId)
        : await this.record(ROUTER, record.deviceId);
    const active = await this.activeOn(record);
    const groups = new Set(await this.children(portGroupsOfPath(id)));
    const device = compilePort(record, {
      tenantId: owner?.tenantId ?? NOBODY,
      deviceName: owner?.name ?? "",
      active,
      groups,
    });
    return this.result(device, await this.tracesOf(id, record.inboundFilterId));
  }

  async bridge(id: BridgeId): Promise<Loaded<BridgeDevice>> {
    const record = await this.record(BRIDGE, id);
    if (record === null) return this.result<BridgeDevice>(null, []);
    const ports = await this.readablePorts(await this.children(devicePortsPath("BRIDGE", id)));
    const peerIds = ports.flatMap((p) => (p.peerId === null ? [] : [p.peerId]));
    const peers = new Map<PortId, PortRecord>((await this.readablePorts(peerIds)).map((p) => [p.id, p]));
    return this.result(compileBridge(record, ports, peers), await this.tracesOf(id, record.inboundFilterId));
  }

  async router(id: RouterId): Promise<Loaded<RouterDevice>> {
    const record = await this.record(ROUTER, id);
    if (record === null) return this.result<RouterDevice>(null, []);
    const routes = await this.records(ROUTE, await this.children(routerRoutesPath(id)));
    const hops = new Set(routes.flatMap((r) => (r.nextHopPort === null ? [] : [r.nextHopPort])));
    const usable = new Set<PortId>();
    for (const port of await this.readablePorts([...hops])) {
      if (isUsableNextHop(port, await this.activeOn(port))) usable.add(port.id);
    }
    const device = compileRouter(record, routes, (port) => usable.has(port));
    return this.result(device, await this.tracesOf(id, record.inboundFilterId));
  }

  async chain(id: ChainId): Promise<Loaded<CompiledChain>> {
    const record = await this.record(CHAIN, id);
    if (record === null) return this.result<CompiledChain>(null, []);
    return this.result(compileChain(record, await this.rules(id)), []);
  }

  async group(id: string): Promise<Loaded<ReadonlySet<number>>> {
    const addresses = await this.children(groupAddressesPath(id as never));
    return this.result(compileAddresses(addresses), []);
  }

  private result<T>(object: T | null, traces: readonly ArmedTrace[]): Loaded<T> {
    return { object, traces, paths: this.paths };
  }

  private async tracesOf(deviceId: string, chain: ChainId | null): Promise<readonly ArmedTrace[]> {
    return chain === null ? [] : armedTraces(deviceId, await this.rules(chain));
  }

  private async rules(chain: ChainId): Promise<RuleRecord[]> {
    const path = chainRulesPath(chain);
    this.paths.add(path);
    const list = await this.nodes.value(path, readRuleList);
    return list === null ? [] : this.records(RULE, list.ruleList);
  }

  private async activeOn(port: PortRecord): Promise<boolean> {
    if (port.hostId === null) return false;
    return this.isUp(port.id, port.hostId, (await this.children(portActivePath(port.id))).includes(port.hostId));
  }

  private async record<T extends { readonly id: string }>(kind: Kind<T>, id: string): Promise<T | null> {
    return (await this.records(kind, [id]))[0] ?? null;
  }

  /** Those of the ids that exist, in order. @throws MidotraceError INTERNAL when one makes no sense. */
  private async records<T extends { readonly id: string }>(kind: Kind<T>, ids: readonly string[]): Promise<T[]> {
    this.dependOn(kind, ids);
    return this.nodes.records(kind, ids);
  }

  /** Of the other ports of a device: one that makes no sense counts as missing, and the device has the others. */
  private async readablePorts(ids: readonly string[]): Promise<PortRecord[]> {
    this.dependOn(PORT, ids);
    return this.nodes.readable(PORT, ids, this.unreadable);
  }

  private dependOn(kind: Pick<Kind<never>, "directory">, ids: readonly string[]): void {
    for (const id of ids) this.paths.add(`${kind.directory}/${id}`);
  }

  private async children(path: string): Promise<readonly string[]> {
    this.paths.add(`${path}/*`);
    return this.nodes.children(path);
  }
}

const NOBODY = "" as never;
