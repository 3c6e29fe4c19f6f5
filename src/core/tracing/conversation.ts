import type { TraceKey } from "./trace-key.ts";

/** The other direction of a conversation was heard of this long before or after, at most, by the collector's clock. */
export const COUNTERPART_MS = 60_000;

/** One direction of a conversation; its counterpart has the same `name` and another `forward`. */
export interface Conversation {
  /** The same for both directions. */
  readonly name: string;
  readonly forward: boolean;
}

/**
 * The conversation that a packet belongs to: addresses, protocol and L4 ports (of ICMP the identifier), whichever end sent
 * it. Null where there is none: not IP, ARP, a group address or an address that talks to itself.
 */
export function conversationOf(k: TraceKey): Conversation | null {
  const { etherType, networkSrc, networkDst, networkProto, srcPort, dstPort } = k;
  if (etherType === ETHERTYPE_ARP || networkSrc === null || networkDst === null || networkProto === null) return null;
  const from = `${networkSrc} ${srcPort ?? "-"}`;
  const to = `${networkDst} ${dstPort ?? "-"}`;
  if (from === to) return null;
  const forward = from < to;
  return { name: `${networkProto} ${forward ? from : to} ${forward ? to : from}`, forward };
}

const ETHERTYPE_ARP = 0x0806;
