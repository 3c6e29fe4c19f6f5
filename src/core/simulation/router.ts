import { ETHERTYPE, F, FRAGMENT, UNTAGGED } from "#core/flows";
import { formatIpv4, formatIpv4Prefix, formatMac, type Ipv4, MAC_BROADCAST, prefixContains } from "#core/packets";
import type { CompiledRoute, PortDevice, RouterDevice, TopologyView } from "#core/topology";
import { type HeaderText, headerText, type RouteText } from "#core/tracing";
import { routerArp } from "./arp.ts";
import { neighbourKey } from "./context.ts";
import { deviceRef, portRef } from "./explain.ts";
import { runFilter } from "./filters.ts";
import { answerEcho, ICMP, icmpError } from "./icmp.ts";
import type { Simulation } from "./simulation.ts";

/** A frame enters a router by one of its ports (midonet-semantics 3.5). */
export function routerIn(sim: Simulation, inPort: PortDevice): void {
  const ctx = sim.ctx;
  const router = sim.view.router(inPort.deviceId as RouterDevice["id"]);
  if (router === undefined) {
    ctx.wait = { for: "topology", kind: "router", id: inPort.deviceId };
    return;
  }
  if (router === null) {
    sim.error("device-missing", `router ${inPort.deviceId}`, inPort);
    return;
  }
  ctx.tags.push(router.tag);
  if (router.traces !== null && sim.traced(router.traces, router)) return;
  if (ctx.recorder !== null) {
    sim.recordMatches(router);
    ctx.recorder.push({
      kind: "device-in",
      device: deviceRef(router),
      owner: router.tenantId,
      inPort: portRef(inPort),
    });
  }
  if (admitted(sim, router, inPort)) route(sim, router, inPort);
}

/** Everything that is decided before the first filter; false when the frame ended here. */
function admitted(sim: Simulation, router: RouterDevice, inPort: PortDevice): boolean {
  const ctx = sim.ctx;
  const m = ctx.match;
  ctx.see(F.Vlan | F.EtherType | F.EthDst);
  if (m.vlan !== UNTAGGED) {
    sim.drop("router-vlan-tagged", `VLAN ${m.vlan}`, router);
    return false;
  }
  if (m.etherType !== ETHERTYPE.IPV4 && m.etherType !== ETHERTYPE.ARP) {
    sim.drop("router-ethertype", `0x${m.etherType.toString(16).padStart(4, "0")}`, router);
    return false;
  }
  if (!router.adminUp) {
    icmpError(sim, inPort, router, ICMP.PROHIBITED);
    sim.drop("router-admin-down", `router ${router.name}`, router);
    return false;
  }
  const arp = m.etherType === ETHERTYPE.ARP;
  if (m.ethDst === MAC_BROADCAST && !arp) {
    sim.drop("router-broadcast", formatMac(m.ethDst), router);
    return false;
  }
  if (m.ethDst !== inPort.mac && m.ethDst !== MAC_BROADCAST) {
    sim.drop(
      "router-foreign-mac",
      `${formatMac(m.ethDst)} is not ${formatMac(inPort.mac)} of port ${inPort.label}`,
      router,
    );
    return false;
  }
  if (arp) {
    routerArp(sim, router, inPort);
    return false;
  }
  if (isMalformedIpv4(ctx.frame)) {
    ctx.seeUnmatchable();
    sim.drop("router-malformed", "IPv4 header", router);
    return false;
  }
  return true;
}

/** Version, header length and total length of an untagged frame (RFC 1812 §5.2.2): no field that a switch compares. */
export function isMalformedIpv4(b: Uint8Array, start = 0, end = b.length): boolean {
  const lengthBytes = end - start;
  // Following an installed flow again: there is no frame, and its packets were well-formed.
  if (lengthBytes === 0) return false;
  if (lengthBytes < 34) return true;
  const first = b[start + 14] as number;
  const headerBytes = (first & 15) * 4;
  const totalBytes = ((b[start + 16] as number) << 8) | (b[start + 17] as number);
  return first >>> 4 !== 4 || headerBytes < 20 || totalBytes < headerBytes || lengthBytes < 14 + totalBytes;
}

function route(sim: Simulation, router: RouterDevice, inPort: PortDevice): void {
  const ctx = sim.ctx;
  const m = ctx.match;
  if (router.inFilter !== null) {
    const result = runFilter(ctx, router.inFilter, "pre-routing", router);
    if (result === "reject") icmpError(sim, inPort, router, ICMP.PROHIBITED);
    if (!sim.passes(result, router)) return;
  }
  ctx.tags.push(router.routingTag);
  const routes = router.routes.lookup(m.nwSrc, m.nwDst);
  if (router.routes.srcBitsUsed > 0) ctx.seeNwSrc(router.routes.srcBitsUsed);
  if (router.routes.dstBitsUsed > 0) ctx.seeNwDst(router.routes.dstBitsUsed);
  const chosen = routes.length === 0 ? null : routes.length === 1 ? (routes[0] as CompiledRoute) : ecmp(sim, routes);
  if (ctx.recorder !== null) {
    ctx.recorder.push({
      kind: "route-lookup",
      device: deviceRef(router),
      owner: router.tenantId,
      dst: formatIpv4(m.nwDst),
      src: formatIpv4(m.nwSrc),
      routeCount: router.routes.size,
      route: chosen === null ? null : routeText(chosen, sim.view),
      candidates: routes.length,
    });
  }
  if (chosen === null) {
    icmpError(sim, inPort, router, ICMP.NET_UNREACHABLE);
    sim.shortDrop("no-route", formatIpv4(m.nwDst), router);
    return;
  }
  ctx.tags.push(chosen.tag);
  switch (chosen.type) {
    case "Local":
      local(sim, router, inPort);
      return;
    case "BlackHole":
      sim.drop("route-blackhole", `route to ${prefixText(chosen)}`, router);
      return;
    case "Reject":
      icmpError(sim, inPort, router, ICMP.PROHIBITED);
      sim.shortDrop("route-reject", `route to ${prefixText(chosen)}`, router);
      return;
    case "Normal":
      forward(sim, router, inPort, chosen);
  }
}

/** One of several routes of equal weight: by the conversation, so that a repeated pass takes the same one. */
function ecmp(sim: Simulation, routes: readonly CompiledRoute[]): CompiledRoute {
  const ctx = sim.ctx;
  const m = ctx.match;
  ctx.see(F.NwProto | F.TpSrc | F.TpDst);
  ctx.seeNwSrc(32);
  ctx.seeNwDst(32);
  // ICMP type and code are left out, so that a ping's errors and echoes do not spread; ports exist only in whole packets.
  const ports = m.nwProto === 1 || m.fragment !== FRAGMENT.NONE ? 0 : (m.tpSrc << 16) | m.tpDst;
  let h = Math.imul(m.nwSrc ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul((h ^ m.nwDst) + m.nwProto, 0xc2b2ae35) ^ (h >>> 13);
  h ^= ports;
  // The end of MurmurHash3 (fmix32): every bit, the source port's too, has a say in the lowest.
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  h ^= h >>> 16;
  return routes[(h >>> 0) % routes.length] as CompiledRoute;
}

function local(sim: Simulation, router: RouterDevice, inPort: PortDevice): void {
  const ctx = sim.ctx;
  const m = ctx.match;
  ctx.see(F.NwProto | F.TpSrc);
  ctx.seeNwDst(32);
  if (m.nwProto === 1 && m.tpSrc === 8 && m.fragment === FRAGMENT.NONE) {
    answerEcho(sim, router, inPort);
    return;
  }
  sim.shortDrop("local-address", formatIpv4(m.nwDst), router);
}

function forward(sim: Simulation, router: RouterDevice, inPort: PortDevice, chosen: CompiledRoute): void {
  const ctx = sim.ctx;
  const m = ctx.match;
  const before: HeaderText | null = ctx.recorder === null ? null : headerText(m);
  ctx.see(F.NwTtl);
  if (m.nwTtl <= 1) {
    icmpError(sim, inPort, router, ICMP.TTL_EXPIRED);
    sim.shortDrop("ttl-expired", `time to live ${m.nwTtl}`, router);
    return;
  }
  if (chosen.port === null) {
    sim.error("device-missing", "the route has no port", router);
    return;
  }
  const out = sim.portOrHalt(chosen.port, router);
  if (out === null) return;
  m.nwTtl--;
  ctx.recorder?.push({
    kind: "ttl",
    device: deviceRef(router),
    owner: router.tenantId,
    before: m.nwTtl + 1,
    after: m.nwTtl,
  });
  ctx.outPort = out;
  if (router.outFilter !== null) {
    const result = runFilter(ctx, router.outFilter, "post-routing", router);
    if (result === "reject") icmpError(sim, inPort, router, ICMP.PROHIBITED);
    if (!sim.passes(result, router)) return;
  }
  // Enough of the address to tell it from the port's own.
  ctx.seeNwDst(Math.min(32, Math.clz32(m.nwDst ^ out.address) + 1));
  if (out.address !== 0 && m.nwDst === out.address) {
    sim.shortDrop("local-address", formatIpv4(m.nwDst), router);
    return;
  }
  const mac = nextHopMac(sim, router, inPort, out, chosen);
  if (mac < 0) return;
  m.ethSrc = out.mac;
  m.ethDst = mac;
  ctx.rewritten |= F.EthSrc | F.EthDst;
  ctx.routedBy ??= inPort;
  if (ctx.recorder !== null && before !== null) {
    ctx.recorder.push({
      kind: "rewrite",
      device: deviceRef(router),
      owner: router.tenantId,
      before,
      after: headerText(m),
    });
  }
  sim.portOut(out);
}

/** The MAC to send to, or -1 when the packet waits or ended. */
function nextHopMac(
  sim: Simulation,
  router: RouterDevice,
  inPort: PortDevice,
  out: PortDevice,
  chosen: CompiledRoute,
): number {
  const ctx = sim.ctx;
  if (out.peerId !== null) {
    const peer = sim.portOrHalt(out.peerId, router);
    if (peer === null) return -1;
    if (peer.ownerKind === "router") {
      recordHop(sim, router, chosen.gateway === 0 ? ctx.match.nwDst : chosen.gateway, peer.mac, "linked-port");
      return peer.mac;
    }
  }
  const ip = chosen.gateway === 0 ? ctx.match.nwDst : chosen.gateway;
  if (chosen.gateway === 0) ctx.seeNwDst(32);
  const entry = sim.state.arp(router, ip);
  if (entry !== null) {
    ctx.tags.push(entry.tag);
    recordHop(sim, router, ip, entry.mac, "arp-table");
    return entry.mac;
  }
  if (out.address === 0 || !prefixContains({ address: out.address as Ipv4, length: out.prefixLength }, ip)) {
    icmpError(sim, inPort, router, chosen.gateway === 0 ? ICMP.HOST_UNREACHABLE : ICMP.NET_UNREACHABLE);
    sim.shortDrop("next-hop-unreachable", `${formatIpv4(ip)} is not in the network of port ${out.label}`, router);
    return -1;
  }
  recordHop(sim, router, ip, null, "asked");
  if (ctx.unanswered.has(neighbourKey(router.id, ip))) {
    if (!ctx.generated) icmpError(sim, inPort, router, ICMP.HOST_UNREACHABLE);
    sim.shortDrop("arp-timeout", `no answer from ${formatIpv4(ip)}`, router);
    return -1;
  }
  ctx.wait = { for: "arp", router: router.id, port: out, ip };
  return -1;
}

function recordHop(
  sim: Simulation,
  router: RouterDevice,
  ip: number,
  mac: number | null,
  source: "linked-port" | "arp-table" | "asked",
): void {
  sim.ctx.recorder?.push({
    kind: "next-hop",
    device: deviceRef(router),
    owner: router.tenantId,
    ip: formatIpv4(ip),
    mac: mac === null ? null : formatMac(mac),
    source,
  });
}

function prefixText(r: CompiledRoute): string {
  return formatIpv4Prefix({ address: r.dst as Ipv4, length: r.dstBits });
}

function routeText(r: CompiledRoute, view: TopologyView): RouteText {
  return {
    id: r.id,
    type: r.type,
    src: formatIpv4Prefix({ address: r.src as Ipv4, length: r.srcBits }),
    dst: prefixText(r),
    gateway: r.gateway === 0 ? null : formatIpv4(r.gateway),
    port: r.port === null ? null : (view.port(r.port)?.label ?? r.port),
    weight: r.weight,
  };
}
