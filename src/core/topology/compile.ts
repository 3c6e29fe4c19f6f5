import type { ChainId, PortId, TenantId } from "#core/base";
import { parseIpv4, parseMac } from "#core/packets";
import {
  ArmedTrace,
  BridgeDevice,
  CompiledChain,
  CompiledRoute,
  CompiledRule,
  type LinkedRouterPort,
  PortDevice,
  RouterDevice,
  type RuleAction,
} from "./compiled.ts";
import { CompiledCondition } from "./compiled-condition.ts";
import type { BridgeRecord, ChainRecord, PortRecord, RouteRecord, RouterRecord, RuleRecord } from "./model.ts";
import { effectiveRuleCondition } from "./nat.ts";
import { RouteTable } from "./route-table.ts";

/*
 * Records to compiled devices. Records were validated when they were stored, but an agent must survive whatever it
 * reads: nothing here throws on a text that does not parse; what such a text makes meaningless is left out.
 */

export interface PortSurroundings {
  /** Owner of the port's device. */
  readonly tenantId: TenantId;
  /** The bound host has the interface up. Of no effect on ports without binding. */
  readonly active: boolean;
  /** Name of the port's bridge or router, "" when unknown: ports are told apart as "device/port". */
  readonly deviceName: string;
  /** Ids of the port groups that the port is a member of. */
  readonly groups: ReadonlySet<string>;
}

export function compilePort(record: PortRecord, around: PortSurroundings): PortDevice {
  const router = record.type === "Router";
  return new PortDevice({
    id: record.id,
    name: record.name,
    label: portLabel(around.deviceName, record),
    tenantId: around.tenantId,
    ownerKind: router ? "router" : "bridge",
    deviceId: record.deviceId,
    adminUp: record.adminStateUp,
    inFilter: record.inboundFilterId,
    outFilter: record.outboundFilterId,
    tunnelKey: record.tunnelKey,
    hostId: record.hostId,
    interfaceName: record.interfaceName,
    peerId: record.peerId,
    active: around.active && isBound(record),
    groups: around.groups,
    vlanId: router ? 0 : record.vlanId,
    mac: router ? (parseMac(record.portMac) ?? 0) : 0,
    address: router && record.portAddress !== null ? (parseIpv4(record.portAddress) ?? 0) : 0,
    prefixLength: router ? record.networkLength : 0,
  });
}

function portLabel(deviceName: string, record: PortRecord): string {
  const name = record.name === "" ? record.id : record.name;
  return deviceName === "" ? name : `${deviceName}/${name}`;
}

/**
 * @param ports the bridge's own ports, in any order: what is compiled from them is ordered by port id.
 * @param peers the ports at the other end of its interior ports, by their id; a peer that is missing leads nowhere.
 */
export function compileBridge(
  record: BridgeRecord,
  ports: readonly PortRecord[],
  peers: ReadonlyMap<PortId, PortRecord>,
): BridgeDevice {
  const exteriorPorts: PortId[] = [];
  const linkedRouterPorts: LinkedRouterPort[] = [];
  const vlanPorts = new Map<number, PortId>();
  const bridgeUplinks: PortId[] = [];
  for (const port of ports.toSorted((a, b) => byText(a.id, b.id))) {
    if (isBound(port)) exteriorPorts.push(port.id);
    const peer = port.peerId === null ? undefined : peers.get(port.peerId);
    if (peer === undefined) continue;
    const vlanId = port.type === "Bridge" ? port.vlanId : 0;
    if (peer.type === "Router") {
      const mac = parseMac(peer.portMac);
      const address = peer.portAddress === null ? 0 : (parseIpv4(peer.portAddress) ?? 0);
      if (mac !== null) linkedRouterPorts.push({ portId: port.id, routerPortId: peer.id, mac, address });
    } else if (vlanId === 0) bridgeUplinks.push(port.id);
    else if (!vlanPorts.has(vlanId)) vlanPorts.set(vlanId, port.id);
  }
  return new BridgeDevice({
    id: record.id,
    name: record.name,
    tenantId: record.tenantId,
    adminUp: record.adminStateUp,
    inFilter: record.inboundFilterId,
    outFilter: record.outboundFilterId,
    exteriorPorts,
    linkedRouterPorts,
    vlanPorts,
    bridgeUplinks,
  });
}

/**
 * @param usablePort true for a port that packets can leave by (see isUsableNextHop). Normal and Local routes by another
 * port, or by none, are left out; BlackHole and Reject have no next hop and always stay.
 */
export function compileRouter(
  record: RouterRecord,
  routes: readonly RouteRecord[],
  usablePort: (id: PortId) => boolean,
): RouterDevice {
  const routeList: CompiledRoute[] = [];
  for (const route of routes) {
    const forwards = route.type === "Normal" || route.type === "Local";
    if (forwards && (route.nextHopPort === null || !usablePort(route.nextHopPort))) continue;
    const compiled = compileRoute(route);
    if (compiled !== null) routeList.push(compiled);
  }
  return new RouterDevice({
    id: record.id,
    name: record.name,
    tenantId: record.tenantId,
    adminUp: record.adminStateUp,
    inFilter: record.inboundFilterId,
    outFilter: record.outboundFilterId,
    routes: new RouteTable(routeList),
    routeList,
  });
}

/** MidoNet's gateway text for "none". */
const NO_GATEWAY = 0xffff_ffff;

/** Null when a prefix does not parse. */
function compileRoute(route: RouteRecord): CompiledRoute | null {
  const src = parseIpv4(route.srcNetworkAddr);
  const dst = parseIpv4(route.dstNetworkAddr);
  const lengths = [route.srcNetworkLength, route.dstNetworkLength];
  if (src === null || dst === null || lengths.some((n) => !Number.isInteger(n) || n < 0 || n > 32)) return null;
  const gateway = route.nextHopGateway === null ? 0 : (parseIpv4(route.nextHopGateway) ?? 0);
  return new CompiledRoute({
    id: route.id,
    type: route.type,
    src,
    srcBits: route.srcNetworkLength,
    dst,
    dstBits: route.dstNetworkLength,
    port: route.nextHopPort,
    gateway: gateway === NO_GATEWAY ? 0 : gateway,
    weight: route.weight,
  });
}

/**
 * Whether a router's port can be a next hop: the port exists, and its interface is up if it is bound. Admin-down and
 * unplugged ports stay in the routing table: the simulation says what becomes of packets there (semantics 3.3).
 *
 * @param active as for compilePort: the bound host has the interface up.
 */
export function isUsableNextHop(port: PortRecord | undefined, active: boolean): boolean {
  return port !== undefined && (!isBound(port) || active);
}

/**
 * @param orderedRules all rules of the chain in stored order. Trace rules are left out, and positions do not count them:
 * they come and go, and those of other tenants are nobody's business.
 */
export function compileChain(record: ChainRecord, orderedRules: readonly RuleRecord[]): CompiledChain {
  const rules: CompiledRule[] = [];
  orderedRules.forEach((rule) => {
    if (rule.type === "trace") return;
    rules.push(
      new CompiledRule({
        id: rule.id,
        position: rules.length + 1,
        condition: conditionOf(rule),
        action: actionOf(rule.type),
        jumpTo: rule.type === "jump" ? rule.jumpChainId : null,
        type: rule.type,
        meterTag: rule.meterName === null ? null : `user:${rule.meterName}`,
      }),
    );
  });
  return new CompiledChain(record.id, record.name, record.tenantId, rules);
}

type TraceRule = Extract<RuleRecord, { readonly type: "trace" }>;

/**
 * What was made of a record, as long as somebody has the record: when a rule comes or goes, its chain is compiled again from
 * the same records of the others.
 */
const conditions = new WeakMap<RuleRecord, CompiledCondition>();
const enabled = new WeakMap<TraceRule, ArmedTrace>();

function conditionOf(rule: RuleRecord): CompiledCondition {
  let condition = conditions.get(rule);
  if (condition === undefined) {
    condition = new CompiledCondition(effectiveRuleCondition(rule));
    conditions.set(rule, condition);
  }
  return condition;
}

function actionOf(type: Exclude<RuleRecord["type"], "trace">): RuleAction {
  switch (type) {
    case "snat":
    case "dnat":
    case "rev_snat":
    case "rev_dnat":
      return "nat";
    case "l2_transform":
      return "l2-transform";
    case "accept":
    case "drop":
    case "reject":
    case "return":
    case "jump":
      return type;
  }
}

/**
 * The enabled traces in a chain, in its order, by the device that they are on: one of those whose infilter the chain is.
 *
 * @param rules all rules of the chain in stored order; those that are no trace rules are passed over.
 */
export function armedIn(rules: readonly RuleRecord[]): Map<string, ArmedTrace[]> {
  const byDevice = new Map<string, ArmedTrace[]>();
  for (const rule of rules) {
    if (rule.type !== "trace") continue;
    const traces = byDevice.get(rule.deviceId);
    if (traces === undefined) byDevice.set(rule.deviceId, [armedBy(rule)]);
    else traces.push(armedBy(rule));
  }
  return byDevice;
}

function armedBy(rule: TraceRule): ArmedTrace {
  let trace = enabled.get(rule);
  if (trace === undefined) {
    trace = new ArmedTrace({
      requestId: rule.requestId,
      ruleId: rule.id,
      chainId: rule.chainId,
      deviceId: rule.deviceId,
      limit: rule.limit,
      // Who traces protocol 1 means ICMP; in MidoNet's conditions it is also the operation of an ARP request.
      condition: new CompiledCondition(rule.condition, rule.condition.dlType === undefined),
    });
    enabled.set(rule, trace);
  }
  return trace;
}

/** The rules of a chain in stored order; ids without a rule are passed over. */
export function orderRules(
  order: readonly string[],
  rules: ReadonlyMap<string, RuleRecord>,
  chain: ChainId,
): RuleRecord[] {
  const ordered: RuleRecord[] = [];
  for (const id of order) {
    const rule = rules.get(id);
    if (rule !== undefined && rule.chainId === chain) ordered.push(rule);
  }
  return ordered;
}

function isBound(port: PortRecord): boolean {
  return port.hostId !== null && port.interfaceName !== null;
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
