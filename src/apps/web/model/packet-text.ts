import type { TraceKey } from "#core/tracing";

const IP_PROTOCOLS: Readonly<Record<number, string>> = {
  1: "ICMP",
  2: "IGMP",
  6: "TCP",
  17: "UDP",
  47: "GRE",
  58: "ICMPv6",
  132: "SCTP",
};

/** A packet in three parts, for columns. */
export interface PacketText {
  readonly protocol: string;
  readonly from: string;
  readonly to: string;
  /** Beside them, as "id 7"; "" for nothing. */
  readonly note: string;
}

/** @param key null: the packet entered at somebody else's port. */
export function packetText(key: TraceKey | null): PacketText | null {
  if (key === null) return null;
  const { networkSrc, networkDst, networkProto, srcPort, dstPort } = key;
  if (networkSrc === null || networkDst === null)
    return { protocol: `0x${key.etherType.toString(16).padStart(4, "0")}`, from: key.ethSrc, to: key.ethDst, note: "" };
  if (key.etherType === 0x0806) {
    const word = networkProto === 1 ? "request" : networkProto === 2 ? "reply" : `operation ${networkProto}`;
    return { protocol: "ARP", from: networkSrc, to: networkDst, note: word };
  }
  const protocol = IP_PROTOCOLS[networkProto ?? -1] ?? `IP ${networkProto}`;
  if (networkProto === 1 || networkProto === 58)
    return { protocol, from: networkSrc, to: networkDst, note: srcPort === null ? "" : `id ${srcPort}` };
  return { protocol, from: endpoint(networkSrc, srcPort), to: endpoint(networkDst, dstPort), note: "" };
}

/** `TCP 10.0.1.10:4000 → 10.0.2.2:22` */
export function packetLine(key: TraceKey | null): string {
  const text = packetText(key);
  if (text === null) return "entered elsewhere";
  return `${text.protocol} ${text.from} → ${text.to}${text.note === "" ? "" : ` ${text.note}`}`;
}

function endpoint(ip: string, port: number | null): string {
  if (port === null) return ip;
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}
