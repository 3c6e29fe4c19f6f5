import { type FlowMatch, parseFlowMatch } from "#core/flows";
import type { PacketIn } from "./datapath.ts";

/** A packet that came up, as an object of its own. @param from the port it came by, and how through the tunnel; its other fields are read from the frame. */
export function packetIn(frame: Uint8Array, from: FlowMatch): PacketIn {
  const { inPort, tunnelKey, tunnelSrc, tunnelDst } = from;
  const match = from.clone();
  parseFlowMatch(frame, match);
  return { frame, bytes: frame, start: 0, end: frame.length, match, inPort, tunnelKey, tunnelSrc, tunnelDst };
}
