/** Every promise that the store's content makes, checked over the whole of it: what `store check` and tests ask. */
import type { ChainId, PortId } from "#core/base";
import { isPortKey } from "#core/flows";
import { Check } from "./check-kit.ts";
import { checkNodes, illegible } from "./check-nodes.ts";
import { checkMoment } from "./check-moment.ts";
import { checkTables, checkTenants } from "./check-tables.ts";
import { decode } from "./codec.ts";
import { readMapping } from "./links.ts";
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
import { readFrom } from "./topology-reader.ts";
import { type NsdbTree, readTree } from "./tree.ts";
import { tunnelKeyOwner } from "./tunnel-keys.ts";
import { guard } from "./tx.ts";

export interface StoreReport {
  /** Sentences; none for a sound store. */
  readonly findings: readonly string[];
  /** How many of each kind were looked at: "bridges" → 3. */
  readonly objects: Readonly<Record<string, number>>;
  readonly nodes: number;
  /** Everything was read as of one moment; otherwise a finding may be of a change that was under way. */
  readonly stable: boolean;
}

/** Findings as sentences; none in a sound store. @throws MidotraceError STORE_UNAVAILABLE. */
export async function checkStore(store: NsdbStore): Promise<string[]> {
  return [...(await inspectStore(store)).findings];
}

/** As `checkStore`, with what was looked at. @throws MidotraceError STORE_UNAVAILABLE. */
export async function inspectStore(store: NsdbStore): Promise<StoreReport> {
  const { tree, stable } = await guard(() => readTree(store));
  return { ...(await inspectTree(tree)), stable };
}

/** As `inspectStore`, of what was read before. Malformed nodes are findings, and not looked at further. */
export async function inspectTree(tree: NsdbTree): Promise<Omit<StoreReport, "stable">> {
  const bad = illegible(tree);
  const t = await readFrom({
    texts: async (paths) => (await tree.texts(paths)).map((text, i) => (bad.has(paths[i] as string) ? null : text)),
    children: (path) => tree.children(path),
  });
  const k = new Check(tree, t, bad);
  checkNodes(k);
  checkChains(k);
  checkTraces(k);
  checkPorts(k);
  checkMembership(k);
  checkTables(k);
  checkTenants(k);
  checkMoment(k);
  const { bridges, routers, ports, chains, rules, routes, hosts, tunnelZones, portGroups, ipAddrGroups, traces } = t;
  const counted = {
    bridges,
    routers,
    ports,
    chains,
    rules,
    routes,
    hosts,
    tunnelZones,
    portGroups,
    ipAddrGroups,
    traces,
  };
  const objects = Object.fromEntries(Object.entries(counted).map(([kind, all]) => [kind, all.length]));
  return { findings: k.findings, objects, nodes: tree.size };
}

/** Rules ↔ lists; filters and jumps ↔ references. */
function checkChains(k: Check): void {
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
  for (const [chain, names] of refs) k.same(chainRefsPath(chain as ChainId), names);
}

/** Requests ↔ trace rules ↔ infilters; auto chains. */
function checkTraces(k: Check): void {
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
  for (const [id, { type }] of k.devices) k.same(deviceTracesPath(type, id), on.get(id) ?? []);
  for (const chain of t.chains) {
    if (k.text(chainAutoPath(chain.id)) === null) continue;
    const held = (t.ruleOrder.get(chain.id) ?? []).some((id) => rules.get(id)?.type === "trace");
    k.say(held, `auto chain ${chain.id} has no trace rule`);
    const used = [...k.devices.values()].some((d) => d.record.inboundFilterId === chain.id);
    k.say(used, `auto chain ${chain.id} is nobody's infilter`);
  }
}

/** Owners, links, bindings, tunnel keys, routes. */
function checkPorts(k: Check): void {
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
    const owner = k.text(path);
    k.say(owner !== null && tunnelKeyOwner(owner, path) === p.id, `tunnel key ${p.tunnelKey} is not of port ${p.id}`);
    if (p.hostId === null) continue;
    k.say(bindings.has(p.hostId), `port ${p.id} is bound to host ${p.hostId}, which does not exist`);
    bindings.get(p.hostId)?.push(p.id);
    const mappingPath = `${hostBindingsPath(p.hostId)}/${p.id}`;
    const text = k.text(mappingPath);
    const mapping = text === null ? null : decode(readMapping, text, mappingPath);
    k.say(mapping?.virtualPortId === p.id, `the mapping of port ${p.id} names another port`);
    k.say(mapping?.localDeviceName === p.interfaceName, `the mapping of port ${p.id} names another interface`);
  }
  k.same(TUNNEL_KEYS, [...keys.keys()].map(String));
  for (const h of t.hosts) {
    k.same(hostBindingsPath(h.id), bindings.get(h.id) ?? []);
    const names = (bindings.get(h.id) ?? []).map((id) => ports.get(id)?.interfaceName);
    k.say(new Set(names).size === names.length, `two ports are bound to one interface of host ${h.id}`);
  }
  for (const d of t.bridges) k.same(devicePortsPath("BRIDGE", d.id), owned.get(d.id) ?? []);
  for (const d of t.routers) {
    k.same(devicePortsPath("ROUTER", d.id), owned.get(d.id) ?? []);
    const routes = t.routes.filter((r) => r.routerId === d.id);
    k.same(
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
  for (const p of t.ports) k.same(portRoutesPath(p.id), through.get(p.id) ?? []);
}

/** Both sides of groups and tunnel zones; nothing below an object that is gone. */
function checkMembership(k: Check): void {
  const { t } = k;
  for (const port of t.ports) {
    const groups = [...t.portGroupMembers].filter(([, ports]) => ports.includes(port.id)).map(([group]) => group);
    k.same(portGroupsOfPath(port.id), groups);
  }
  const ports = new Set(t.ports.map((p) => p.id));
  for (const [group, members] of t.portGroupMembers)
    for (const id of members) k.say(ports.has(id), `port group ${group} has port ${id}, which does not exist`);
  for (const host of t.hosts) {
    const zones = t.tunnelZoneMembers.filter((m) => m.hostId === host.id).map((m) => m.tunnelZoneId);
    k.same(hostZonesPath(host.id), zones);
  }
  const hosts = new Set(t.hosts.map((h) => h.id));
  for (const zone of t.tunnelZones) {
    const members = t.tunnelZoneMembers.filter((m) => m.tunnelZoneId === zone.id).map((m) => m.hostId);
    k.same(zoneMembersPath(zone.id), members);
    for (const id of members) k.say(hosts.has(id), `tunnel zone ${zone.id} has host ${id}, which does not exist`);
  }
}
