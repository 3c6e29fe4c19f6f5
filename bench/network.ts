import { SeededRandom } from "#core/base";
import { buildTcp, buildUdp, type Ipv4, type Mac, parseIpv4, parseMac } from "#core/packets";
import type { Condition, TopologyRecords } from "#core/topology";
import { type RuleInput, TopologyBuilder } from "../test/support/topology-builder.ts";

/*
 * The network of the packet benchmarks: port → bridge → router → bridge → port, a chain of 10 rules before and after each
 * bridge and the router. No rule matches: a packet is compared with all 60.
 */

export const INGRESS = "web/vm";
export const VM_MAC = parseMac("02:00:00:00:00:01") as Mac;
export const SERVERS = 16;

const ip = (text: string): Ipv4 => parseIpv4(text) as Ipv4;
export const serverIp = (n: number): Ipv4 => (ip("10.0.2.10") + n) as Ipv4;
export const serverMac = (n: number): Mac => (0x020000000100 + n) as Mac;
const ROUTER_MAC = parseMac("ac:ca:ba:00:00:01") as Mac;

/** What security groups and access lists look like: mostly address and port, some by MAC, ethertype or range. */
function rules(n: number): RuleInput[] {
  if (process.env.NORULES) return [];
  return [
    { type: "drop", condition: { dlType: 0x86dd } },
    { type: "drop", condition: { nwSrcAddress: `192.168.${n}.0`, nwSrcLength: 24 } },
    { type: "accept", condition: { nwProto: 1, nwDstAddress: `10.0.9.${n}` } },
    { type: "drop", condition: { nwProto: 6, tpDst: { start: 23, end: 23 } } },
    { type: "drop", condition: { dlSrc: `02:00:00:00:99:0${n}` } },
    { type: "accept", condition: { nwDstAddress: `10.${n}.0.0`, nwDstLength: 16, nwProto: 17 } },
    { type: "drop", condition: { nwProto: 6, tpDst: { start: 135, end: 139 } } },
    { type: "reject", condition: { nwSrcAddress: "172.16.0.0", nwSrcLength: 12 } },
    { type: "accept", condition: { nwProto: 17, tpSrc: { start: 67, end: 68 } } },
    { type: "drop", condition: { nwDstAddress: "169.254.0.0", nwDstLength: 16 } },
  ];
}

export function network(): TopologyBuilder {
  const t = new TopologyBuilder();
  for (const [n, name] of ["web-in", "web-out", "router-in", "router-out", "db-in", "db-out"].entries())
    t.chain(name, rules(n + 1));
  t.bridge("web", { inFilter: "web-in", outFilter: "web-out" });
  t.bridge("db", { inFilter: "db-in", outFilter: "db-out" });
  t.router("r", { inFilter: "router-in", outFilter: "router-out" });
  t.port(INGRESS, { host: "h1" }).port("web/up").port("db/up");
  for (let n = 0; n < SERVERS; n++) t.port(`db/s${n}`, { host: n % 2 === 0 ? "h1" : "h2" });
  t.routerPort("r/web", "10.0.1.1/24", { mac: "ac:ca:ba:00:00:01" });
  t.routerPort("r/db", "10.0.2.1/24", { mac: "ac:ca:ba:00:00:02" });
  t.link("web/up", "r/web").link("db/up", "r/db");
  t.route("r", { dst: "10.0.1.0/24", port: "r/web" });
  t.route("r", { dst: "10.0.2.0/24", port: "r/db" });
  for (let n = 0; n < 50; n++) t.route("r", { dst: `10.${n + 10}.0.0/16`, type: "BlackHole" });
  return t;
}

/** Traces that no packet of the benchmark matches, of the shapes that people ask for. */
export function traceConditions(count: number): Condition[] {
  const shapes: ((n: number) => Condition)[] = [
    (n) => ({ nwProto: 6, nwDstAddress: `10.3.${n >> 8}.${n & 255}`, tpDst: { start: 443, end: 443 } }),
    (n) => ({ nwProto: 6, nwSrcAddress: `10.4.${n >> 8}.${n & 255}`, tpDst: { start: 80, end: 80 } }),
    (n) => ({ nwSrcAddress: `10.5.${n >> 8}.${n & 255}` }),
    (n) => ({ nwDstAddress: `10.6.${n >> 8}.${n & 255}` }),
    (n) => ({ nwSrcAddress: `10.7.${n & 255}.0`, nwSrcLength: 24, nwDstAddress: `10.8.${n & 255}.0`, nwDstLength: 24 }),
    (n) => ({ dlSrc: `02:aa:00:00:${hex(n >> 8)}:${hex(n)}` }),
    (n) => ({ nwProto: 17, tpDst: { start: 20_000 + n, end: 20_000 + n } }),
    (n) => ({ nwProto: 1, nwSrcAddress: `10.9.${n >> 8}.${n & 255}`, nwDstAddress: `10.10.${n >> 8}.${n & 255}` }),
    (n) => ({ dlType: 0x0806, nwDstAddress: `10.11.${n >> 8}.${n & 255}` }),
    (n) => ({ nwSrcAddress: `10.${n & 127}.0.0`, nwSrcLength: 16, nwDstAddress: `192.168.${n & 255}.7` }),
    (n) => ({ dlType: 0x0800, nwProto: 6, nwSrcAddress: `10.12.${n & 255}.0`, nwSrcLength: 28 }),
    (n) => ({
      nwProto: 6,
      nwDstAddress: `10.13.${n & 255}.0`,
      nwDstLength: 20,
      tpDst: { start: 8000 + n, end: 8010 + n },
    }),
  ];
  return Array.from({ length: count }, (_, n) => (shapes[n % shapes.length] as (n: number) => Condition)(n));
}

const hex = (n: number): string => (n & 255).toString(16).padStart(2, "0");

/** The network with these traces enabled on its router. */
export function tracedNetwork(conditions: readonly Condition[]): TopologyRecords {
  const t = network();
  conditions.forEach((c, n) => void t.trace(`t${n}`, "r", c));
  return t.records();
}

/** Frames of `count` different conversations (TCP and UDP by turns) from the port to the servers. */
export function frames(count: number): Uint8Array[] {
  const random = new SeededRandom(7);
  const payload = new Uint8Array(18);
  return Array.from({ length: count }, (_, n) => {
    const server = n % SERVERS;
    const ends = { ethSrc: VM_MAC, ethDst: ROUTER_MAC, ipSrc: ip("10.0.1.10"), ipDst: serverIp(server) };
    const ports = { srcPort: 1024 + (n % 60_000), dstPort: 5000 + Math.floor(random.next() * 100) };
    return n % 2 === 0 ? buildTcp({ ...ends, ...ports, payload }) : buildUdp({ ...ends, ...ports, payload });
  });
}
