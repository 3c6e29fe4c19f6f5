import assert from "node:assert/strict";
import { test } from "node:test";
import { openZookeeperStore, type ZookeeperStore } from "#adapters/nsdb-zookeeper";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { startZookeeper, type ZookeeperEnsemble, zookeeperMissing } from "#adapters/testbed";
import {
  type ChainId,
  MidotraceError,
  type RuleId,
  SeededRandom,
  type TenantId,
  type TraceRequestId,
} from "#core/base";
import { checkStore, Nsdb, NsdbTxError, NsdbUnavailable, readTree } from "#core/nsdb";
import { missingPart } from "../support/parts.ts";
import { StoreMirror, textOf } from "../support/store-mirror.ts";

const SECONDS = Number(process.env["MIDOTRACE_CHAOS_SECONDS"] ?? 15);
const CLIENTS = 6;
const WATCHERS = 3;
const COUNTER = "/locks/chaos";
const TENANT = "t" as TenantId;
const part = { clock: systemClock, scheduler: systemScheduler, random: systemRandom };

type Outcome = "done" | "refused" | "unknown";

/** Whether it was done: where the answer was lost nobody knows. */
async function outcomeOf(work: Promise<unknown>): Promise<Outcome> {
  try {
    await work;
    return "done";
  } catch (error) {
    if (error instanceof NsdbUnavailable) return "unknown";
    if (error instanceof MidotraceError && error.code === "STORE_UNAVAILABLE") return "unknown";
    if (error instanceof NsdbTxError || error instanceof MidotraceError) return "refused";
    throw error;
  }
}

/** One user of the store: enables, disables, edits the chain, and counts in one node that all count in. */
class Client {
  readonly store: ZookeeperStore;
  private readonly nsdb: Nsdb;
  private readonly random: SeededRandom;
  private readonly chain: ChainId;
  private readonly traces: readonly TraceRequestId[];
  readonly outcomes: Record<Outcome, number> = { done: 0, refused: 0, unknown: 0 };
  /** Rules that are certainly there, and ids whose fate is not known. */
  readonly rules = new Set<RuleId>();
  readonly unsure = new Set<string>();
  counted = 0;
  maybeCounted = 0;
  rulesMaybeMade = 0;

  constructor(url: string, seed: number, chain: ChainId, traces: readonly TraceRequestId[]) {
    this.store = openZookeeperStore(url, { ...part, sessionTimeoutMs: 6_000 });
    this.nsdb = new Nsdb(this.store, systemRandom, systemClock);
    this.random = new SeededRandom(seed);
    this.chain = chain;
    this.traces = traces;
  }

  async run(until: () => boolean): Promise<void> {
    while (!until()) {
      const outcome = await this.step();
      this.outcomes[outcome]++;
      // The store is away: asking at once again would only heat the machine.
      if (outcome === "unknown") await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  private step(): Promise<Outcome> {
    const what = this.random.next();
    if (what < 0.25) return outcomeOf(this.nsdb.traces.enable(this.trace()));
    if (what < 0.5) return outcomeOf(this.nsdb.traces.disable(this.trace()));
    if (what < 0.7) return this.addRule();
    if (what < 0.8) return this.removeRule();
    return this.count();
  }

  private trace(): TraceRequestId {
    return this.traces[Math.floor(this.random.next() * this.traces.length)] as TraceRequestId;
  }

  private async addRule(): Promise<Outcome> {
    const input = { type: "drop", condition: { nwProto: 6 }, meterName: null } as const;
    const made: RuleId[] = [];
    const outcome = await outcomeOf(this.nsdb.rules.create(this.chain, input).then((rule) => made.push(rule.id)));
    for (const id of made) this.rules.add(id);
    if (outcome === "unknown") this.rulesMaybeMade++;
    return outcome;
  }

  private async removeRule(): Promise<Outcome> {
    const [id] = this.rules;
    if (id === undefined) return "refused";
    const outcome = await outcomeOf(this.nsdb.rules.delete(id));
    if (outcome !== "refused") this.rules.delete(id);
    if (outcome === "unknown") this.unsure.add(id);
    return outcome;
  }

  /** Read, add one, write if nobody did meanwhile. */
  private async count(): Promise<Outcome> {
    const outcome = await outcomeOf(
      (async () => {
        const node = await this.store.get(COUNTER);
        assert.ok(node !== null);
        const data = String(Number(node.data) + 1);
        await this.store.commit([{ op: "set", path: COUNTER, data, version: node.version }]);
      })(),
    );
    if (outcome === "done") this.counted++;
    if (outcome === "unknown") this.maybeCounted++;
    return outcome;
  }
}

/** Kills a server, lets it be away for a while, starts it again; sometimes two of three. */
async function havoc(ensemble: ZookeeperEnsemble, random: SeededRandom, until: () => boolean): Promise<number> {
  let kills = 0;
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  while (!until()) {
    const victims = ensemble.servers.filter(() => random.next() < 0.4).slice(0, 2);
    await Promise.all(victims.map((server) => server.kill("SIGKILL")));
    kills += victims.length;
    await pause(200 + random.next() * 1_500);
    await Promise.all(victims.map((server) => server.start()));
    await pause(300 + random.next() * 2_000);
  }
  return kills;
}

test(`chaos: ${CLIENTS} clients on three servers that are killed at random for ${SECONDS} s`, {
  skip: missingPart(zookeeperMissing()),
}, async (t) => {
  const ensemble = await startZookeeper({ servers: 3 });
  const url = `zookeeper://${ensemble.connectString}/midonet/v1`;
  const admin = openZookeeperStore(url, part);
  const clients: Client[] = [];
  const mirrors: { store: ZookeeperStore; mirror: StoreMirror }[] = [];
  try {
    await admin.start();
    const nsdb = new Nsdb(admin, systemRandom, systemClock);
    await nsdb.initialize();
    await admin.commit([{ op: "create", path: COUNTER, data: "0" }]);
    const chain = await nsdb.chains.create({ name: "shared", tenantId: TENANT });
    const traces: TraceRequestId[] = [];
    for (let n = 0; n < 4; n++) {
      // Two bridges share the chain, two have none: enabling makes and disabling removes one.
      const filter = n % 2 === 0 ? { inFilter: chain.id } : {};
      const bridge = await nsdb.bridges.create({ name: `b${n}`, tenantId: TENANT, ...filter });
      for (let i = 0; i < 3; i++) {
        const wanted = { name: `t${n}${i}`, deviceType: "BRIDGE", deviceId: bridge.id, condition: {} } as const;
        traces.push((await nsdb.traces.create(wanted)).id);
      }
    }
    for (let n = 0; n < CLIENTS; n++) clients.push(new Client(url, n + 1, chain.id, traces));
    for (const c of clients) await c.store.start();
    for (let n = 0; n < WATCHERS; n++) {
      const store = openZookeeperStore(url, { ...part, sessionTimeoutMs: 3_000 });
      await store.start();
      const mirror = new StoreMirror(store);
      await mirror.start();
      mirrors.push({ store, mirror });
    }

    const end = performance.now() + SECONDS * 1000;
    const over = (): boolean => performance.now() >= end;
    const [kills] = await Promise.all([
      havoc(ensemble, new SeededRandom(99), over),
      ...clients.map((c) => c.run(over)),
    ]);

    await ensemble.untilLed();
    const total = (pick: (c: Client) => number): number => clients.reduce((sum, c) => sum + pick(c), 0);
    const counts = { done: total((c) => c.outcomes.done), refused: total((c) => c.outcomes.refused) };
    t.diagnostic(
      `${kills} servers killed; ${JSON.stringify({ ...counts, unknown: total((c) => c.outcomes.unknown) })}`,
    );
    // What this session has written last, it reads; and with it everything that was committed before.
    await settledCommit(admin);

    const value = Number((await admin.get(COUNTER))?.data);
    await admin.commit([{ op: "delete", path: COUNTER }]);
    assert.deepEqual(await checkStore(admin), []);
    const sure = total((c) => c.counted);
    t.diagnostic(`counter ${value}, ${sure} certain and ${total((c) => c.maybeCounted)} unknown`);
    assert.ok(value >= sure && value <= sure + total((c) => c.maybeCounted), `${value} of ${sure}`);

    const there = new Set((await nsdb.rules.list(chain.id)).filter((r) => r.type !== "trace").map((r) => r.id));
    const known = new Set<string>(clients.flatMap((c) => [...c.rules]));
    for (const id of known) assert.ok(there.has(id as RuleId), `rule ${id} was made and is gone`);
    const unsure = new Set(clients.flatMap((c) => [...c.unsure]));
    const strangers = [...there].filter((id) => !known.has(id) && !unsure.has(id));
    assert.ok(strangers.length <= total((c) => c.rulesMaybeMade), `${strangers.length} rules nobody made`);
    assert.ok(counts.done > 10 * SECONDS && kills > 0, "the run did not do its work");

    const { tree } = await readTree(admin);
    const truth = new Map([...tree.nodes()].map((n) => [n.path, textOf(n)]));
    for (const { store, mirror } of mirrors) {
      await caughtUp(store, admin);
      await mirror.settled();
      t.diagnostic(`a watcher heard ${mirror.events} events and ${mirror.resyncs} gaps`);
      assert.deepEqual(new Map([...mirror.nodes].toSorted(byPath)), new Map([...truth].toSorted(byPath)));
    }
  } finally {
    for (const { mirror, store } of mirrors) {
      mirror.stop();
      await store.stop();
    }
    for (const c of clients) await c.store.stop();
    await admin.stop();
    await ensemble.stop();
  }
});

const byPath = (a: readonly [string, string], b: readonly [string, string]): number => (a[0] < b[0] ? -1 : 1);

/** A commit that is known to be done. */
async function settledCommit(store: ZookeeperStore): Promise<void> {
  for (const deadline = performance.now() + 30_000; performance.now() < deadline; ) {
    const work = store.get(COUNTER).then((n) => {
      assert.ok(n !== null);
      return store.commit([{ op: "set", path: COUNTER, data: n.data, version: n.version }]);
    });
    if ((await outcomeOf(work)) === "done") return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("the ensemble takes no commit within 30 s");
}

/** The session has seen everything that `other` has committed: it reads a node that was made for this. */
async function caughtUp(store: ZookeeperStore, other: ZookeeperStore): Promise<void> {
  const path = `/locks/seen-${systemRandom.uuid()}`;
  await other.commit([{ op: "create", path, data: "" }]);
  for (const deadline = performance.now() + 30_000; performance.now() < deadline; ) {
    const seen = await store.get(path).catch(() => null);
    if (seen !== null) {
      await other.commit([{ op: "delete", path }]);
      for (let gone: unknown = seen; gone !== null && performance.now() < deadline; )
        gone = await store.get(path).catch(() => seen);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("a watcher's session did not catch up within 30 s");
}
