import type { PortId } from "#core/base";
import { UNTAGGED } from "#core/flows";
import type { BridgeDevice, PortDevice } from "#core/topology";
import { LEFT_OUT, type PortRef } from "#core/tracing";
import { fitVlan, leaves } from "./bridge.ts";
import { deviceRef, portRef } from "./explain.ts";
import type { Simulation } from "./simulation.ts";

/** What the other branches of a flood must find as it was. */
interface Branch {
  readonly header: Simulation["ctx"]["match"];
  readonly inPort: PortDevice | null;
  readonly rewritten: number;
  readonly traversals: number;
  readonly routedBy: PortDevice | null;
}

/**
 * Sends the frame to every other port of the bridge that can take it: bound ports, and links to other bridges. Linked
 * routers take no part (only ARP for their address reaches them, as unicast). Branches run one after the other from the
 * same state; one that drops or is consumed takes nothing from the others.
 */
export function flood(sim: Simulation, bridge: BridgeDevice, inPort: PortDevice): void {
  const ctx = sim.ctx;
  ctx.tags.push(bridge.floodTag);
  if (!leaves(sim, bridge, null)) return;
  const targets: PortDevice[] = [];
  const notes: { port: PortRef; included: boolean; because: string }[] | null = ctx.recorder === null ? null : [];
  const missing: PortId[] = [];
  for (const id of bridge.exteriorPorts) if (!consider(sim, inPort, id, targets, notes)) missing.push(id);
  for (const id of bridge.bridgeUplinks) if (!consider(sim, inPort, id, targets, notes)) missing.push(id);
  for (const id of bridge.vlanPorts.values()) if (!consider(sim, inPort, id, targets, notes)) missing.push(id);
  const [first, ...more] = missing;
  if (first !== undefined) {
    // All at once: one wait for each port of a large bridge would never end.
    ctx.wait = { for: "topology", kind: "port", id: first, more };
    return;
  }
  if (ctx.recorder !== null && notes !== null) {
    ctx.recorder.push({ kind: "flood", device: deviceRef(bridge), owner: bridge.tenantId, ports: notes });
  }
  if (targets.length === 0) {
    sim.drop("nowhere-to-flood", `bridge ${bridge.name}`, bridge);
    return;
  }
  const branch: Branch = {
    header: ctx.match.clone(),
    inPort: ctx.inPort,
    rewritten: ctx.rewritten,
    traversals: ctx.traversals,
    routedBy: ctx.routedBy,
  };
  const flooding = targets.length > 1;
  for (let i = 0; i < targets.length; i++) {
    if (i > 0) rejoin(sim, branch);
    const target = targets[i] as PortDevice;
    if (fitVlan(sim, bridge, inPort, target)) sim.portOut(target);
    if (ctx.halted) return;
  }
  if (flooding && ctx.outputs.length > 0) ctx.verdict = "flooded";
}

/** The next branch starts from where the flood began; headers that already left with an output stay as they are. */
function rejoin(sim: Simulation, branch: Branch): void {
  const ctx = sim.ctx;
  const last = ctx.outputs.length === 0 ? null : ctx.outputs[ctx.outputs.length - 1];
  if (last !== null && last !== undefined && last.header === ctx.match) {
    ctx.outputs[ctx.outputs.length - 1] = { ...last, header: ctx.match.clone() };
  }
  ctx.match.copyFrom(branch.header);
  ctx.inPort = branch.inPort;
  ctx.outPort = null;
  ctx.rewritten = branch.rewritten;
  ctx.traversals = branch.traversals;
  ctx.routedBy = branch.routedBy;
}

/** Adds the port to the targets if it can take the frame; false when the port is not loaded. */
function consider(
  sim: Simulation,
  inPort: PortDevice,
  id: PortId,
  targets: PortDevice[],
  notes: { port: PortRef; included: boolean; because: string }[] | null,
): boolean {
  const port = sim.view.port(id);
  if (port === undefined) return false;
  if (port === null) return true;
  sim.ctx.tags.push(port.tag);
  const because = whyNot(sim, inPort, port);
  if (because === null) targets.push(port);
  notes?.push({ port: portRef(port), included: because === null, because: because ?? "takes the frame" });
  return true;
}

function whyNot(sim: Simulation, inPort: PortDevice, port: PortDevice): string | null {
  if (port.id === inPort.id) return "the frame came from here";
  if (!port.adminUp) return LEFT_OUT.ADMIN_DOWN;
  if (port.exterior && !port.active) return LEFT_OUT.NOT_UP;
  const vlan = sim.ctx.match.vlan;
  if (port.vlanId > 0 && inPort.vlanId > 0) return `VLAN ${port.vlanId}, the frame came from VLAN ${inPort.vlanId}`;
  if (port.vlanId > 0 && vlan !== port.vlanId)
    return `VLAN ${port.vlanId}, the frame is ${vlan === UNTAGGED ? "untagged" : `of VLAN ${vlan}`}`;
  return null;
}
