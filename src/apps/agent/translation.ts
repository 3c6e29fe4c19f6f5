import {
  ETHERTYPE,
  F,
  type FlowAction,
  type FlowMatch,
  type FlowTag,
  ofportTag,
  peerTag,
  TUNNEL_PORT_TAG,
  UNTAGGED,
} from "#core/flows";
import type { VirtualOutput } from "#core/simulation";
import type { PortDevice } from "#core/topology";

/** A copy of the packet as this host has to treat it. */
export type PhysicalOutput =
  /** `back`: out of the very port it came by. */
  | { readonly kind: "local"; readonly port: PortDevice; readonly ofport: number; readonly back: boolean }
  | { readonly kind: "remote"; readonly port: PortDevice; readonly hostId: string; readonly tunnelIp: number }
  /** It cannot be sent: the interface is not here (any more), there is no tunnel to the host, or it is too long for it. */
  | {
      readonly kind: "lost";
      readonly port: PortDevice;
      readonly because: "port-inactive" | "no-tunnel" | "too-big-for-tunnel";
    };

/** What the translation must know of this host. */
export interface PhysicalView {
  readonly hostId: string;
  ofportOf(port: PortDevice): number | null;
  /** u32, or null when the two hosts have no tunnel zone in common. */
  tunnelIpOf(hostId: string): number | null;
  readonly tunnelOfport: number | null;
}

export interface Translation {
  readonly actions: FlowAction[];
  readonly outputs: PhysicalOutput[];
  readonly tags: FlowTag[];
}

/**
 * Virtual outputs to the switch's actions (midonet-semantics 3.6). Between outputs with different headers only what
 * differs is set; fields that a device overwrites are set even where this packet already has the value, because other
 * packets of the same flow may not. `keyOf` gives the tunnel key of a remote port (with or without the trace bit).
 */
export function translate(
  original: FlowMatch,
  outputs: readonly VirtualOutput[],
  view: PhysicalView,
  keyOf: (port: PortDevice) => number,
): Translation {
  const result: Translation = { actions: [], outputs: [], tags: [] };
  const now = original.clone();
  let set = 0;
  if (outputs.some(({ port }) => port.hostId !== view.hostId)) result.tags.push(TUNNEL_PORT_TAG);
  for (const output of outputs) {
    const physical = locateOutput(output.port, view, original.inPort, result.tags);
    result.outputs.push(physical);
    if (physical.kind === "lost") continue;
    set = rewrite(now, output, set, result.actions);
    if (physical.kind === "local")
      result.actions.push(physical.back ? { kind: "output-in-port" } : { kind: "output", port: physical.ofport });
    else {
      result.actions.push({ kind: "set-tunnel", key: keyOf(output.port), dst: physical.tunnelIp });
      result.actions.push({ kind: "output", port: view.tunnelOfport as number });
    }
  }
  return result;
}

function locateOutput(port: PortDevice, view: PhysicalView, inPort: number, tags: FlowTag[]): PhysicalOutput {
  if (port.hostId === view.hostId) {
    const ofport = view.ofportOf(port);
    if (ofport === null) return { kind: "lost", port, because: "port-inactive" };
    tags.push(ofportTag(ofport));
    // Routed back to where it came from (a router on a stick, a VM with two addresses): a switch has to be told expressly.
    return { kind: "local", port, ofport, back: ofport === inPort };
  }
  const hostId = port.hostId as string;
  tags.push(peerTag(hostId));
  const tunnelIp = view.tunnelIpOf(hostId);
  if (tunnelIp === null || view.tunnelOfport === null) return { kind: "lost", port, because: "no-tunnel" };
  return { kind: "remote", port, hostId, tunnelIp };
}

/** Brings the packet from `now` to the output's header; returns the fields that were set so far. */
function rewrite(now: FlowMatch, output: VirtualOutput, set: number, actions: FlowAction[]): number {
  const h = output.header;
  // What was set for an earlier output and is not rewritten for this one must be set back.
  const force = (output.rewritten | set) & ~(output.rewritten & set);
  const macs = now.ethSrc !== h.ethSrc || now.ethDst !== h.ethDst || (force & (F.EthSrc | F.EthDst)) !== 0;
  if (macs) actions.push({ kind: "set-eth", src: h.ethSrc, dst: h.ethDst });
  const src = now.nwSrc !== h.nwSrc ? h.nwSrc : null;
  const dst = now.nwDst !== h.nwDst ? h.nwDst : null;
  const ttl = now.nwTtl !== h.nwTtl ? h.nwTtl : null;
  if (src !== null || dst !== null || ttl !== null) actions.push({ kind: "set-ipv4", src, dst, ttl });
  if (now.tpSrc !== h.tpSrc || now.tpDst !== h.tpDst) {
    actions.push({
      kind: "set-tp",
      src: now.tpSrc !== h.tpSrc ? h.tpSrc : null,
      dst: now.tpDst !== h.tpDst ? h.tpDst : null,
    });
  }
  retag(now, h, actions);
  now.copyFrom(h);
  return output.rewritten;
}

/**
 * Pops and pushes from one stack of tags to another. A header knows its outermost tag, and whether another stands behind
 * it (then its ethertype is a tag's): going from one tag to two is a push on top, from two to one shows the inner tag.
 */
function retag(now: FlowMatch, h: FlowMatch, actions: FlowAction[]): void {
  const before = tagCount(now);
  const after = tagCount(h);
  if (before === after && now.vlan === h.vlan) return;
  for (let n = before; n > after; n--) actions.push({ kind: "pop-vlan" });
  if (before === after) actions.push({ kind: "pop-vlan" });
  if (after >= before) actions.push({ kind: "push-vlan", vlan: h.vlan });
}

function tagCount(m: FlowMatch): 0 | 1 | 2 {
  if (m.vlan === UNTAGGED) return 0;
  return m.etherType === ETHERTYPE.VLAN || m.etherType === ETHERTYPE.QINQ ? 2 : 1;
}
