import type { ChainId, PortId } from "#core/base";
import type { FlowTag } from "#core/flows";
import {
  type BridgeDevice,
  type CompiledChain,
  diffBridge,
  diffChain,
  diffGroup,
  diffPort,
  diffRouter,
  firstRulesAppeared,
  infilterUsersTags,
  type IsEffectivelyEmpty,
  type PortDevice,
  type RouterDevice,
  type VirtualDevice,
} from "#core/topology";
import { PortKeys } from "./port-keys.ts";

export type ObjectKind = "port" | "bridge" | "router" | "chain" | "group";

export type KnownObject = PortDevice | BridgeDevice | RouterDevice | CompiledChain | ReadonlySet<number>;

/** What the simulation reads, by id; null: the store has no such object. */
export class KnownObjects {
  readonly ports = new Map<string, PortDevice | null>();
  readonly bridges = new Map<string, BridgeDevice | null>();
  readonly routers = new Map<string, RouterDevice | null>();
  readonly chains = new Map<string, CompiledChain | null>();
  readonly groups = new Map<string, ReadonlySet<number> | null>();
  readonly portKeys = new PortKeys();

  put(kind: ObjectKind, id: string, object: KnownObject | null): void {
    switch (kind) {
      case "port":
        this.ports.set(id, object as PortDevice | null);
        this.portKeys.put(id as PortId, object as PortDevice | null);
        break;
      case "bridge":
        this.bridges.set(id, object as BridgeDevice | null);
        break;
      case "router":
        this.routers.set(id, object as RouterDevice | null);
        break;
      case "chain":
        this.chains.set(id, object as CompiledChain | null);
        break;
      case "group":
        this.groups.set(id, object as ReadonlySet<number> | null);
    }
  }

  device(id: string): VirtualDevice | null {
    return this.ports.get(id) ?? this.bridges.get(id) ?? this.routers.get(id) ?? null;
  }

  /** Tags of the flows that the step from `old` to what is known now makes stale. */
  diff(
    kind: ObjectKind,
    id: string,
    old: KnownObject | null,
    before: IsEffectivelyEmpty,
    after: IsEffectivelyEmpty,
  ): FlowTag[] {
    switch (kind) {
      case "port":
        return diffPort(old as PortDevice | null, this.ports.get(id) ?? null, before, after);
      case "bridge":
        return diffBridge(old as BridgeDevice | null, this.bridges.get(id) ?? null, before, after);
      case "router":
        return diffRouter(old as RouterDevice | null, this.routers.get(id) ?? null, before, after);
      case "group":
        return diffGroup(id, old as ReadonlySet<number> | null, this.groups.get(id) ?? null);
      case "chain": {
        const was = old as CompiledChain | null;
        const is = this.chains.get(id) ?? null;
        const tags = diffChain(was, is);
        if (firstRulesAppeared(was, is)) tags.push(...infilterUsersTags(id as ChainId, this.devices()));
        return tags;
      }
    }
  }

  private *devices(): Iterable<VirtualDevice> {
    for (const map of [this.ports, this.bridges, this.routers] as const) {
      for (const device of map.values()) if (device !== null) yield device;
    }
  }
}
