import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { until, type VmNamespace } from "#adapters/testbed";
import type { RealHost, RealLab } from "#apps/lab";
import { ascending, quantile } from "../measure.ts";
import { bed, call, metric } from "./bed.ts";
import { cpuNs, kept } from "./processes.ts";
import { type Aim, number, spread, table } from "./report.ts";
import type { Scope } from "./scope.ts";

const AIM_RATIO = 0.99;
const TRACES = 10;
const TRACED_PORT = 9;
const PORT = 5201;
const UDP = { packetsPerSecond: 10_000, payloadBytes: 200 };
const SLICE_MS = 1_500;
/** After a change: store, API server and agents are on the same cores here, and are to be done with it. */
const SETTLE_MS = 1_000;
const READY_MS = 20_000;

/** What arrived in a slice of time, and what both hosts' switches spent on it. */
interface Slice {
  readonly packetsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly cpuNsPerPacket: number;
  /** Of both agents, ms per second. */
  readonly agentsCpu: number;
}

interface Scene {
  readonly lab: RealLab;
  readonly client: VmNamespace;
  readonly server: VmNamespace;
  readonly serverIp: string;
  /** Process in the server's VM. */
  readonly serverPid: number;
  readonly traces: readonly string[];
}

/**
 * One flow from a VM to one on another host, which runs on while traces of other flows on its router are enabled and
 * disabled by turns; a new flow per second is traced while they are enabled.
 */
export async function throughput(scope: Scope, quick: boolean): Promise<Aim[]> {
  const pairs = quick ? 4 : 30;
  const scene = await sceneOf(scope);
  const { payloadBytes, packetsPerSecond } = UDP;
  const bits = payloadBytes * 8 * packetsPerSecond;
  const paced = ["-u", "-b", String(bits), "-l", String(payloadBytes)];
  console.log(
    `  one running flow across two hosts; ${TRACES} traces of others on its router, off and on by turns:` +
      ` ${pairs} pairs of ${SLICE_MS} ms; ratio on/off: median of the pairs, its 95 % interval`,
  );
  const udp = await runningFlow(scope, scene, paced, pairs);
  const tcp = await runningFlow(scope, scene, [], pairs);
  const traced = await metric(scene.lab, "a", "traced_total");
  if (traced === 0) throw new Error("nothing was traced while traces were enabled");
  const cpu = (s: Slice): number => s.cpuNsPerPacket;
  const rows = [
    row(`UDP, ${number(packetsPerSecond)} packets/s: arrived per second`, udp, (s) => s.packetsPerSecond),
    row("UDP: switches' CPU, ns/packet", udp, cpu),
    row("TCP: Mbit/s", tcp, (s) => (s.bytesPerSecond * 8) / 1e6),
    row("TCP: switches' CPU, ns/packet", tcp, cpu),
    row("TCP: agents' CPU, ms/s", tcp, (s) => s.agentsCpu, 1),
  ];
  table([["", "off", "on", "ratio", "95 %"], ...rows]);
  console.log(`  flows that were traced meanwhile: ${number(traced)}`);
  return [
    aim(
      "UDP",
      ratioOf(udp, (s) => s.packetsPerSecond),
    ),
    aim(
      "TCP",
      ratioOf(tcp, (s) => s.bytesPerSecond),
    ),
  ];
}

interface Pair {
  readonly off: Slice;
  readonly on: Slice;
}

interface Ratio {
  readonly mid: number;
  readonly low: number;
  readonly high: number;
}

/** Median of the pairs' ratios, and the order statistics between which the true one lies in 95 of 100 cases. */
function ratioOf(pairs: readonly Pair[], what: (s: Slice) => number): Ratio {
  const sorted = ascending(pairs.map(({ on, off }) => what(on) / what(off)));
  const n = sorted.length;
  const cut = Math.max(0, Math.floor((n - 1.96 * Math.sqrt(n)) / 2));
  return { mid: quantile(sorted, 0.5), low: sorted[cut] as number, high: sorted[n - 1 - cut] as number };
}

function row(name: string, pairs: readonly Pair[], what: (s: Slice) => number, digits = 0): string[] {
  const { mid, low, high } = ratioOf(pairs, what);
  const [off, on] = [pairs.map((p) => what(p.off)), pairs.map((p) => what(p.on))];
  return [name, spread(off, digits), spread(on, digits), number(mid, 4), `${number(low, 4)} … ${number(high, 4)}`];
}

function aim(kind: string, { mid, low, high }: Ratio): Aim {
  const noise = Math.max(high - mid, mid - low);
  const doubt = noise > 1 - AIM_RATIO ? `; the noise of this run, ± ${number(noise * 100, 1)} %, could hide that` : "";
  return {
    what: `(c) ${kind}: ${number(mid, 4)} × with traces on, at least ${AIM_RATIO}${doubt}`,
    held: mid >= AIM_RATIO,
  };
}

async function runningFlow(scope: Scope, scene: Scene, options: readonly string[], pairs: number): Promise<Pair[]> {
  const { client, serverIp } = scene;
  const args = ["-c", serverIp, "-p", String(PORT), "-t", "7200", ...options];
  const child = kept(scope, await client.spawn("iperf3", args));
  const found: Pair[] = [];
  try {
    await until("the flow to run", READY_MS, async () => {
      if (child.exitCode !== null) throw new Error(`iperf3 ${args.join(" ")} ended with ${child.exitCode}`);
      return (await slice(scene, 200)).packetsPerSecond > 1_000 ? true : null;
    });
    await sleep(2_000, undefined, { signal: scope.signal });
    // on, off, off, on …: what drifts hits both alike.
    for (let n = 0; n < pairs; n++) {
      const first = n % 2 === 0;
      const one = await sliceWith(scope, scene, first);
      const other = await sliceWith(scope, scene, !first);
      found.push(first ? { on: one, off: other } : { on: other, off: one });
    }
    await enable(scene, false);
  } finally {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    if (child.exitCode === null && child.signalCode === null && child.kill("SIGTERM")) await gone;
  }
  return found;
}

async function sliceWith(scope: Scope, scene: Scene, traces: boolean): Promise<Slice> {
  await enable(scene, traces);
  await sleep(SETTLE_MS, undefined, { signal: scope.signal });
  return slice(scene, SLICE_MS);
}

/** Resolves when both hosts have them armed, or not any more. */
async function enable({ lab, traces }: Scene, enabled: boolean): Promise<void> {
  await Promise.all(traces.map((uri) => call(lab, "PUT", uri, { enabled })));
  const wanted = enabled ? TRACES : 0;
  await until(`${wanted} traces armed`, READY_MS, async () => {
    const armed = await Promise.all(["a", "b"].map((host) => metric(lab, host, "traces_armed")));
    return armed.every((n) => n === wanted) ? true : null;
  });
}

async function slice(scene: Scene, ms: number): Promise<Slice> {
  const before = counters(scene);
  await sleep(ms);
  const after = counters(scene);
  const seconds = (after.atMs - before.atMs) / 1000;
  const packets = after.packets - before.packets;
  return {
    packetsPerSecond: packets / seconds,
    bytesPerSecond: (after.bytes - before.bytes) / seconds,
    cpuNsPerPacket: (after.switchesNs - before.switchesNs) / Math.max(1, packets),
    agentsCpu: (after.agentsNs - before.agentsNs) / 1e6 / seconds,
  };
}

interface Counters {
  readonly atMs: number;
  readonly bytes: number;
  readonly packets: number;
  readonly switchesNs: number;
  readonly agentsNs: number;
}

function counters({ lab, serverPid }: Scene): Counters {
  const line = /eth0:\s*(\d+)\s+(\d+)/.exec(readFileSync(`/proc/${serverPid}/net/dev`, "utf8"));
  const spent = (pidOf: (host: RealHost) => number | null): number =>
    lab.hosts.reduce((sum, host) => sum + cpuNs(pidOf(host) ?? 0), 0);
  return {
    atMs: performance.now(),
    bytes: Number(line?.[1]),
    packets: Number(line?.[2]),
    switchesNs: spent((host) => host.machine.daemons.switchPid),
    agentsNs: spent((host) => host.agent.pid),
  };
}

/** A datagram per second, each a new flow, as long as the VM has an interface. */
const DROPS = `
import socket, sys, time
while True:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (sys.argv[1], ${TRACED_PORT}))
    time.sleep(1)
`;

async function sceneOf(scope: Scope): Promise<Scene> {
  const lab = await bed(scope, TOPOLOGY, VMS);
  const [client, server] = [lab.vm("bench-tp-1").vm, lab.vm("bench-tp-2").vm];
  const serverIp = "10.0.7.10";
  const listening = kept(scope, await server.spawn("iperf3", ["-s", "-p", String(PORT)]));
  kept(scope, await client.spawn("python3", ["-c", DROPS, serverIp]));
  await client.exec("ping", ["-n", "-q", "-c", "3", "-i", "0.2", "-W", "2", serverIp]);
  const router = lab.records?.routers[0]?.id;
  const traces: string[] = [];
  for (let n = 0; n < TRACES; n++) {
    const condition = `udp and dst port ${TRACED_PORT + n}`;
    const wanted = { name: `other ${n}`, deviceType: "ROUTER", deviceId: router, condition };
    traces.push((await call<{ uri: string }>(lab, "POST", "/traces", wanted)).uri);
  }
  return { lab, client, server, serverIp, serverPid: listening.pid as number, traces };
}

const bridge = (name: string, host: string): object => {
  return {
    name,
    ports: [
      { name: "vm", bind: { host, interface: "tap1" } },
      { name: "up", link: `r/${name}` },
    ],
  };
};
const TOPOLOGY = {
  hosts: [{ name: "a" }, { name: "b" }],
  tunnelZones: [{ name: "tz", type: "vxlan", hosts: { a: "192.0.2.1", b: "192.0.2.2" } }],
  bridges: [bridge("one", "a"), bridge("two", "b")],
  routers: [
    {
      name: "r",
      ports: [
        { name: "one", address: "10.0.6.1/24" },
        { name: "two", address: "10.0.7.1/24" },
      ],
      routes: [
        { type: "Normal", dst: "10.0.6.0/24", port: "one" },
        { type: "Normal", dst: "10.0.7.0/24", port: "two" },
      ],
    },
  ],
};
const VMS = [
  { name: "bench-tp-1", port: "one/vm", mac: "02:00:00:00:06:10", ip: "10.0.6.10/24", gateway: "10.0.6.1" },
  { name: "bench-tp-2", port: "two/vm", mac: "02:00:00:00:07:10", ip: "10.0.7.10/24", gateway: "10.0.7.1" },
];
