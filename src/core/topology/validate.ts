import { isPortKey } from "#core/flows";
import { isMulticastIpv4, prefixMask } from "#core/packets";
import type { Violations } from "#core/base";
import { FieldChecks, show } from "./field-checks.ts";
import {
  type BridgeRecord,
  type ChainRecord,
  type HostRecord,
  type IpAddrGroupRecord,
  L2_FLOW_ACTIONS,
  LIMIT_MAX,
  NAT_FLOW_ACTIONS,
  type NatTarget,
  type PortGroupRecord,
  type PortRecord,
  type RouteRecord,
  type RouterRecord,
  RULE_TYPES,
  type RuleRecord,
  type TraceRequestRecord,
  type TunnelZoneMember,
  type TunnelZoneRecord,
} from "./model.ts";
import { isSimpleNat } from "./nat.ts";
import { validateCondition } from "./validate-condition.ts";

/*
 * One validator per kind of record. Each looks at one record alone (whether referenced objects exist is the store's to
 * say) and adds a violation per wrong field; `prefix` is the path of the record, "" for the top of a request body.
 */

const MAX_NAME = 255;
const MAX_INT32 = 0x7fff_ffff;
const MAX_UINT32 = 0xffff_ffff;
/** A text that a client leaves with an object. */
const MAX_NOTE = 4_096;

export function validateBridge(b: BridgeRecord, violations: Violations, prefix = ""): void {
  validateDevice(new FieldChecks(violations, prefix), b);
}

export function validateRouter(r: RouterRecord, violations: Violations, prefix = ""): void {
  const checks = new FieldChecks(violations, prefix);
  validateDevice(checks, r);
  checks.integer("asNumber", r.asNumber, 0, MAX_UINT32);
}

export function validatePort(p: PortRecord, violations: Violations, prefix = ""): void {
  const checks = new FieldChecks(violations, prefix);
  checks.uuid("id", p.id);
  checks.uuid("deviceId", p.deviceId);
  checks.text("name", p.name, 0, MAX_NAME);
  checks.uuid("vifId", p.vifId);
  validateFilters(checks, p);
  // 0: the store has not allocated the key yet.
  if (p.tunnelKey !== 0 && !isPortKey(p.tunnelKey))
    checks.fail("tunnelKey", `must be an integer from 1 to 1048575, not ${show(p.tunnelKey)}`);
  checks.uuid("hostId", p.hostId);
  checks.uuid("peerId", p.peerId);
  // IFNAMSIZ - 1 on Linux; longer names exist in other datapaths, so only emptiness and a generous bound are refused.
  checks.text("interfaceName", p.interfaceName, 1, MAX_NAME);
  if ((p.hostId === null) !== (p.interfaceName === null))
    checks.fail(
      p.hostId === null ? "hostId" : "interfaceName",
      "hostId and interfaceName are set together or not at all",
    );
  if (p.peerId !== null && p.hostId !== null)
    checks.fail("peerId", "a port is bound to a host or linked to a port, not both");
  if (p.peerId !== null && p.peerId === p.id) checks.fail("peerId", "a port cannot be linked to itself");
  if (p.type === "Bridge") {
    checks.integer("vlanId", p.vlanId, 0, 4094);
    return;
  }
  if (checks.required("portMac", p.portMac)) checks.unicastMac("portMac", p.portMac);
  validatePortAddress(checks, p.portAddress, p.networkLength);
}

/**
 * The addresses of a router port as REST carries them: `networkAddress`/`networkLength` must contain `portAddress`.
 * Null counts as absent.
 */
export function validatePortNetwork(
  p: { readonly networkAddress?: unknown; readonly portAddress?: unknown; readonly networkLength?: unknown },
  violations: Violations,
  prefix = "",
): void {
  const checks = new FieldChecks(violations, prefix);
  const address = validatePortAddress(checks, p.portAddress, p.networkLength);
  const network = checks.ipv4("networkAddress", p.networkAddress);
  if (address === null || network === null || typeof p.networkLength !== "number") return;
  if (((address ^ network) & prefixMask(p.networkLength)) !== 0)
    checks.fail(
      "portAddress",
      `must be inside ${String(p.networkAddress)}/${p.networkLength}, not ${show(p.portAddress)}`,
    );
}

/** @returns the address when it and the length are good. */
function validatePortAddress(checks: FieldChecks, text: unknown, length: unknown): number | null {
  const lengthOk = checks.integer("networkLength", length, 0, 32);
  const address = checks.ipv4("portAddress", text);
  if (address === null) return null;
  if (address === 0 || address === 0xffff_ffff || isMulticastIpv4(address)) {
    checks.fail("portAddress", `must be the address of one interface, not ${show(text)}`);
    return null;
  }
  return lengthOk ? address : null;
}

export function validateChain(c: ChainRecord, violations: Violations, prefix = ""): void {
  const checks = new FieldChecks(violations, prefix);
  checks.uuid("id", c.id);
  checks.text("tenantId", c.tenantId, 0, MAX_NAME);
  checks.text("name", c.name, 0, MAX_NAME);
}

/** Condition fields are reported inline (`nwSrcAddress`), as REST has them in rules. */
export function validateRule(r: RuleRecord, violations: Violations, prefix = ""): void {
  const checks = new FieldChecks(violations, prefix);
  checks.uuid("id", r.id);
  checks.uuid("chainId", r.chainId);
  checks.text("meterName", r.meterName, 0, MAX_NAME);
  validateCondition(r.condition, prefix, violations);
  if (!checks.required("type", r.type) || !checks.oneOf("type", r.type, RULE_TYPES)) return;
  switch (r.type) {
    case "jump":
      if (checks.required("jumpChainId", r.jumpChainId)) checks.uuid("jumpChainId", r.jumpChainId);
      return;
    case "snat":
    case "dnat":
      validateFlowAction(checks, r.flowAction);
      validateNatTargets(checks, r);
      return;
    case "rev_snat":
    case "rev_dnat":
      validateFlowAction(checks, r.flowAction);
      return;
    case "l2_transform":
      if (checks.required("flowAction", r.flowAction)) checks.oneOf("flowAction", r.flowAction, L2_FLOW_ACTIONS);
      checks.flag("popVlan", r.popVlan);
      checks.integer("pushVlan", r.pushVlan, 0, 0xffff);
      checks.uuid("targetPortId", r.targetPortId);
      if (r.flowAction === "redirect" && r.targetPortId === null)
        checks.fail("targetPortId", "may not be null for a rule that redirects");
      checks.flag("ingress", r.ingress);
      checks.flag("failOpen", r.failOpen);
      return;
    case "trace":
      if (checks.required("requestId", r.requestId)) checks.uuid("requestId", r.requestId);
      if (checks.required("deviceId", r.deviceId)) checks.uuid("deviceId", r.deviceId);
      checks.bigint("limit", r.limit, 0n, LIMIT_MAX);
      return;
    case "accept":
    case "drop":
    case "reject":
    case "return":
  }
}

function validateFlowAction(checks: FieldChecks, action: unknown): void {
  if (checks.required("flowAction", action)) checks.oneOf("flowAction", action, NAT_FLOW_ACTIONS);
}

function validateNatTargets(checks: FieldChecks, r: RuleRecord & { readonly type: "snat" | "dnat" }): void {
  if (!checks.required("natTargets", r.natTargets)) return;
  if (!Array.isArray(r.natTargets) || r.natTargets.length === 0)
    return checks.fail("natTargets", "must be a list of at least one target");
  r.natTargets.forEach((target: NatTarget, i) => {
    const at = `natTargets[${i}]`;
    if (!checks.required(at, target)) return;
    const from = checks.required(`${at}.addressFrom`, target.addressFrom)
      ? checks.ipv4(`${at}.addressFrom`, target.addressFrom)
      : null;
    const to = checks.required(`${at}.addressTo`, target.addressTo)
      ? checks.ipv4(`${at}.addressTo`, target.addressTo)
      : null;
    if (from !== null && to !== null && from > to)
      checks.fail(`${at}.addressTo`, `must not be before ${target.addressFrom}`);
    const fromOk = checks.integer(`${at}.portFrom`, target.portFrom, 0, 0xffff);
    const toOk = checks.integer(`${at}.portTo`, target.portTo, 0, 0xffff);
    if (fromOk && toOk && target.portFrom > target.portTo)
      checks.fail(`${at}.portTo`, `must not be less than ${target.portFrom}`);
  });
  const policy = r.condition.fragmentPolicy;
  if ((policy ?? null) !== null && policy !== "unfragmented" && !isSimpleNat(r.natTargets, r.condition))
    checks.fail("fragmentPolicy", `must be unfragmented for NAT with ports or several targets, not ${show(policy)}`);
}

const ROUTE_TYPES = ["Normal", "BlackHole", "Reject", "Local"];

/** Host bits below a prefix are allowed, as in MidoNet; they are ignored. */
export function validateRoute(r: RouteRecord, violations: Violations, prefix = ""): void {
  const checks = new FieldChecks(violations, prefix);
  checks.uuid("id", r.id);
  checks.uuid("routerId", r.routerId);
  if (checks.required("type", r.type)) checks.oneOf("type", r.type, ROUTE_TYPES);
  if (checks.required("srcNetworkAddr", r.srcNetworkAddr)) checks.ipv4("srcNetworkAddr", r.srcNetworkAddr);
  checks.integer("srcNetworkLength", r.srcNetworkLength, 0, 32);
  if (checks.required("dstNetworkAddr", r.dstNetworkAddr)) checks.ipv4("dstNetworkAddr", r.dstNetworkAddr);
  checks.integer("dstNetworkLength", r.dstNetworkLength, 0, 32);
  checks.uuid("nextHopPort", r.nextHopPort);
  if ((r.type === "Normal" || r.type === "Local") && r.nextHopPort === null)
    checks.fail("nextHopPort", `may not be null for a ${r.type} route`);
  checks.ipv4("nextHopGateway", r.nextHopGateway);
  checks.integer("weight", r.weight, 0, MAX_INT32);
  checks.text("attributes", r.attributes, 0, MAX_NOTE);
}

export function validateHost(h: HostRecord, violations: Violations, prefix = ""): void {
  const checks = new FieldChecks(violations, prefix);
  checks.uuid("id", h.id);
  if (checks.required("name", h.name)) checks.text("name", h.name, 0, MAX_NAME);
  checks.integer("floodingProxyWeight", h.floodingProxyWeight, 0, 0xffff);
  checks.integer("containerWeight", h.containerWeight, 0, MAX_INT32);
  checks.integer("containerLimit", h.containerLimit, -1, MAX_INT32);
  checks.flag("enforceContainerLimit", h.enforceContainerLimit);
}

export function validateTunnelZone(z: TunnelZoneRecord, violations: Violations, prefix = ""): void {
  const checks = new FieldChecks(violations, prefix);
  checks.uuid("id", z.id);
  if (checks.required("name", z.name)) checks.text("name", z.name, 1, MAX_NAME);
  if (checks.required("type", z.type)) checks.oneOf("type", z.type, ["vxlan", "gre", "vtep"]);
}

export function validateTunnelZoneMember(m: TunnelZoneMember, violations: Violations, prefix = ""): void {
  const checks = new FieldChecks(violations, prefix);
  checks.uuid("tunnelZoneId", m.tunnelZoneId);
  if (checks.required("hostId", m.hostId)) checks.uuid("hostId", m.hostId);
  if (!checks.required("ipAddress", m.ipAddress)) return;
  const ip = checks.ipv4("ipAddress", m.ipAddress);
  if (ip !== null && (ip === 0 || ip === 0xffff_ffff || isMulticastIpv4(ip)))
    checks.fail("ipAddress", `must be the address of one interface, not ${show(m.ipAddress)}`);
}

export function validatePortGroup(g: PortGroupRecord, violations: Violations, prefix = ""): void {
  const checks = new FieldChecks(violations, prefix);
  checks.uuid("id", g.id);
  checks.text("tenantId", g.tenantId, 0, MAX_NAME);
  checks.text("name", g.name, 0, MAX_NAME);
  checks.flag("stateful", g.stateful);
}

export function validateIpAddrGroup(g: IpAddrGroupRecord, violations: Violations, prefix = ""): void {
  const checks = new FieldChecks(violations, prefix);
  checks.uuid("id", g.id);
  if (checks.required("name", g.name)) checks.text("name", g.name, 1, MAX_NAME);
}

/** One address of an address group. */
export function validateIpAddrGroupAddr(addr: unknown, violations: Violations, prefix = ""): void {
  const checks = new FieldChecks(violations, prefix);
  if (checks.required("addr", addr)) checks.ip("addr", addr);
}

/** Condition fields are reported below `condition`. */
export function validateTraceRequest(t: TraceRequestRecord, violations: Violations, prefix = ""): void {
  const checks = new FieldChecks(violations, prefix);
  checks.uuid("id", t.id);
  if (checks.required("name", t.name)) checks.text("name", t.name, 0, MAX_NAME);
  if (checks.required("deviceType", t.deviceType))
    checks.oneOf("deviceType", t.deviceType, ["BRIDGE", "ROUTER", "PORT"]);
  if (checks.required("deviceId", t.deviceId)) checks.uuid("deviceId", t.deviceId);
  checks.integer("creationTimestampMs", t.creationTimestampMs, 0, Number.MAX_SAFE_INTEGER);
  if (checks.required("limit", t.limit)) checks.bigint("limit", t.limit, 0n, LIMIT_MAX);
  if (checks.required("condition", t.condition))
    validateCondition(t.condition, prefix === "" ? "condition" : `${prefix}.condition`, violations);
}

function validateDevice(checks: FieldChecks, d: BridgeRecord | RouterRecord): void {
  checks.uuid("id", d.id);
  checks.text("tenantId", d.tenantId, 0, MAX_NAME);
  checks.text("name", d.name, 0, MAX_NAME);
  validateFilters(checks, d);
}

function validateFilters(
  checks: FieldChecks,
  d: { readonly adminStateUp: unknown; readonly inboundFilterId: unknown; readonly outboundFilterId: unknown },
): void {
  checks.flag("adminStateUp", d.adminStateUp);
  checks.uuid("inboundFilterId", d.inboundFilterId);
  checks.uuid("outboundFilterId", d.outboundFilterId);
}
