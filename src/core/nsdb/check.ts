/** Every promise that the store's content makes, checked over the whole of it: what tests ask after each step. */
import { isPortKey } from "#core/flows";
import type { ChainId, PortId } from "#core/base";
import type { DeviceType, TopologyRecords } from "#core/topology";
import { readMapping } from "./links.ts";
import { decode } from "./codec.ts";
import type { Device } from "./filters.ts";
import {
  chainAutoPath,
  type ChainRef,
  chainRefsPath,
  devicePortsPath,
  deviceTracesPath,
  hostBindingsPath,
  hostZonesPath,
  portGroupsOfPath,
  portRoutesPath,
  routerRoutesPath,
  TUNNEL_KEYS,
  tunnelKeyPath,
  zoneMembersPath,
} from "./paths.ts";
import type { NsdbStore } from "./store.ts";
import { readTopology } from "./topology-reader.ts";
import { guard } from "./tx.ts";
import { tunnelKeyOwner } from "./tunnel-keys.ts";

/** Collects what does not hold. */
class Check {
  readonly findings: string[] = [];
  readonly store: NsdbStore;
  readonly t: TopologyRecords;
  readonly devices: ReadonlyMap<string, { readonly type: DeviceType; readonly record: Device }>;

  constructor(store: NsdbStore, t: TopologyRecords) {
    this.store = store;
    this.t = t;
    const entry = (type: DeviceType) => (record: Device) => [record.id as string, { type, record }] as const;
    this.devices = new Map([
      ...t.bridges.map(entry("BRIDGE")),
      ...t.routers.map(entry("ROUTER")),
      ...t.ports.map(entry("PORT")),
    ]);
  }

  say(holds: boolean, finding: string): void {
    if (!holds) this.findings.push(finding);
  }

  /** The children of `path` are exactly these. */
  async same(path: string, expected: Iterable<string>): Promise<void> {
    const [is, shall] = [await this.store.children(path), [...expected].sort()];
    this.say(is.join() === shall.join(), `${path} has [${is.join(", ")}], not [${shall.join(", ")}]`);
  }
}

/**
 * Findings as sentences; none in a sound store. Nothing else may write meanwhile.
 * @throws MidotraceError STORE_UNAVAILABLE; INTERNAL for malformed data.
 */
export async function checkStore(store: NsdbStore): Promise<string[]> {
  return guard(async () => {
    const k = new Check(store, await readTopology(store));
    await checkChains(k);
    await checkTraces(k);
    await checkPorts(k);
    await checkMembership(k);
    return k.findings;
  });
}

/** Rules ↔ lists; filters and jumps ↔ references. */
async function checkChains(k: Check): Promise<void> {
  const { t } = k;
  const rules = new Map(t.rules.map((r) => [r.id, r]));
  const listed = new Set<string>();
  for (const [chain, ids] of t.ruleOrder) {
    for (const id of ids) {
      k.say(!listed.has(id), `rule ${id} is listed twice`);
      listed.add(id);
      k.say(rules.get(id)?.chainId === chain, `chain ${chain} lists rule ${id}, which is not its own`);
    }
  }
  for (const rule of t.rules) k.say(listed.has(rule.id), `rule ${rule.id} is in no list`);
  const refs = new Map<string, Set<string>>(t.chains.map((c) => [c.id, new Set()]));
  const refer = (chain: ChainId | null, type: ChainRef["type"], id: string): void => {
    if (chain === null) return;
    k.say(refs.has(chain), `${type} ${id} refers to chain ${chain}, which does not exist`);
    refs.get(chain)?.add(`${type}:${id}`);
  };
  const REF = { BRIDGE: "bridge", ROUTER: "router", PORT: "port" } as const;
  for (const { type, record } of k.devices.values()) {
    refer(record.inboundFilterId, REF[type], record.id);
    refer(record.outboundFilterId, REF[type], record.id);
  }
  for (const rule of t.rules) if (rule.type === "jump") refer(rule.jumpChainId, "rule", rule.id);
  for (const [chain, names] of refs) await k.same(chainRefsPath(chain as ChainId), names);
}

/** Requests ↔ trace rules ↔ infilters; auto chains. */
async function checkTraces(k: Check): Promise<void> {
  const { t } = k;
  const rules = new Map(t.rules.map((r) => [r.id, r]));
  const armed = new Set<string>();
  const on = new Map<string, string[]>([...k.devices.keys()].map((id) => [id, []]));
  for (const r of t.traces) {
    const device = k.devices.get(r.deviceId);
    k.say(device?.type === r.deviceType, `trace ${r.id} is on ${r.deviceType} ${r.deviceId}, which does not exist`);
    on.get(r.deviceId)?.push(r.id);
    k.say((r.enabledRule === null) === (r.enabledChain === null), `trace ${r.id} is half enabled`);
    if (r.enabledRule === null) continue;
    armed.add(r.enabledRule);
    const rule = rules.get(r.enabledRule);
    const infilter = device?.record.inboundFilterId;
    k.say(infilter === r.enabledChain, `trace ${r.id}: its chain ${r.enabledChain} is not the infilter ${infilter}`);
    const agrees =
      rule?.type === "trace" &&
      rule.requestId === r.id &&
      rule.deviceId === r.deviceId &&
      rule.chainId === r.enabledChain &&
      rule.limit === r.limit &&
      JSON.stringify(rule.condition) === JSON.stringify(r.condition);
    k.say(agrees, `trace ${r.id}: rule ${r.enabledRule} does not agree with it`);
  }
  for (const r of t.rules)
    if (r.type === "trace") k.say(armed.has(r.id), `trace rule ${r.id} belongs to no enabled request`);
  for (const [id, { type }] of k.devices) await k.same(deviceTracesPath(type, id), on.get(id) ?? []);
  for (const chain of t.chains) {
    if ((await k.store.get(chainAutoPath(chain.id))) === null) continue;
    const held = (t.ruleOrder.get(chain.id) ?? []).some((id) => rules.get(id)?.type === "trace");
    k.say(held, `auto chain ${chain.id} has no trace rule`);
    const used = [...k.devices.values()].some((d) => d.record.inboundFilterId === chain.id);
    k.say(used, `auto chain ${chain.id} is nobody's infilter`);
  }
}

/** Owners, links, bindings, tunnel keys, routes. */
async function checkPorts(k: Check): Promise<void> {
  const { t } = k;
  const ports = new Map(t.ports.map((p) => [p.id, p]));
  const bindings = new Map<string, PortId[]>(t.hosts.map((h) => [h.id, []]));
  const keys = new Map<number, PortId>();
  const owned = new Map<string, string[]>();
  for (const p of t.ports) {
    const type = p.type === "Bridge" ? "BRIDGE" : "ROUTER";
    k.say(k.devices.get(p.deviceId)?.type === type, `port ${p.id} is on ${p.deviceId}, which does not exist`);
    owned.set(p.deviceId, [...(owned.get(p.deviceId) ?? []), p.id]);
    k.say(p.peerId === null || ports.get(p.peerId)?.peerId === p.id, `the link of port ${p.id} is one-sided`);
    k.say(p.peerId === null || p.hostId === null, `port ${p.id} is linked and bound`);
    k.say((p.hostId === null) === (p.interfaceName === null), `port ${p.id} is half bound`);
    k.say(isPortKey(p.tunnelKey), `port ${p.id} has the tunnel key ${p.tunnelKey}`);
    k.say(!keys.has(p.tunnelKey), `ports ${p.id} and ${keys.get(p.tunnelKey)} have one tunnel key`);
    keys.set(p.tunnelKey, p.id);
    const path = tunnelKeyPath(p.tunnelKey);
    const owner = await k.store.get(path);
    k.say(
      owner !== null && tunnelKeyOwner(owner.data, path) === p.id,
      `tunnel key ${p.tunnelKey} is not of port ${p.id}`,
    );
    if (p.hostId === null) continue;
    k.say(bindings.has(p.hostId), `port ${p.id} is bound to host ${p.hostId}, which does not exist`);
    bindings.get(p.hostId)?.push(p.id);
    const node = await k.store.get(`${hostBindingsPath(p.hostId)}/${p.id}`);
    const mapping = node === null ? null : decode(readMapping, node.data, node.path);
    k.say(mapping?.localDeviceName === p.interfaceName, `the mapping of port ${p.id} names another interface`);
  }
  await k.same(TUNNEL_KEYS, [...keys.keys()].map(String));
  for (const h of t.hosts) {
    await k.same(hostBindingsPath(h.id), bindings.get(h.id) ?? []);
    const names = (bindings.get(h.id) ?? []).map((id) => ports.get(id)?.interfaceName);
    k.say(new Set(names).size === names.length, `two ports are bound to one interface of host ${h.id}`);
  }
  for (const d of t.bridges) await k.same(devicePortsPath("BRIDGE", d.id), owned.get(d.id) ?? []);
  for (const d of t.routers) {
    await k.same(devicePortsPath("ROUTER", d.id), owned.get(d.id) ?? []);
    const routes = t.routes.filter((r) => r.routerId === d.id);
    await k.same(
      routerRoutesPath(d.id),
      routes.map((r) => r.id),
    );
  }
  const through = new Map<string, string[]>();
  for (const r of t.routes) {
    k.say(k.devices.get(r.routerId)?.type === "ROUTER", `route ${r.id} is of no router`);
    if (r.nextHopPort === null) continue;
    k.say(ports.get(r.nextHopPort)?.deviceId === r.routerId, `route ${r.id} leaves by a port of another device`);
    through.set(r.nextHopPort, [...(through.get(r.nextHopPort) ?? []), r.id]);
  }
  for (const p of t.ports) await k.same(portRoutesPath(p.id), through.get(p.id) ?? []);
}

/** Both sides of groups and tunnel zones; nothing below an object that is gone. */
async function checkMembership(k: Check): Promise<void> {
  const { t } = k;
  for (const port of t.ports) {
    const groups = [...t.portGroupMembers].filter(([, ports]) => ports.includes(port.id)).map(([group]) => group);
    await k.same(portGroupsOfPath(port.id), groups);
  }
  const ports = new Set(t.ports.map((p) => p.id));
  for (const [group, members] of t.portGroupMembers)
    for (const id of members) k.say(ports.has(id), `port group ${group} has port ${id}, which does not exist`);
  for (const host of t.hosts) {
    const zones = t.tunnelZoneMembers.filter((m) => m.hostId === host.id).map((m) => m.tunnelZoneId);
    await k.same(hostZonesPath(host.id), zones);
  }
  const hosts = new Set(t.hosts.map((h) => h.id));
  for (const zone of t.tunnelZones) {
    const members = t.tunnelZoneMembers.filter((m) => m.tunnelZoneId === zone.id).map((m) => m.hostId);
    await k.same(zoneMembersPath(zone.id), members);
    for (const id of members) k.say(hosts.has(id), `tunnel zone ${zone.id} has host ${id}, which does not exist`);
  }
}
