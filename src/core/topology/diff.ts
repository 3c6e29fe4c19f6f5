import type { BridgeId, ChainId, RouterId } from "#core/base";
import { deviceTag, type FlowTag, floodTag, routingTag } from "#core/flows";
import type { BridgeDevice, CompiledChain, CompiledRoute, CompiledRule, PortDevice, RouterDevice } from "./compiled.ts";
import { sameCondition } from "./normalize.ts";

/*
 * What a change of the topology makes stale: two versions of a device (null: there is none) to the flow tags to
 * invalidate, and nothing more. Names and tenants decide no packet's fate; neither do trace rules, which are armed and
 * disarmed beside the devices.
 *
 * One corner is the caller's. Attaching a chain without ordinary rules (as enabling a trace does) invalidates nothing, so
 * flows live on that went through the device before and do not carry the chain's tag. When that chain gets its first
 * ordinary rule, invalidating the chain's tag does not reach them: see `firstRulesAppeared` and `infilterUsersTags`.
 *
 * The simulation must tag a flow with a jump's target even if there is no such chain: it may appear later.
 */

/** True for null, and for a chain that is known and has no ordinary rules: a packet passes it unchanged. */
export type IsEffectivelyEmpty = (chain: ChainId | null) => boolean;

/** @param chain how to find a compiled chain; an unknown chain (undefined or null) is not known to be empty. */
export function effectiveEmptiness(chain: (id: ChainId) => CompiledChain | null | undefined): IsEffectivelyEmpty {
  return (id) => {
    if (id === null) return true;
    const found = chain(id);
    return found !== null && found !== undefined && found.rules.length === 0;
  };
}

export function diffPort(
  old: PortDevice | null,
  now: PortDevice | null,
  emptyBefore: IsEffectivelyEmpty,
  emptyAfter: IsEffectivelyEmpty,
): FlowTag[] {
  const known = now ?? old;
  if (known === null) return [];
  if (old === null || now === null)
    return known.exterior ? [known.tag, known.bindingTag, ownerTag(known)] : [known.tag];
  const tags: FlowTag[] = [];
  if (
    old.adminUp !== now.adminUp ||
    old.vlanId !== now.vlanId ||
    old.peerId !== now.peerId ||
    old.deviceId !== now.deviceId ||
    old.mac !== now.mac ||
    old.address !== now.address ||
    old.prefixLength !== now.prefixLength ||
    !sameSet(old.groups, now.groups) ||
    filtersChanged(old, now, emptyBefore, emptyAfter)
  )
    tags.push(now.tag);
  if (
    old.hostId !== now.hostId ||
    old.interfaceName !== now.interfaceName ||
    old.tunnelKey !== now.tunnelKey ||
    old.active !== now.active
  ) {
    tags.push(now.bindingTag, ownerTag(now));
    if (old.deviceId !== now.deviceId) tags.push(ownerTag(old));
  }
  return tags;
}

export function diffBridge(
  old: BridgeDevice | null,
  now: BridgeDevice | null,
  emptyBefore: IsEffectivelyEmpty,
  emptyAfter: IsEffectivelyEmpty,
): FlowTag[] {
  if (old === null || now === null) return appearance(old, now);
  const tags: FlowTag[] = [];
  if (
    old.adminUp !== now.adminUp ||
    !sameLinks(old, now) ||
    !sameList(old.bridgeUplinks, now.bridgeUplinks) ||
    !sameMap(old.vlanPorts, now.vlanPorts) ||
    filtersChanged(old, now, emptyBefore, emptyAfter)
  )
    tags.push(now.tag);
  if (!sameList(old.exteriorPorts, now.exteriorPorts)) tags.push(now.floodTag);
  return tags;
}

/** A route that changed counts as removed and added: its own tag, and the router's routing tag. */
export function diffRouter(
  old: RouterDevice | null,
  now: RouterDevice | null,
  emptyBefore: IsEffectivelyEmpty,
  emptyAfter: IsEffectivelyEmpty,
): FlowTag[] {
  if (old === null || now === null) return appearance(old, now);
  const tags: FlowTag[] = [];
  if (old.adminUp !== now.adminUp || filtersChanged(old, now, emptyBefore, emptyAfter)) tags.push(now.tag);
  const before = new Map(old.routeList.map((r) => [r.id, r]));
  const after = new Map(now.routeList.map((r) => [r.id, r]));
  for (const route of old.routeList) {
    const successor = after.get(route.id);
    if (successor === undefined || !sameRoute(route, successor)) tags.push(route.tag);
  }
  const added = (r: CompiledRoute): boolean => {
    const predecessor = before.get(r.id);
    return predecessor === undefined || !sameRoute(predecessor, r);
  };
  if (now.routeList.some(added)) tags.push(now.routingTag);
  return tags;
}

/** A chain without ordinary rules and no chain at all are the same to a packet: between them nothing is stale. */
export function diffChain(old: CompiledChain | null, now: CompiledChain | null): FlowTag[] {
  const before = old?.rules ?? [];
  const after = now?.rules ?? [];
  if (before.length === after.length && before.every((r, i) => sameRule(r, after[i] as CompiledRule))) return [];
  return appearance(old, now);
}

/** A port group's members or an address group's addresses; null: there is no such group (the same as an empty one). */
export function diffGroup(
  id: string,
  old: ReadonlySet<string> | ReadonlySet<number> | null,
  now: ReadonlySet<string> | ReadonlySet<number> | null,
): FlowTag[] {
  return sameSet(old ?? NOTHING, now ?? NOTHING) ? [] : [deviceTag(id)];
}

/** The chain got its first ordinary rule: besides `diffChain`, invalidate `infilterUsersTags`. */
export function firstRulesAppeared(old: CompiledChain | null, now: CompiledChain | null): boolean {
  return (old?.rules.length ?? 0) === 0 && (now?.rules.length ?? 0) > 0;
}

/** Device tags of those that use the chain as their infilter. */
export function infilterUsersTags(
  chain: ChainId,
  devices: Iterable<{ readonly inFilter: ChainId | null; readonly tag: FlowTag }>,
): FlowTag[] {
  const tags: FlowTag[] = [];
  for (const device of devices) if (device.inFilter === chain) tags.push(device.tag);
  return tags;
}

const NOTHING: ReadonlySet<never> = new Set<never>();

interface Tagged {
  readonly tag: FlowTag;
}

function appearance(old: Tagged | null, now: Tagged | null): FlowTag[] {
  const known = now ?? old;
  return known === null ? [] : [known.tag];
}

/** What depends on a port's place besides the flows to it: its bridge's floods, its router's routes. */
function ownerTag(port: PortDevice): FlowTag {
  return port.ownerKind === "bridge" ? floodTag(port.deviceId as BridgeId) : routingTag(port.deviceId as RouterId);
}

interface Filtered {
  readonly inFilter: ChainId | null;
  readonly outFilter: ChainId | null;
}

function filtersChanged(a: Filtered, b: Filtered, before: IsEffectivelyEmpty, after: IsEffectivelyEmpty): boolean {
  if (a.outFilter !== b.outFilter) return true;
  return a.inFilter !== b.inFilter && !(before(a.inFilter) && after(b.inFilter));
}

function sameRule(a: CompiledRule, b: CompiledRule): boolean {
  return (
    a.id === b.id &&
    a.type === b.type &&
    a.action === b.action &&
    a.jumpTo === b.jumpTo &&
    a.meterTag === b.meterTag &&
    (a.condition === b.condition || sameCondition(a.condition.source, b.condition.source))
  );
}

function sameRoute(a: CompiledRoute, b: CompiledRoute): boolean {
  return (
    a.type === b.type &&
    a.src === b.src &&
    a.srcBits === b.srcBits &&
    a.dst === b.dst &&
    a.dstBits === b.dstBits &&
    a.port === b.port &&
    a.gateway === b.gateway &&
    a.weight === b.weight
  );
}

function sameLinks(a: BridgeDevice, b: BridgeDevice): boolean {
  const text = (d: BridgeDevice): string[] =>
    d.linkedRouterPorts.map((p) => `${p.portId} ${p.routerPortId} ${p.mac} ${p.address}`);
  return sameList(text(a), text(b));
}

/** The same elements in the same order. */
export function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((v, i) => v === b[i]);
}

function sameSet(a: ReadonlySet<unknown>, b: ReadonlySet<unknown>): boolean {
  if (a.size !== b.size) return false;
  for (const value of a) if (!b.has(value)) return false;
  return true;
}

function sameMap<K, V>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}
