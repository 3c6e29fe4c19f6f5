import { openZookeeperStore } from "#adapters/nsdb-zookeeper";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { Agent } from "#apps/agent";
import { guardIdentity, type NsdbStore } from "#core/nsdb";
import { buildUdp, type Ipv4, type Mac } from "#core/packets";
import { NullDatapath } from "../agent-scene.ts";
import { type Armed, hostIdOf } from "./fleet.ts";

/*
 * A process with several agents, each on its own ZooKeeper session and without a switch. argv: store URL, index of the first
 * host, how many. Each says once for every request that is armed when that was.
 */

const [url = "", first = "0", count = "10"] = process.argv.slice(2);

/** Said later, all together: the agents that are not armed yet are not to wait for it. */
const REPORT_MS = 200;
let reports: Armed[] = [];
function report(armed: Armed): void {
  if (reports.length === 0)
    setTimeout(() => {
      process.send?.(reports);
      reports = [];
    }, REPORT_MS);
  reports.push(armed);
}

const stores: NsdbStore[] = [];
const agents: Agent[] = [];
for (let n = Number(first); n < Number(first) + Number(count); n++) {
  const inner = openZookeeperStore(url, { clock: systemClock, scheduler: systemScheduler, random: systemRandom });
  const store = guardIdentity(inner, { scheduler: systemScheduler });
  await store.start();
  const datapath = new NullDatapath();
  const agent = new Agent({
    hostId: hostIdOf(n),
    hostName: `h${n}`,
    store,
    datapath,
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    sink: { segment: () => {}, lost: () => {} },
    log: (level, message, fields) => {
      if (message === "traces armed") {
        const atMs = performance.timeOrigin + performance.now();
        report({ requests: fields["requests"] as readonly string[], atMs });
      } else if (level === "warn" || level === "error") console.error(message, fields);
    },
  });
  await agent.start();
  // The agent learns of a device when a packet meets it: this one goes by the router to nowhere.
  const eth = { ethSrc: 0x0200_0000_1000 + n, ethDst: 0xacca_ba00_0001 };
  const frame = buildUdp({
    ethSrc: eth.ethSrc as Mac,
    ethDst: eth.ethDst as Mac,
    ipSrc: (0x0a00_0100 + n) as Ipv4,
    ipDst: 0x0a09_0909 as Ipv4,
    srcPort: 1000,
    dstPort: 1000,
    payload: new Uint8Array(4),
  });
  datapath.arrive(frame, 2);
  stores.push(store);
  agents.push(agent);
}
// Until the packets are through, the devices are not known.
for (const deadline = performance.now() + 20_000; agents.some((a) => a.counters().waiting > 0); ) {
  if (performance.now() > deadline) throw new Error("an agent did not load its devices");
  await new Promise((resolve) => setTimeout(resolve, 20));
}
process.send?.("ready");
process.on("disconnect", () => process.exit());
