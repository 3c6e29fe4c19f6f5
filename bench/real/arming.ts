import { setTimeout as sleep } from "node:timers/promises";
import { openZookeeperStore } from "#adapters/nsdb-zookeeper";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { startZookeeper } from "#adapters/testbed";
import { Nsdb } from "#core/nsdb";
import { parseTopologyDocument } from "#core/topology";
import { ascending, quantile } from "../measure.ts";
import { forked, heard } from "./processes.ts";
import { type Aim, number, spread } from "./report.ts";
import type { Scope } from "./scope.ts";
import { type Armed, hostIdOf } from "./fleet.ts";

const AGENTS = 100;
const PER_PROCESS = 10;
const AIM_P99_MS = 100;
/** The first is told apart; by the others the compilers of a dozen processes settle. */
const WARM_UP = 5;
const MANY = 1_000;
/** Connections of the client that enables many. */
const CONNECTIONS = 16;
const DEADLINE_MS = 120_000;
const LOOK_MS = 20;
/** For what the agents make of the making of requests. */
const SETTLE_MS = 2_000;

/** 100 agents in processes of ten, one API server, one ZooKeeper: how long until an enabled trace is armed everywhere. */
export async function arming(scope: Scope, quick: boolean): Promise<Aim[]> {
  const [rounds, many] = quick ? [5, 50] : [50, MANY];
  const fleet = await Fleet.start(scope);
  const each: number[] = [];
  const answers: number[] = [];
  const last: number[] = [];
  const wanted = Array.from({ length: WARM_UP + rounds + many }, (_, n) => n);
  const ids: string[] = [];
  await byTurns(wanted, async (n) => {
    ids.push(await fleet.request(n));
  });
  await sleep(SETTLE_MS);
  for (const id of ids.splice(0, WARM_UP + rounds)) {
    const began = now();
    await fleet.enable(id);
    answers.push(now() - began);
    const times = (await fleet.armedEverywhere([id])).map((t) => t - began);
    each.push(...times);
    last.push(Math.max(...times));
  }
  const [first = Number.NaN] = last;
  each.splice(0, WARM_UP * AGENTS);
  for (const list of [answers, last]) list.splice(0, WARM_UP);
  const began = now();
  await byTurns(ids, (id) => fleet.enable(id));
  const answeredMs = now() - began;
  const manyMs = Math.max(...(await fleet.armedEverywhere(ids))) - began;

  const sorted = ascending(each);
  const [p50, p99] = [quantile(sorted, 0.5), quantile(sorted, 0.99)];
  console.log(
    `  ${AGENTS} agents in processes of ${PER_PROCESS}, one ZooKeeper; ${rounds} rounds, one trace each, ms from the PUT`,
  );
  console.log(`    the first of all  ${number(first, 1)} (the last agent)`);
  console.log(`    an agent armed    p50 ${number(p50, 1)}, p99 ${number(p99, 1)}`);
  console.log(`    the last agent    ${spread(last, 1)}`);
  console.log(`    the API's answer  ${spread(answers, 1)}`);
  console.log(
    `  ${number(many)} requests enabled at once over ${CONNECTIONS} connections: answered after ${number(answeredMs)} ms,` +
      ` armed everywhere after ${number(manyMs)} ms`,
  );
  return [
    { what: `(d) armed within ${number(p99, 1)} ms (p99 of agents), less than ${AIM_P99_MS}`, held: p99 < AIM_P99_MS },
  ];
}

/** All of them, so many at a time. */
async function byTurns<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
}

/** Milliseconds since the epoch, with fractions: the same clock in all processes. */
const now = (): number => performance.timeOrigin + performance.now();

class Fleet {
  private readonly nsdb: Nsdb;
  private readonly apiUrl: string;
  private readonly routerId: string;
  /** When each agent had it armed, by request. */
  private readonly armed = new Map<string, number[]>();

  private constructor(nsdb: Nsdb, apiUrl: string, routerId: string) {
    this.nsdb = nsdb;
    this.apiUrl = apiUrl;
    this.routerId = routerId;
  }

  static async start(scope: Scope): Promise<Fleet> {
    const part = { clock: systemClock, scheduler: systemScheduler, random: systemRandom };
    const starting = startZookeeper({ servers: 1, heapMb: 512 });
    scope.defer(() =>
      starting.then(
        (e) => e.stop(),
        () => undefined,
      ),
    );
    const ensemble = await starting;
    const url = `zookeeper://${ensemble.connectString}/midonet/v1`;
    const store = openZookeeperStore(url, part);
    await store.start();
    scope.defer(() => store.stop());
    const nsdb = new Nsdb(store, systemRandom, systemClock);
    await nsdb.initialize();
    await nsdb.apply(parseTopologyDocument(document()));
    const router = (await nsdb.routers.list())[0];
    if (router === undefined) throw new Error("no router");
    const apiUrl = await heard<string>(forked(scope, "./api-process.ts", [url]));
    const fleet = new Fleet(nsdb, apiUrl, router.id);
    const ready = Array.from({ length: AGENTS / PER_PROCESS }, async (_, n) => {
      const child = forked(scope, "./ten-agents.ts", [url, String(n * PER_PROCESS), String(PER_PROCESS)]);
      child.on("message", (message: readonly Armed[] | "ready") => {
        if (message !== "ready") for (const armed of message) fleet.heardOf(armed);
      });
      await heard(child);
    });
    await Promise.all(ready);
    return fleet;
  }

  /** A new trace on the router, not enabled. */
  async request(n: number): Promise<string> {
    const condition = { nwProto: 6, tpDst: { start: 1 + n, end: 1 + n } };
    const wanted = { name: `t${n}`, deviceType: "ROUTER", deviceId: this.routerId, condition } as const;
    return (await this.nsdb.traces.create(wanted)).id;
  }

  async enable(id: string): Promise<void> {
    const response = await fetch(`${this.apiUrl}/midonet-api/traces/${id}`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ enabled: true }),
    });
    if (!response.ok) throw new Error(`PUT ${response.status} ${await response.text()}`);
    await response.arrayBuffer();
  }

  /** When each agent had each of them armed. @throws Error when that takes too long. */
  async armedEverywhere(ids: readonly string[]): Promise<number[]> {
    const missing = (): number => ids.filter((id) => (this.armed.get(id)?.length ?? 0) < AGENTS).length;
    // Looked at now and then: the agents say themselves when it was.
    for (const deadline = performance.now() + DEADLINE_MS; missing() > 0; await sleep(LOOK_MS))
      if (performance.now() > deadline) throw new Error(`${missing()} of ${ids.length} are not armed on all agents`);
    return ids.flatMap((id) => this.armed.get(id) ?? []);
  }

  private heardOf({ requests, atMs }: Armed): void {
    for (const id of requests) {
      const times = this.armed.get(id);
      if (times === undefined) this.armed.set(id, [atMs]);
      else times.push(atMs);
    }
  }
}

/** Every host has a VM on one bridge behind the router that the traces are on. */
function document(): object {
  const hosts = Array.from({ length: AGENTS }, (_, n) => ({ name: `h${n}`, id: hostIdOf(n) }));
  const addresses = hosts.map((h, n) => [h.name, `192.0.2.${n + 1}`] as const);
  return {
    hosts,
    tunnelZones: [{ name: "tz", type: "vxlan", hosts: Object.fromEntries(addresses) }],
    bridges: [
      {
        name: "b",
        tenant: "t",
        ports: [...hosts.map((h) => ({ name: h.name, bind: { host: h.name, interface: "vm" } })), { name: "up" }],
      },
    ],
    routers: [
      {
        name: "r",
        tenant: "t",
        ports: [{ name: "down", address: "10.0.0.1/16", mac: "ac:ca:ba:00:00:01", link: "b/up" }],
        routes: [{ type: "Normal", dst: "10.0.0.0/16", port: "down" }],
      },
    ],
  };
}
