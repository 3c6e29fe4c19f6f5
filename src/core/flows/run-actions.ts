import { readU16, writeU16, writeU32, writeU48 } from "#core/base";
import type { FlowAction } from "./actions.ts";
import { ARP_OP, ETHERTYPE } from "./match.ts";
import {
  ARP_BYTES,
  type Ipv4,
  locate,
  type Mac,
  popVlan,
  pushVlan,
  setEthDst,
  setEthSrc,
  setIpv4Dst,
  setIpv4Src,
  setIpv4Ttl,
  setL4Dst,
  setL4Src,
} from "#core/packets";

/** The `port` of an output back out of the packet's own input port. */
export const IN_PORT = -1;

/** Where an action list's packets go. The frame is never written to again. `tunnelDst` 0: no tunnel was set. */
export type OutputFrame = (port: number, frame: Uint8Array, tunnelKey: number, tunnelDst: number) => void;

/**
 * Runs an action list. Copy on write: `frame` is never changed, nor is a frame that was put out; a list without
 * rewrites copies nothing.
 */
export function runActions(frame: Uint8Array, actions: readonly FlowAction[], output: OutputFrame): void {
  let current = frame;
  /** True while nobody else holds `current`. */
  let own = false;
  let tunnelKey = 0;
  let tunnelDst = 0;
  for (const action of actions) {
    switch (action.kind) {
      case "output":
        output(action.port, current, tunnelKey, tunnelDst);
        own = false;
        break;
      case "output-in-port":
        output(IN_PORT, current, 0, 0);
        own = false;
        break;
      case "set-tunnel":
        tunnelKey = action.key & 0xff_ffff;
        tunnelDst = action.dst;
        break;
      case "push-vlan":
        current = pushVlan(current, action.vlan);
        own = true;
        break;
      case "pop-vlan": {
        const bare = popVlan(current);
        own ||= bare !== current;
        current = bare;
        break;
      }
      case "set-eth":
      case "set-ipv4":
      case "set-tp":
      case "arp-reply":
        if (!own) current = current.slice();
        own = true;
        rewrite(current, action);
        break;
    }
  }
}

/** An action that writes to the frame and does not change its length. */
export type Rewrite = Extract<FlowAction, { kind: "set-eth" | "set-ipv4" | "set-tp" | "arp-reply" }>;

export const isRewrite = (action: FlowAction): action is Rewrite =>
  action.kind === "set-eth" || action.kind === "set-ipv4" || action.kind === "set-tp" || action.kind === "arp-reply";

/** Behind one tag; a switch (Open vSwitch with vlan-limit 1) sees no IP behind two, so it rewrites none there. */
const MAX_L3_OFFSET = 18;

/** What the frame does not have is left alone. */
export function rewrite(frame: Uint8Array, action: Rewrite): void {
  if (action.kind === "set-eth") {
    setEthSrc(frame, action.src as Mac);
    setEthDst(frame, action.dst as Mac);
    return;
  }
  if (action.kind === "arp-reply") {
    writeArpReply(frame, action);
    return;
  }
  const at = locate(frame);
  if (at.l3Offset > MAX_L3_OFFSET) return;
  if (action.kind === "set-ipv4") {
    if (action.src !== null) setIpv4Src(frame, action.src as Ipv4, at);
    if (action.dst !== null) setIpv4Dst(frame, action.dst as Ipv4, at);
    if (action.ttl !== null) setIpv4Ttl(frame, action.ttl, at);
  } else {
    if (action.src !== null) setL4Src(frame, action.src, at);
    if (action.dst !== null) setL4Dst(frame, action.dst, at);
  }
}

/** In an untagged frame. */
const ARP_OFFSET = 14;

function writeArpReply(frame: Uint8Array, a: Extract<FlowAction, { kind: "arp-reply" }>): void {
  if (frame.length < ARP_OFFSET + ARP_BYTES || readU16(frame, 12) !== ETHERTYPE.ARP) return;
  setEthSrc(frame, a.mac as Mac);
  setEthDst(frame, a.toMac as Mac);
  writeU16(frame, ARP_OFFSET + 6, ARP_OP.REPLY);
  writeU48(frame, ARP_OFFSET + 8, a.mac);
  writeU32(frame, ARP_OFFSET + 14, a.ip);
  writeU48(frame, ARP_OFFSET + 18, a.toMac);
  writeU32(frame, ARP_OFFSET + 24, a.toIp);
}
