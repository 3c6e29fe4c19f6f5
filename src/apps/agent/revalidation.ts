import { deviceTag } from "#core/flows";
import { CLOSED_GATE, type FlowState, PacketContext, Simulation } from "#core/simulation";
import { type ArmedTrace, couldMatch, type TopologyView, type VirtualDevice } from "#core/topology";
import type { FlowRegistry, InstalledFlow } from "./flow-registry.ts";

/**
 * Which installed flows could carry packets that a newly enabled trace is to see: those that enter the device with
 * headers its condition could match there. The others stay in the switch, untouched. Each flow of the device is followed
 * once more through the topology, because headers change on the way.
 */
export function flowsThatCouldMatch(
  flows: FlowRegistry,
  view: TopologyView,
  state: FlowState,
  device: VirtualDevice,
  traces: readonly ArmedTrace[],
): InstalledFlow[] {
  const simulation = new Simulation(view, state, CLOSED_GATE);
  const ctx = new PacketContext(view);
  return flows.withTag(deviceTag(device.id)).filter((flow) => {
    if (flow.startPort === null) return false;
    let could = false;
    ctx.beginFlow(flow.match, flow.startPort);
    const same = simulation.follow(ctx, (here, at) => {
      if (here.id !== device.id) return;
      could ||= traces.some((t) => couldMatch(t.condition, at, flow.match, flow.mask));
      // Of an address group that is not loaded nobody knows whether it has the address.
      could ||= at.missingGroup !== "";
      at.missingGroup = "";
    });
    // A flow whose way cannot be followed any more is not known to be harmless. One that does not meet the device only
    // leaves by it, or could have.
    return could || !same;
  });
}
