import { readU48 } from "#core/base";
import { ARP_OP, F } from "#core/flows";
import { buildArpReply, formatIpv4, formatMac, type Ipv4, type Mac, prefixContains } from "#core/packets";
import type { PortDevice, RouterDevice } from "#core/topology";
import { deviceRef } from "./explain.ts";
import type { Simulation } from "./simulation.ts";

/** Offset of the sender hardware address in an untagged Ethernet ARP frame (RFC 826: 14 + 8). */
const SENDER_MAC = 22;

/**
 * ARP that reaches a router port: requests for its address are answered, senders in its network are learned from
 * requests for it, from replies to it and from gratuitous announcements. All of it is absorbed.
 */
export function routerArp(sim: Simulation, router: RouterDevice, inPort: PortDevice): void {
  const ctx = sim.ctx;
  const m = ctx.match;
  ctx.see(F.NwProto);
  ctx.seeNwSrc(32);
  ctx.seeNwDst(32);
  if (ctx.frame.length < 42 || m.nwSrc === 0) {
    sim.drop("router-malformed", "ARP message", router);
    return;
  }
  const senderMac = readU48(ctx.frame, SENDER_MAC);
  const inSubnet =
    inPort.address !== 0 && prefixContains({ address: inPort.address as Ipv4, length: inPort.prefixLength }, m.nwSrc);
  const gratuitous = m.nwSrc === m.nwDst;
  const forUs = m.nwDst === inPort.address;
  if (!inSubnet || (!gratuitous && !forUs) || (m.nwProto === ARP_OP.REPLY && !gratuitous && m.ethDst !== inPort.mac)) {
    sim.drop("arp-not-ours", `ARP for ${formatIpv4(m.nwDst)} from ${formatIpv4(m.nwSrc)}`, router);
    return;
  }
  if (m.nwSrc !== inPort.address) {
    ctx.arpLearns.push({ router: router.id, ip: m.nwSrc, mac: senderMac });
    ctx.recorder?.push({
      kind: "arp-learned",
      device: deviceRef(router),
      owner: router.tenantId,
      ip: formatIpv4(m.nwSrc),
      mac: formatMac(senderMac),
    });
  }
  if (m.nwProto === ARP_OP.REQUEST && forUs && !gratuitous) {
    const frame = buildArpReply({
      senderMac: inPort.mac as Mac,
      senderIp: inPort.address as Ipv4,
      targetMac: senderMac as Mac,
      targetIp: m.nwSrc as Ipv4,
    });
    ctx.generatedPackets.push({
      port: inPort.id,
      frame,
      cause: `ARP reply of router ${router.name}`,
      arpReplyOf: router.id,
    });
    ctx.recorder?.push({
      kind: "answer",
      device: deviceRef(router),
      owner: router.tenantId,
      what: "arp-reply",
      summary: `${formatIpv4(inPort.address)} is at ${formatMac(inPort.mac)}`,
    });
  }
  sim.consume();
}
