import { deviceTag, F, type FlowAction, type FlowMask, type FlowMatch } from "#core/flows";
import { buildArpRequest, type Ipv4, type Mac } from "#core/packets";
import { CLOSED_GATE, type FlowState, PacketContext, Simulation } from "#core/simulation";
import { type ArmedTrace, couldMatch, type TopologyView, type VirtualDevice } from "#core/topology";
import type { FlowRegistry, InstalledFlow } from "./flow-registry.ts";

/**
 * Which installed flows could carry packets that a newly enabled trace is to see: those that enter the device with
 * headers its condition could match there. The others stay in the switch, untouched. Each flow of the device is followed
 * once more through the topology, because headers change on the way.
 *
 * @returns their cookies.
 */
export function flowsThatCouldMatch(
  flows: FlowRegistry,
  view: TopologyView,
  state: FlowState,
  device: VirtualDevice,
  traces: readonly ArmedTrace[],
): number[] {
  const simulation = new Simulation(view, state, CLOSED_GATE);
  const ctx = new PacketContext(view);
  /** Follows what `ctx` has begun. A way that cannot be followed any more is not known to be harmless. */
  const couldBeMet = (mask: FlowMask): boolean => {
    let could = false;
    const same = simulation.follow(ctx, (here, at) => {
      if (here.id !== device.id) return;
      could ||= traces.some((t) => couldMatch(t.condition, at, ctx.original, mask));
      // Of an address group that is not loaded nobody knows whether it has the address.
      could ||= at.missingGroup !== "";
      at.missingGroup = "";
    });
    // One that does not meet the device only leaves by it, or could have.
    return could || !same;
  };
  const could = ({ match, way }: InstalledFlow): boolean => {
    if (way.startPort === null) return false;
    const [answer] = way.actions;
    if (answer?.kind !== "arp-reply") {
      ctx.beginFlow(match, way.startPort);
      return couldBeMet(way.mask);
    }
    // It stands for two packets, both known to the last byte: the request, and the reply that a router makes of it.
    ctx.begin(requestOf(match, answer), way.startPort, false);
    ctx.original.inPort = match.inPort;
    if (couldBeMet(way.mask)) return true;
    const [reply] = ctx.generatedPackets;
    if (reply === undefined) return true;
    ctx.begin(reply.frame, reply.port, true);
    return couldBeMet(ALL_OF_ARP);
  };
  const cookies: number[] = [];
  for (const flow of flows.withTag(deviceTag(device.id))) if (could(flow)) cookies.push(flow.cookie);
  return cookies;
}

function requestOf(match: FlowMatch, answer: Extract<FlowAction, { kind: "arp-reply" }>): Uint8Array {
  const ends = { senderMac: match.arpSha as Mac, senderIp: match.nwSrc as Ipv4, targetIp: answer.ip as Ipv4 };
  return buildArpRequest({ ...ends, ethDst: match.ethDst as Mac });
}

const ALL_OF_ARP: FlowMask = {
  fields: F.EthSrc | F.EthDst | F.EtherType | F.Vlan | F.NwProto | F.NwSrc | F.NwDst | F.ArpSha,
  nwSrcBits: 32,
  nwDstBits: 32,
};
