import { MidotraceError, type RouterId, unhex } from "#core/base";
import {
  buildArpRequest,
  buildIcmpEcho,
  buildIcmpError,
  buildTcp,
  buildUdp,
  type Ipv4,
  MAC_BROADCAST,
  type Mac,
  prefixContains,
} from "#core/packets";
import { type PacketSpec, parsePacketExpression, type PortDevice, type TopologySnapshot } from "#core/topology";
import type { LoadingState } from "./loading-state.ts";

/** Destination, source and type: less is no frame (IEEE 802.3). */
const MIN_FRAME_BYTES = 14;

/**
 * The frame that `text` means at this port: bytes as hex digits, or a packet expression. Addresses that the expression
 * leaves out are chosen as a host behind the port would: the router's MAC for what is not on its own network, the
 * neighbour's where somebody knows it, and a made-up one (02:00 and the IP address) where nobody does.
 * @throws MidotraceError BAD_EXPRESSION, STORE_UNAVAILABLE
 */
export async function frameOf(
  text: string,
  port: PortDevice,
  snapshot: TopologySnapshot,
  state: LoadingState,
): Promise<Uint8Array> {
  if (/^(0x)?[0-9a-f\s:]+$/i.test(text)) {
    const bytes = unhex(text.replace(/^0x/i, "").replaceAll(":", ""));
    if (bytes !== null && bytes.length >= MIN_FRAME_BYTES) return bytes;
    throw new MidotraceError("BAD_EXPRESSION", `a frame is at least ${MIN_FRAME_BYTES} bytes of two hex digits each`);
  }
  const spec = parsePacketExpression(text);
  const from = spec.kind === "arp" ? spec.sender : spec.src;
  const to = spec.kind === "arp" ? spec.target : spec.dst;
  const ethSrc = spec.ethSrc ?? madeUp(from);
  const vlans = spec.vlan === null ? {} : { vlans: [spec.vlan] };
  if (spec.kind === "arp")
    return buildArpRequest({
      senderMac: ethSrc,
      senderIp: from,
      targetIp: to,
      ethDst: spec.ethDst ?? MAC_BROADCAST,
      ...vlans,
    });
  const ethDst = spec.ethDst ?? (await nextHop(port, from, to, snapshot, state));
  return encode(spec, { ethSrc, ethDst, ipSrc: from, ipDst: to, ttl: spec.ttl, ...vlans });
}

type Header = Parameters<typeof buildUdp>[0] extends infer U ? Omit<U, "srcPort" | "dstPort" | "payload"> : never;

const ECHO_REPLY = 0;
const ECHO_REQUEST = 8;

function encode(spec: Exclude<PacketSpec, { kind: "arp" }>, header: Header): Uint8Array {
  const payload = new Uint8Array(spec.lengthBytes);
  switch (spec.kind) {
    case "tcp":
      return buildTcp({ ...header, srcPort: spec.srcPort, dstPort: spec.dstPort, flags: spec.flags, payload });
    case "udp":
      return buildUdp({ ...header, srcPort: spec.srcPort, dstPort: spec.dstPort, payload });
    case "icmp":
      return spec.type === ECHO_REQUEST || spec.type === ECHO_REPLY
        ? buildIcmpEcho({ ...header, reply: spec.type === ECHO_REPLY, icmpId: spec.id, seq: spec.seq, payload })
        : buildIcmpError({ ...header, type: spec.type, code: spec.code, quotedFrame: payload });
  }
}

/** Locally administered, so that it is nobody's. */
function madeUp(ip: Ipv4): Mac {
  return (0x0200_0000_0000 + ip) as Mac;
}

async function nextHop(
  port: PortDevice,
  from: Ipv4,
  to: Ipv4,
  snapshot: TopologySnapshot,
  state: LoadingState,
): Promise<Mac> {
  if (port.ownerKind === "router") return port.mac as Mac;
  const bridge = snapshot.bridge(port.deviceId as Parameters<TopologySnapshot["bridge"]>[0]);
  const gateways = (bridge?.linkedRouterPorts ?? []).flatMap((linked) => snapshot.port(linked.routerPortId) ?? []);
  const addressed = gateways.filter((g) => g.address !== 0);
  const near = (ip: Ipv4): PortDevice[] => addressed.filter((g) => prefixContains(networkOf(g), ip));
  // A sender with an address of no network here (a spoofed one, say) is on the wire all the same, and has a default route.
  const candidates = [near(from), near(to), addressed].find((list) => list.length > 0) ?? [];
  for (const gateway of candidates) {
    if (!prefixContains(networkOf(gateway), to) || to === gateway.address) return gateway.mac as Mac;
    const known = await state.neighbour(gateway.deviceId as RouterId, to);
    if (known !== null) return known as Mac;
  }
  return madeUp(to);
}

const networkOf = (p: PortDevice): { address: Ipv4; length: number } => ({
  address: p.address as Ipv4,
  length: p.prefixLength,
});
