import { setTimeout as sleep } from "node:timers/promises";
import { openZookeeperStore } from "#adapters/nsdb-zookeeper";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { startZookeeper } from "#adapters/testbed";
import { Nsdb } from "#core/nsdb";
import { parseTopologyDocument } from "#core/topology";
import { ascending, quantile } from "../measure.ts";
import { forked, heard } from "./processes.ts";
import { type Aim, number } from "./report.ts";
import type { Scope } from "./scope.ts";
import { type Armed, hostIdOf } from "./fleet.ts";

const AGENTS = 100;
const PER_PROCESS = 10;
const AIM_P99_MS = 100;
/** As many as a 99th percentile of rounds takes. */
const ROUNDS = 200;
/**
 * The first is told apart. V8 compiles a function for the second time when it was called 400 times: ten agents in a process
 * come to that in 40 rounds, all processes at once.
 */
const WARM_UP = 45;
const MANY = 1_000;
/** Connections of the client that enables many. */
const CONNECTIONS = 16;
const DEADLINE_MS = 120_000;
const LOOK_MS = 20;
/** For what the agents make of the making of requests. */
const SETTLE_MS = 2_000;
/** For what they make of a request that is disabled. */
const BETWEEN_MS = 200;

/** 100 agents in processes of ten, one API server, one ZooKeeper: how long until an enabled trace is armed everywhere. */
export async function arming(scope: Scope, quick: boolean): Promise<Aim[]> {
  const [warmUp, rounds, many] = quick ? [5, 5, 50] : [WARM_UP, ROUNDS, MANY];
  const fleet = await Fleet.start(scope);
  const each: number[] = [];
  const answers: number[] = [];
  const last: number[] = [];
  const wanted = Array.from({ length: warmUp + rounds + many }, (_, n) => n);
  const ids: string[] = [];
  await byTurns(wanted, async (n) => {
    ids.push(await fleet.request(n));
  });
  await sleep(SETTLE_MS);
  // The first stays enabled, the others until the next is: the chain stays, and as long as it is.
  const [lasting = "", ...passing] = ids.splice(0, warmUp + rounds);
  const first = await fleet.round(lasting);
  for (const id of passing) {
    const { answerMs, armedMs } = await fleet.round(id);
    answers.push(answerMs);
    each.push(...armedMs);
    last.push(Math.max(...armedMs));
    await fleet.switch(id, false);
    await sleep(BETWEEN_MS);
  }
  each.splice(0, (warmUp - 1) * AGENTS);
  for (const list of [answers, last]) list.splice(0, warmUp - 1);
  const began = now();
  await byTurns(ids, (id) => fleet.switch(id, true));
  const answeredMs = now() - began;
  const manyMs = Math.max(...(await fleet.armedEverywhere(ids))) - began;

  const p99 = quantile(ascending(last), 0.99);
  console.log(
    `  ${AGENTS} agents in processes of ${PER_PROCESS}, one ZooKeeper; ${rounds} rounds, one trace each, ms from the PUT`,
  );
  console.log(`    the first of all  ${number(Math.max(...first.armedMs), 1)} (the last agent)`);
  console.log(`    an agent armed    ${quantiles(each)}`);
  console.log(`    the last agent    ${quantiles(last)}`);
  console.log(`    the API's answer  ${quantiles(answers)}`);
  console.log(
    `  ${number(many)} requests enabled at once over ${CONNECTIONS} connections: answered after ${number(answeredMs)} ms,` +
      ` armed everywhere after ${number(manyMs)} ms`,
  );
  return [
    {
      what: `(d) the last agent armed within ${number(p99, 1)} ms (p99), less than ${AIM_P99_MS}`,
      held: p99 < AIM_P99_MS,
    },
  ];
}

const quantiles = (values: readonly number[]): string =>
  [0.5, 0.95, 0.99, 1]
    .map((q) => `${q < 1 ? `p${100 * q}` : "most"} ${number(quantile(ascending(values), q), 1)}`)
    .join(", ");

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

  /** Enables a request. @returns after how long the API answered, and each agent had it armed, ms. */
  async round(id: string): Promise<{ readonly answerMs: number; readonly armedMs: readonly number[] }> {
    const began = now();
    await this.switch(id, true);
    const answerMs = now() - began;
    return { answerMs, armedMs: (await this.armedEverywhere([id])).map((t) => t - began) };
  }

  async switch(id: string, enabled: boolean): Promise<void> {
    const response = await fetch(`${this.apiUrl}/midonet-api/traces/${id}`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ enabled }),
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
