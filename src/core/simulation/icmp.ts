import { ETHERTYPE, FRAGMENT, type FlowMatch } from "#core/flows";
import {
  buildIcmpEcho,
  buildIcmpError,
  formatIpv4,
  type Ipv4,
  IPV4_BROADCAST,
  isMulticastIpv4,
  isMulticastMac,
  type Mac,
  prefixMask,
  setIpv4Ttl,
} from "#core/packets";
import type { PortDevice, RouterDevice } from "#core/topology";
import { deviceRef } from "./explain.ts";
import type { Simulation } from "./simulation.ts";

/** [type, code] of RFC 792 / RFC 1812. */
export const ICMP = {
  NET_UNREACHABLE: [3, 0],
  HOST_UNREACHABLE: [3, 1],
  PROHIBITED: [3, 13],
  TTL_EXPIRED: [11, 0],
} as const;

type TypeCode = readonly [type: number, code: number];

const WORDS: Readonly<Record<string, string>> = {
  "3,0": "network unreachable",
  "3,1": "host unreachable",
  "3,13": "communication administratively prohibited",
  "11,0": "time to live exceeded",
};

/** The router of an administratively down port tells the sender, if the port still has a router. */
export function portUnreachableByAdmin(sim: Simulation, port: PortDevice): void {
  const router = sim.view.router(port.deviceId as RouterDevice["id"]);
  if (router === undefined) {
    sim.ctx.wait = { for: "topology", kind: "router", id: port.deviceId };
    return;
  }
  if (router !== null) icmpError(sim, port, router, ICMP.PROHIBITED);
}

/** Sends an ICMP error back out of the in-port, unless RFC 1122 §3.2.2 forbids it (midonet-semantics 3.5). */
export function icmpError(sim: Simulation, inPort: PortDevice, router: RouterDevice, [type, code]: TypeCode): void {
  const ctx = sim.ctx;
  const m = ctx.match;
  // A flow that drops tells nobody: it may not last, or only the first sender of its mask would ever hear why. Whether this
  // packet may be answered says nothing of the others.
  ctx.shortLived = true;
  if (ctx.frame.length === 0) return;
  const because = suppressed(m, inPort);
  if (because !== null) {
    ctx.recorder?.push({
      kind: "answer-suppressed",
      device: deviceRef(router),
      owner: router.tenantId,
      what: "icmp-error",
      because,
    });
    return;
  }
  const frame = buildIcmpError({
    ethSrc: inPort.mac as Mac,
    ethDst: m.ethSrc as Mac,
    ipSrc: inPort.address as Ipv4,
    ipDst: m.nwSrc as Ipv4,
    type,
    code,
    quotedFrame: asReceived(ctx.frame, m),
  });
  ctx.generatedPackets.push({ port: inPort.id, frame, cause: `ICMP error of router ${router.name}` });
  ctx.recorder?.push({
    kind: "answer",
    device: deviceRef(router),
    owner: router.tenantId,
    what: "icmp-error",
    summary: `ICMP ${WORDS[`${type},${code}`] ?? `${type}/${code}`} to ${formatIpv4(m.nwSrc)}`,
  });
}

/** The packet as this router got it: routers before it have counted down the time to live. */
function asReceived(frame: Uint8Array, m: FlowMatch): Uint8Array {
  const copy = frame.slice();
  setIpv4Ttl(copy, m.nwTtl);
  return copy;
}

/** Null: an error may be sent. */
function suppressed(m: FlowMatch, inPort: PortDevice): string | null {
  if (m.etherType !== ETHERTYPE.IPV4) return "the packet is not IPv4";
  if (inPort.address === 0) return "the router port has no address to send from";
  const because = whyNoIcmpError(m);
  if (because !== null) return because;
  const hostMask = ~prefixMask(inPort.prefixLength) >>> 0;
  const inNetwork = ((m.nwDst ^ inPort.address) & ~hostMask) === 0;
  if (inPort.prefixLength < 31 && inNetwork && (m.nwDst & hostMask) >>> 0 === hostMask)
    return "the packet is for the network's broadcast address";
  return null;
}

/** What forbids an ICMP error about an IPv4 packet, whoever would send it (RFC 1812 §4.3.2.7); null: nothing. */
export function whyNoIcmpError(m: FlowMatch): string | null {
  if (m.fragment === FRAGMENT.LATER) return "the packet is a later fragment";
  if (m.nwProto === 1 && m.tpSrc !== 8 && m.tpSrc !== 0) return "the packet is itself an ICMP message other than echo";
  if (isMulticastMac(m.ethDst)) return "the packet came by a group MAC address";
  if (isMulticastIpv4(m.nwDst)) return "the packet is for a multicast address";
  if (m.nwSrc === 0 || m.nwSrc === IPV4_BROADCAST || m.nwDst === IPV4_BROADCAST || isMulticastIpv4(m.nwSrc))
    return "the packet has no single sender, or is a broadcast";
  return null;
}

/** An echo request for one of the router's own addresses: the reply goes back the way the request came. */
export function answerEcho(sim: Simulation, router: RouterDevice, inPort: PortDevice): void {
  const ctx = sim.ctx;
  const m = ctx.match;
  const headerBytes = ((ctx.frame[14] as number) & 15) * 4;
  const totalBytes = ((ctx.frame[16] as number) << 8) | (ctx.frame[17] as number);
  const icmp = ctx.frame.subarray(14 + headerBytes, 14 + totalBytes);
  if (icmp.length < 8) {
    ctx.seeUnmatchable();
    sim.drop("router-malformed", "ICMP echo request", router);
    return;
  }
  const frame = buildIcmpEcho({
    ethSrc: inPort.mac as Mac,
    ethDst: m.ethSrc as Mac,
    ipSrc: m.nwDst as Ipv4,
    ipDst: m.nwSrc as Ipv4,
    reply: true,
    icmpId: ((icmp[4] as number) << 8) | (icmp[5] as number),
    seq: ((icmp[6] as number) << 8) | (icmp[7] as number),
    payload: icmp.slice(8),
  });
  ctx.generatedPackets.push({ port: inPort.id, frame, cause: `echo reply of router ${router.name}` });
  ctx.recorder?.push({
    kind: "answer",
    device: deviceRef(router),
    owner: router.tenantId,
    what: "echo-reply",
    summary: `${formatIpv4(m.nwDst)} answers ${formatIpv4(m.nwSrc)}`,
  });
  sim.consume();
}
