/**
 * What lists and creations of trace requests cost, by how many there are: `npm run bench:requests`. Three API servers, each over
 * an embedded store of its own in this process, are asked over HTTP by turns.
 */
import { request } from "node:http";
import { cpus } from "node:os";
import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { ApiServer } from "#apps/api";
import type { BridgeId, TenantId } from "#core/base";
import { Nsdb, type NsdbStore } from "#core/nsdb";
import { ascending, quantile } from "./measure.ts";

const QUICK = process.env["MIDOTRACE_BENCH_QUICK"] === "1";
const SIZES = [10, 1_000, 10_000];
/** Requests of the tenant whose list is measured: the same in each store. */
const OWN = 10;
const DEVICES = 50;
const ROUNDS = QUICK ? 5 : 60;
const WARM_UP_ROUNDS = QUICK ? 1 : 5;
/** Whole lists are long: fewer rounds are as sure. */
const LIST_ROUNDS = QUICK ? 1 : 4;
/** How much more the largest store may cost than the smallest, by the lower quarters: what else runs on the machine is in the others. */
const MOST_GROWTH = 1.5;

/** Counts what is asked of the store. */
class CountingStore implements NsdbStore {
  nodesRead = 0;
  namesListed = 0;
  private readonly inner: NsdbStore;

  constructor(inner: NsdbStore) {
    this.inner = inner;
  }

  get sessionEpoch(): number {
    return this.inner.sessionEpoch;
  }

  start = (): Promise<void> => this.inner.start();
  stop = (): Promise<void> => this.inner.stop();
  commit: NsdbStore["commit"] = (ops) => this.inner.commit(ops);
  watch: NsdbStore["watch"] = (prefix, watcher) => this.inner.watch(prefix, watcher);
  onSession: NsdbStore["onSession"] = (listener) => this.inner.onSession(listener);

  get: NsdbStore["get"] = (path) => {
    this.nodesRead++;
    return this.inner.get(path);
  };

  getMany: NsdbStore["getMany"] = (paths) => {
    this.nodesRead += paths.length;
    return this.inner.getMany(paths);
  };

  children: NsdbStore["children"] = async (path) => {
    const names = await this.inner.children(path);
    this.namesListed += names.length;
    return names;
  };
}

interface Bench {
  readonly size: number;
  readonly base: string;
  readonly own: BridgeId;
  readonly store: CountingStore;
  stop(): Promise<void>;
}

async function open(size: number): Promise<Bench> {
  const server = new EmbeddedNsdb("memory:");
  await server.start();
  const store = new CountingStore(server.session());
  await store.start();
  const log = { info: () => {}, error: (message: string) => console.error(message) };
  const traceStore = new MemoryTraceStore({ clock: systemClock });
  const parts = { store, traceStore, clock: systemClock, scheduler: systemScheduler, random: systemRandom, log };
  const api = new ApiServer({ ...parts, host: "127.0.0.1", port: 0 });
  const { url } = await api.start();
  const nsdb = new Nsdb(store, systemRandom, systemClock);
  const own = await nsdb.bridges.create({ name: "own", tenantId: "red" as TenantId });
  const others: BridgeId[] = [];
  for (let i = 0; i < DEVICES; i++) others.push((await nsdb.bridges.create({ tenantId: `t${i}` as TenantId })).id);
  for (let i = 0; i < size; i++) {
    const deviceId = i < OWN ? own.id : (others[i % DEVICES] as BridgeId);
    const condition = { nwProto: 6, nwSrcAddress: "10.0.1.10", nwSrcLength: 32, tpDst: { start: 80, end: 80 } };
    await nsdb.traces.create({ name: `trace ${i}`, deviceType: "BRIDGE", deviceId, condition });
  }
  const stop = async (): Promise<void> => {
    await api.stop();
    await server.stop();
  };
  return { size, base: `${url}/midonet-api`, own: own.id, store, stop };
}

/** One exchange on a connection of its own, as MidoNet's clients make it. @returns the body. */
function ask(method: string, url: string, body: object | null, expected: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const text = JSON.stringify(body ?? {});
    const headers = { "content-type": "application/json", "content-length": String(text.length) };
    const req = request(url, { method, headers, agent: false }, (res) => {
      const chunks: Buffer[] = [];
      res.on("data", (chunk: Buffer) => chunks.push(chunk));
      res.on("end", () => {
        if (res.statusCode === expected) resolve(res.headers.location ?? Buffer.concat(chunks).toString());
        else reject(new Error(`${method} ${url}: ${res.statusCode} ${Buffer.concat(chunks).toString()}`));
      });
    });
    req.on("error", reject);
    req.end(text);
  });
}

interface Operation {
  readonly name: string;
  readonly rounds: number;
  /** Its cost must not grow with the number of requests. */
  readonly flat: boolean;
  run(b: Bench): Promise<unknown>;
  after?(b: Bench, result: unknown): Promise<unknown>;
}

const create = (enabled: boolean) => (b: Bench) =>
  ask("POST", `${b.base}/traces`, { name: "one more", deviceType: "BRIDGE", deviceId: b.own, enabled }, 201);
const remove = (_: Bench, location: unknown): Promise<unknown> => ask("DELETE", String(location), null, 204);
const list = (query: string) => (b: Bench) => ask("GET", `${b.base}/traces${query}`, null, 200);

const OPERATIONS: readonly Operation[] = [
  { name: "create one more", rounds: ROUNDS, flat: true, run: create(false), after: remove },
  { name: "create it enabled", rounds: ROUNDS, flat: true, run: create(true), after: remove },
  { name: `list of a tenant (${OWN})`, rounds: ROUNDS, flat: true, run: list("?tenant_id=red") },
  { name: "a page of 10", rounds: ROUNDS, flat: false, run: list("?limit=10") },
  { name: "list of all", rounds: LIST_ROUNDS, flat: false, run: list("") },
];

interface Figure {
  readonly medianMs: number;
  readonly lowMs: number;
  readonly highMs: number;
  /** Of one run. */
  readonly nodesRead: number;
  readonly namesListed: number;
}

/** The stores take turns, in an order that turns from round to round. */
async function measure(operation: Operation, benches: readonly Bench[]): Promise<Figure[]> {
  const times: number[][] = benches.map(() => []);
  const counts = benches.map(() => ({ nodesRead: 0, namesListed: 0 }));
  for (let round = -Math.min(WARM_UP_ROUNDS, operation.rounds); round < operation.rounds; round++) {
    for (const turn of benches.keys()) {
      const i = (turn + Math.abs(round)) % benches.length;
      const b = benches[i] as Bench;
      const before = { nodesRead: b.store.nodesRead, namesListed: b.store.namesListed };
      const start = performance.now();
      const result = await operation.run(b);
      const tookMs = performance.now() - start;
      counts[i] = {
        nodesRead: b.store.nodesRead - before.nodesRead,
        namesListed: b.store.namesListed - before.namesListed,
      };
      await operation.after?.(b, result);
      if (round >= 0) times[i]?.push(tookMs);
    }
  }
  return times.map((all, i) => {
    const sorted = ascending(all);
    const [lowMs, medianMs, highMs] = [0.25, 0.5, 0.75].map((q) => quantile(sorted, q)) as [number, number, number];
    return { lowMs, medianMs, highMs, ...(counts[i] as { nodesRead: number; namesListed: number }) };
  });
}

const failures: string[] = [];
function hold(what: string, held: boolean): void {
  console.log(`  ${held ? "holds " : "MISSED"} ${what}`);
  if (!held) failures.push(what);
}

const ms = (v: number): string => `${v.toFixed(2).padStart(8)} ms`;

console.log(`${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} cores, Node ${process.version}`);
console.log(
  `trace requests over HTTP, embedded store in memory; median (middle half) of ${ROUNDS} rounds (whole lists: ${LIST_ROUNDS})`,
);
const benches: Bench[] = [];
for (const size of SIZES) benches.push(await open(size));
const found = new Map<string, Figure[]>();
for (const operation of OPERATIONS) {
  const figures = await measure(operation, benches);
  found.set(operation.name, figures);
  console.log(`\n${operation.name}`);
  for (const [i, f] of figures.entries())
    console.log(
      `  ${(SIZES[i] as number).toLocaleString("en").padStart(6)} requests ${ms(f.medianMs)} (${ms(f.lowMs)} …${ms(f.highMs)})` +
        `${String(f.nodesRead).padStart(7)} nodes read ${String(f.namesListed).padStart(6)} names listed`,
    );
}
for (const b of benches) await b.stop();

console.log("\naims");
for (const { name, flat } of OPERATIONS) {
  if (!flat) continue;
  const figures = found.get(name) ?? [];
  const [first, last] = [figures[0] as Figure, figures.at(-1) as Figure];
  const same = first.nodesRead === last.nodesRead && first.namesListed === last.namesListed;
  hold(`${name}: the same nodes are read whatever there is beside them (${last.nodesRead})`, same);
  const growth = last.lowMs / first.lowMs;
  hold(`${name}: ${growth.toFixed(2)} × with 1,000 times as many, less than ${MOST_GROWTH}`, growth < MOST_GROWTH);
}
process.exitCode = failures.length === 0 ? 0 : 1;
