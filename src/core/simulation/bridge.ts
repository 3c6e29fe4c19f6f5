import type { PortId } from "#core/base";
import { readU16 } from "#core/base";
import { ARP_OP, ETHERTYPE, F, macMissTag, macPortTag, UNTAGGED } from "#core/flows";
import { formatMac, isMulticastMac, MAC_BROADCAST } from "#core/packets";
import type { BridgeDevice, PortDevice } from "#core/topology";
import { deviceRef, portRef } from "./explain.ts";
import { runFilter } from "./filters.ts";
import { flood } from "./flood.ts";
import type { Simulation } from "./simulation.ts";

/** A frame enters a bridge by one of its ports (midonet-semantics 3.4). */
export function bridgeIn(sim: Simulation, inPort: PortDevice): void {
  const ctx = sim.ctx;
  const bridge = sim.view.bridge(inPort.deviceId as BridgeDevice["id"]);
  if (bridge === undefined) {
    ctx.wait = { for: "topology", kind: "bridge", id: inPort.deviceId };
    return;
  }
  if (bridge === null) {
    sim.error("device-missing", `bridge ${inPort.deviceId}`, inPort);
    return;
  }
  ctx.tags.push(bridge.tag);
  if (bridge.traces !== null && sim.traced(bridge.traces, bridge)) return;
  if (ctx.recorder !== null) {
    sim.recordMatches(bridge);
    ctx.recorder.push({
      kind: "device-in",
      device: deviceRef(bridge),
      owner: bridge.tenantId,
      inPort: portRef(inPort),
    });
  }
  const m = ctx.match;
  ctx.see(F.EthSrc | F.Vlan);
  if (isMulticastMac(m.ethSrc)) {
    sim.drop("multicast-source", formatMac(m.ethSrc), bridge);
    return;
  }
  if (!bridge.adminUp) {
    sim.drop("bridge-admin-down", `bridge ${bridge.name}`, bridge);
    return;
  }
  const tagged = m.vlan !== UNTAGGED;
  const vlan = macVlan(inPort, m.vlan);
  let filtered = true;
  if (bridge.inFilter !== null) {
    if (tagged) skipped(sim, bridge, "pre-bridging", bridge.inFilter);
    else filtered = sim.passes(runFilter(ctx, bridge.inFilter, "pre-bridging", bridge), bridge);
    if (ctx.halted) return;
  }
  learnSource(sim, bridge, inPort, vlan);
  if (filtered) forward(sim, bridge, inPort, vlan);
}

/** The VLAN a MAC is known under: that of the tag, or of the VLAN port the frame came by; 0 for untagged. */
function macVlan(inPort: PortDevice, vlan: number): number {
  if (inPort.vlanId > 0) return inPort.vlanId;
  return vlan === UNTAGGED ? 0 : vlan;
}

function learnSource(sim: Simulation, bridge: BridgeDevice, inPort: PortDevice, vlan: number): void {
  const ctx = sim.ctx;
  const mac = ctx.match.ethSrc;
  // The MACs of linked router ports are known by configuration; those behind links to bridges are not.
  if (bridge.linkedMacs.has(mac)) return;
  const entry = sim.state.mac(bridge, vlan, mac);
  if (entry !== null && (entry.port === inPort.id || entry.fixed === true)) {
    ctx.tags.push(entry.tag);
    return;
  }
  ctx.tags.push(macPortTag(bridge.id, vlan, mac, inPort.id));
  ctx.learns.push({ bridge: bridge.id, vlan, mac, port: inPort.id });
  ctx.recorder?.push({
    kind: "mac-learned",
    device: deviceRef(bridge),
    owner: bridge.tenantId,
    mac: formatMac(mac),
    vlan,
    port: portRef(inPort),
  });
}

function forward(sim: Simulation, bridge: BridgeDevice, inPort: PortDevice, vlan: number): void {
  const ctx = sim.ctx;
  const m = ctx.match;
  ctx.see(F.EthDst);
  if (isMulticastMac(m.ethDst)) {
    forwardMulticast(sim, bridge, inPort, vlan);
    return;
  }
  const linked = bridge.linkedMacs.get(m.ethDst);
  if (linked !== undefined) {
    unicast(sim, bridge, inPort, linked, vlan, "unicast-linked");
    return;
  }
  const entry = m.ethDst === m.ethSrc ? null : sim.state.mac(bridge, vlan, m.ethDst);
  if (m.ethDst === m.ethSrc || (entry !== null && entry.port === inPort.id)) {
    if (entry !== null) ctx.tags.push(entry.tag);
    sim.shortDrop("destination-on-ingress-port", formatMac(m.ethDst), bridge);
    return;
  }
  if (entry === null) {
    ctx.tags.push(macMissTag(bridge.id, vlan, m.ethDst));
    decided(sim, bridge, "flood-unknown", vlan, null);
    flood(sim, bridge, inPort);
    return;
  }
  ctx.tags.push(entry.tag);
  unicast(sim, bridge, inPort, entry.port, vlan, "unicast");
}

function forwardMulticast(sim: Simulation, bridge: BridgeDevice, inPort: PortDevice, vlan: number): void {
  const ctx = sim.ctx;
  const m = ctx.match;
  ctx.see(F.EtherType);
  const arp = m.etherType === ETHERTYPE.ARP && m.ethDst === MAC_BROADCAST;
  if (arp && bridge.linkedRouterPorts.length > 0) {
    ctx.seeNwDst(32);
    for (const linked of bridge.linkedRouterPorts) {
      if (linked.address === 0 || linked.address !== m.nwDst || linked.portId === inPort.id) continue;
      unicast(sim, bridge, inPort, linked.portId, vlan, "arp-to-router");
      return;
    }
  }
  const word = arp && m.nwProto === ARP_OP.REQUEST ? "flood-arp" : "flood-multicast";
  decided(sim, bridge, word, vlan, null);
  flood(sim, bridge, inPort);
}

function unicast(
  sim: Simulation,
  bridge: BridgeDevice,
  inPort: PortDevice,
  outId: PortId,
  vlan: number,
  decision: "unicast" | "unicast-linked" | "arp-to-router",
): void {
  const out = sim.portOrHalt(outId, bridge);
  if (out === null) return;
  decided(sim, bridge, decision, vlan, out);
  if (!leaves(sim, bridge, out)) return;
  if (fitVlan(sim, bridge, inPort, out)) sim.portOut(out);
}

/** The post-bridging filter: for untagged frames, knowing the port of a unicast (null for a flood). */
export function leaves(sim: Simulation, bridge: BridgeDevice, out: PortDevice | null): boolean {
  if (bridge.outFilter === null) return true;
  const ctx = sim.ctx;
  if (ctx.match.vlan !== UNTAGGED) {
    skipped(sim, bridge, "post-bridging", bridge.outFilter);
    return true;
  }
  ctx.outPort = out;
  return sim.passes(runFilter(ctx, bridge.outFilter, "post-bridging", bridge), bridge);
}

/**
 * Fits the frame to the VLANs of the ports it comes from and leaves by (VLAN-aware bridges): a frame from a VLAN port
 * gets the tag, a frame to one loses it. False: it does not fit and was dropped.
 */
export function fitVlan(sim: Simulation, bridge: BridgeDevice, inPort: PortDevice, out: PortDevice): boolean {
  if (inPort.vlanId > 0 && inPort.vlanId !== out.vlanId) {
    // Between VLAN ports of different VLANs nothing passes; towards a trunk the tag goes on.
    if (out.vlanId > 0) return mismatch(sim, bridge, out);
    if (isTag(sim.ctx.match.etherType)) {
      sim.drop(
        "vlan-mismatch",
        `two tags already, port ${inPort.label} would add that of VLAN ${inPort.vlanId}`,
        bridge,
      );
      return false;
    }
    pushVlan(sim, bridge, inPort.vlanId);
    return true;
  }
  if (out.vlanId === 0 || inPort.vlanId === out.vlanId) return true;
  if (sim.ctx.match.vlan !== out.vlanId) return mismatch(sim, bridge, out);
  popVlan(sim, bridge);
  return true;
}

function mismatch(sim: Simulation, bridge: BridgeDevice, out: PortDevice): boolean {
  const vlan = sim.ctx.match.vlan;
  sim.drop(
    "vlan-mismatch",
    `${vlan === UNTAGGED ? "untagged frame" : `VLAN ${vlan}`} to port ${out.label} of VLAN ${out.vlanId}`,
    bridge,
  );
  return false;
}

function pushVlan(sim: Simulation, bridge: BridgeDevice, vlan: number): void {
  const ctx = sim.ctx;
  const m = ctx.match;
  // On top of a tag that the frame has already: behind the new one stands the old one.
  if (m.vlan !== UNTAGGED) m.etherType = ETHERTYPE.VLAN;
  m.vlan = vlan;
  ctx.recorder?.push({ kind: "vlan", device: deviceRef(bridge), owner: bridge.tenantId, operation: "push", vlan });
}

function popVlan(sim: Simulation, bridge: BridgeDevice): void {
  const ctx = sim.ctx;
  const m = ctx.match;
  ctx.recorder?.push({
    kind: "vlan",
    device: deviceRef(bridge),
    owner: bridge.tenantId,
    operation: "pop",
    vlan: m.vlan,
  });
  m.vlan = UNTAGGED;
  if (!isTag(m.etherType)) return;
  const { original } = ctx;
  if (!isTag(original.etherType)) {
    // The tag was pushed on the way: the frame's own one is behind it.
    m.vlan = original.vlan;
    m.etherType = original.etherType;
    return;
  }
  // Behind the tag stands another: no switch matches it, so the flow that depends on it is never installed.
  ctx.seeUnmatchable();
  if (ctx.frame.length >= 22) {
    m.vlan = readU16(ctx.frame, 18) & 0x0fff;
    m.etherType = readU16(ctx.frame, 20);
  }
}

function decided(
  sim: Simulation,
  bridge: BridgeDevice,
  decision: "unicast" | "unicast-linked" | "arp-to-router" | "flood-unknown" | "flood-multicast" | "flood-arp",
  vlan: number,
  out: PortDevice | null,
): void {
  sim.ctx.recorder?.push({
    kind: "bridge-decision",
    device: deviceRef(bridge),
    owner: bridge.tenantId,
    decision,
    mac: formatMac(sim.ctx.match.ethDst),
    vlan,
    outPort: out === null ? null : portRef(out),
  });
}

function skipped(
  sim: Simulation,
  bridge: BridgeDevice,
  stage: "pre-bridging" | "post-bridging",
  chainId: string,
): void {
  sim.ctx.recorder?.push({
    kind: "filter-skipped",
    device: deviceRef(bridge),
    owner: bridge.tenantId,
    stage,
    chainId,
    because: "bridge filters do not apply to VLAN-tagged frames",
  });
}

function isTag(etherType: number): boolean {
  return etherType === ETHERTYPE.VLAN || etherType === ETHERTYPE.QINQ;
}
