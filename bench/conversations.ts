import { buildUdp, type Ipv4, type Mac, parseIpv4, parseMac } from "#core/packets";

/** Who talks in the agent's scene: one VM, by its router, to the servers. */
export const SERVERS = 16;
export const VM_MAC = parseMac("02:00:00:00:00:01") as Mac;
export const ROUTER_MAC = parseMac("ac:ca:ba:00:00:01") as Mac;
const ip = (text: string): Ipv4 => parseIpv4(text) as Ipv4;
export const VM_IP = ip("10.0.1.10");
export const serverIp = (n: number): Ipv4 => (ip("10.0.2.10") + n) as Ipv4;
export const serverMac = (n: number): Mac => (0x020000000100 + n) as Mac;

/** The frame of the `n`th conversation: another source port, and another server, each time. */
export function conversation(n: number, payload: Uint8Array = new Uint8Array(18)): Uint8Array {
  const ends = { ethSrc: VM_MAC, ethDst: ROUTER_MAC, ipSrc: VM_IP, ipDst: serverIp(n % SERVERS) };
  const round = Math.floor(n / SERVERS);
  return buildUdp({
    ...ends,
    srcPort: 1024 + (round % 64_000),
    dstPort: 5000 + (Math.floor(round / 64_000) % 50_000),
    payload,
  });
}
