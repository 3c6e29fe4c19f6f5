import { OvsHost, type VmNamespace, VmNamespace as Vms } from "#adapters/testbed";
import type { RealLab } from "#apps/lab";
import { ascending, median, quantile } from "../measure.ts";
import { RULES } from "../agent-scene.ts";
import { bed, type Vm } from "./bed.ts";
import { testController } from "./controllers.ts";
import { newFlows, type NewFlows, type Way } from "./new-flows.ts";
import { kept } from "./processes.ts";
import { type Aim, number, spread, table } from "./report.ts";
import type { Scope } from "./scope.ts";

const RATES = [1_000, 5_000];
const BRIDGE = "br-int";
const CONTROLLER_PORT = 6653;

const VM = { mac: "02:00:00:00:01:01", ip: "10.0.1.10/24" };
const NEAR = { mac: "02:00:00:00:01:02", ip: "10.0.1.11/24" };
const FAR = { mac: "02:00:00:00:02:03", ip: "10.0.2.11/24" };
const ROUTER_MAC = "ac:ca:ba:00:00:01";
const plain = (ip: string): string => ip.split("/")[0] ?? "";

interface Contestant {
  readonly name: string;
  readonly host: OvsHost;
  readonly way: Way;
}

const AGENT_BRIDGE = "our agent, bridge, 20 rules";
const AGENT_ROUTER = "our agent, bridge → router → bridge, 60 rules";
const C = "ovs-testcontroller (C), bridge";
const NOBODY = "no controller, learning bridge (the floor)";

/** The real switch: what the first packet of a flow waits until it arrives, and whether it does. */
export async function firstPackets(scope: Scope, quick: boolean): Promise<Aim[]> {
  const [rounds, seconds, warmUpSeconds] = quick ? [2, 1, 1] : [7, 3, 3];
  const contestants = await contestantsOf(scope);
  const results = new Map<string, NewFlows[]>();
  const turn = async ({ host, way }: Contestant, rate: number, length: number): Promise<NewFlows> => {
    // No flow of an earlier turn is left, and nothing of it is revalidated meanwhile.
    await host.daemons.ofctl("del-flows", BRIDGE, "udp");
    await host.daemons.appctl(["revalidator/purge"]);
    await way.from.exec("ping", ["-n", "-q", "-c", "3", "-i", "0.2", "-W", "2", way.ipDst]);
    return newFlows(scope, way, rate, length);
  };
  for (const c of contestants) await turn(c, Math.max(...RATES), warmUpSeconds);
  for (let round = 0; round < rounds; round++) {
    for (const rate of RATES) {
      for (let i = 0; i < contestants.length; i++) {
        const c = contestants[(i + round) % contestants.length] as Contestant;
        const key = `${c.name}/${rate}`;
        results.set(key, [...(results.get(key) ?? []), await turn(c, rate, seconds)]);
      }
    }
  }
  const of = (name: string, rate: number, what: (f: NewFlows) => number): number[] =>
    (results.get(`${name}/${rate}`) ?? []).map(what);
  console.log(
    `  median (range) of ${rounds} rounds of ${seconds} s each, interleaved; two VMs of one host, a datapath in userspace`,
  );
  for (const rate of RATES) {
    const rows = contestants.map(({ name }) => [
      name,
      spread(of(name, rate, SHARE), 2),
      spread(of(name, rate, (f) => f.p50Us)),
      spread(of(name, rate, (f) => f.p99Us)),
      number(median(of(name, rate, (f) => f.lateP99Us))),
    ]);
    table([[`${number(rate)} new flows/s`, "arrived %", "p50 µs", "p99 µs", "sender late, p99 µs"], ...rows]);
  }
  return RATES.flatMap((rate) => [
    noWorse(`arrived at ${number(rate)}/s, %`, of(AGENT_BRIDGE, rate, LOST), of(C, rate, LOST), (lost) =>
      number(100 - lost, 2),
    ),
    noWorse(
      `p50 at ${number(rate)}/s, µs`,
      of(AGENT_BRIDGE, rate, (f) => f.p50Us),
      of(C, rate, (f) => f.p50Us),
      number,
    ),
    noWorse(
      `p99 at ${number(rate)}/s, µs`,
      of(AGENT_BRIDGE, rate, (f) => f.p99Us),
      of(C, rate, (f) => f.p99Us),
      number,
    ),
  ]);
}

const SHARE = (f: NewFlows): number => (100 * f.taken) / f.sent;
const LOST = (f: NewFlows): number => 100 - SHARE(f);

/** Less is better. The C controller's own rounds say what is noise: not above their upper quarter. */
function noWorse(what: string, ours: readonly number[], theirs: readonly number[], say: (v: number) => string): Aim {
  const [own, other, limit] = [median(ours), median(theirs), quantile(ascending(theirs), 0.75)];
  return { what: `(b) ${what}: ${say(own)}, C ${say(other)} (upper quarter ${say(limit)})`, held: own <= limit };
}

async function contestantsOf(scope: Scope): Promise<Contestant[]> {
  const lab = await bed(scope, TOPOLOGY, VMS);
  const ours = lab.host("ours").machine;
  const vm = (name: string): VmNamespace => lab.vm(name).vm;
  const [from, near, far] = [vm("bench-fp-vm"), vm("bench-fp-near"), vm("bench-fp-far")];
  const ends = { from, ethSrc: VM.mac, ipSrc: plain(VM.ip) };
  const across = { ...ends, to: near, ethDst: NEAR.mac, ipDst: plain(NEAR.ip) };
  const routed = { ...ends, to: far, ethDst: ROUTER_MAC, ipDst: plain(FAR.ip) };
  const c = await switchOf(lab, "c", "192.0.2.11/24", "secure");
  const controlled = c.host.namespace;
  kept(scope, await controlled.spawn(...split(testController(CONTROLLER_PORT))));
  await c.host.daemons.vsctl(["set-controller", BRIDGE, `tcp:127.0.0.1:${CONTROLLER_PORT}`]);
  const nobody = await switchOf(lab, "nobody", "192.0.2.12/24", "standalone");
  return [
    { name: AGENT_BRIDGE, host: ours, way: across },
    { name: AGENT_ROUTER, host: ours, way: routed },
    { name: C, ...c },
    { name: NOBODY, ...nobody },
  ];
}

const split = ([program, ...args]: [string, ...string[]]): [string, string[]] => [program, args];

/** A host with a switch of its own and two VMs, as the lab makes them, and nobody's agent. */
async function switchOf(
  lab: RealLab,
  name: string,
  tunnelAddress: string,
  failMode: "secure" | "standalone",
): Promise<{ host: OvsHost; way: Way }> {
  const { testbed, underlay } = lab;
  const host = await OvsHost.create(testbed, underlay, { name, tunnelAddress });
  const plug = (vm: string, { mac, ip }: typeof VM): Promise<VmNamespace> =>
    Vms.create(testbed, { name: `${name}-${vm}`, host, interfaceName: vm, mac, address: ip });
  const [from, to] = [await plug("vm", VM), await plug("near", NEAR)];
  const kind = [
    "datapath_type=netdev",
    `fail_mode=${failMode}`,
    "protocols=OpenFlow13",
    "other_config:disable-in-band=true",
  ];
  const ports = ["vm", "near"].flatMap((port) => ["--", "add-port", BRIDGE, port]);
  await host.daemons.vsctl(["add-br", BRIDGE, "--", "set", "Bridge", BRIDGE, ...kind, ...ports]);
  const way = { from, to, ethSrc: VM.mac, ethDst: NEAR.mac, ipSrc: plain(VM.ip), ipDst: plain(NEAR.ip) };
  return { host, way };
}

const filters = (of: string): object => ({ inFilter: `${of}-in`, outFilter: `${of}-out` });
const bound = (name: string): object => ({ name, bind: { host: "ours", interface: name } });
const TOPOLOGY = {
  hosts: [{ name: "ours" }],
  tunnelZones: [{ name: "tz", type: "vxlan", hosts: { ours: "192.0.2.1" } }],
  chains: ["web-in", "web-out", "r-in", "r-out", "db-in", "db-out"].map((name) => ({
    name,
    tenant: "t",
    rules: RULES,
  })),
  bridges: [
    { name: "web", tenant: "t", ...filters("web"), ports: [bound("vm"), bound("near"), { name: "up" }] },
    { name: "db", tenant: "t", ...filters("db"), ports: [bound("far"), { name: "up" }] },
  ],
  routers: [
    {
      name: "r",
      tenant: "t",
      ...filters("r"),
      ports: [
        { name: "web", address: "10.0.1.1/24", mac: ROUTER_MAC, link: "web/up" },
        { name: "db", address: "10.0.2.1/24", mac: "ac:ca:ba:00:00:02", link: "db/up" },
      ],
      routes: [
        { type: "Normal", dst: "10.0.1.0/24", port: "web" },
        { type: "Normal", dst: "10.0.2.0/24", port: "db" },
      ],
    },
  ],
};
const VMS: Vm[] = [
  { name: "bench-fp-vm", port: "web/vm", ...VM, gateway: "10.0.1.1" },
  { name: "bench-fp-near", port: "web/near", ...NEAR, gateway: "10.0.1.1" },
  { name: "bench-fp-far", port: "db/far", ...FAR, gateway: "10.0.2.1" },
];
