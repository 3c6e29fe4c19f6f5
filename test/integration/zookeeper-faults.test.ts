/** What a store does when its server, its connection or its own process fails. Real servers; times are bounded, never asserted. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ZookeeperOptions, ZookeeperStore } from "#adapters/nsdb-zookeeper";
import { startZookeeper, type ZookeeperEnsemble, zookeeperMissing, type ZookeeperServer } from "#adapters/testbed";
import { NsdbTxError, NsdbUnavailable } from "#core/nsdb";
import { create, Recorder, refused, set, unavailable } from "../support/nsdb-contract-kit.ts";
import { eventually } from "../support/nsdb-eventually.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { nextState, store, unlessThere } from "../support/zookeeper-kit.ts";

const DEADLINE_MS = 30_000;
let roots = 0;
const opened: { stop(): Promise<void> }[] = [];

/** Started, and stopped after the test. */
async function use(servers: string, options: Partial<ZookeeperOptions> = {}): Promise<ZookeeperStore> {
  const made = store(`zookeeper://${servers}/faults/t${++roots}`, options);
  opened.push(made);
  await made.start();
  return made;
}

async function proxyTo(server: ZookeeperServer): Promise<TcpProxy> {
  const proxy = new TcpProxy(server.host, server.ports.client);
  opened.push(proxy);
  await proxy.start();
  return proxy;
}

function statesOf(of: ZookeeperStore): string[] {
  const states: string[] = [];
  of.onSession((state) => states.push(state));
  return states;
}

const until = (states: readonly string[], state: string): Promise<void> =>
  eventually(() => assert.equal(states.at(-1), state), DEADLINE_MS);

describe("faults of one ZooKeeper server", { skip: unlessThere(zookeeperMissing()) }, () => {
  let ensemble: ZookeeperEnsemble;
  let server: ZookeeperServer;
  before(async () => {
    ensemble = await startZookeeper({ servers: 1, tickMs: 100 });
    server = ensemble.servers[0] as ZookeeperServer;
  });
  afterEach(async () => {
    for (const thing of opened.splice(0).reverse()) await thing.stop();
  });
  after(async () => {
    await ensemble?.stop();
  });

  it("a frozen server is noticed by its silence; what is under way fails, and all goes on when it thaws", async () => {
    const a = await use(ensemble.connectString, { sessionTimeoutMs: 1500 });
    const states = statesOf(a);
    const heard = new Recorder();
    await a.watch("/", heard);
    server.pause();
    try {
      await unavailable(a.get("/"));
      await until(states, "disconnected");
      assert.match(a.status().waitingFor ?? "", /nothing heard|no answer/);
    } finally {
      server.resume();
    }
    await until(states, "connected");
    assert.equal(heard.resyncs, 1);
    await a.commit([create("/after")]);
    assert.deepEqual(heard.calls, [["created /after"]]);
  });

  it("a server that is killed and started again has the session, its ephemeral nodes and its watches", async () => {
    const a = await use(ensemble.connectString);
    const states = statesOf(a);
    const heard = new Recorder();
    await a.watch("/", heard);
    await a.commit([create("/e", "", true)]);
    const { sessionId } = a.status();
    await server.kill("SIGKILL");
    await until(states, "disconnected");
    await unavailable(a.commit([create("/x")]));
    await server.start();
    await until(states, "connected");
    assert.deepEqual(states, ["disconnected", "connected"]);
    assert.deepEqual([a.sessionEpoch, a.status().sessionId], [1, sessionId]);
    assert.equal((await a.get("/e"))?.ephemeral, true);
    await a.commit([create("/after")]);
    assert.deepEqual([heard.calls.flat(), heard.resyncs], [["created /e", "created /after"], 1]);
  });

  it("a server away for longer than sessions last gives them back: nothing flaps", async (t) => {
    for (let attempt = 1; ; attempt++) {
      const lost: unknown[] = [];
      // After its start, the server gives sessions their whole time again: enough to come back within it.
      const a = await use(ensemble.connectString, {
        sessionTimeoutMs: 2000,
        log: (level, _, fields) => void (level === "warn" && lost.push(fields["reason"])),
      });
      const states = statesOf(a);
      const path = `/e${attempt}`;
      await a.commit([create(path, "", true)]);
      await server.kill("SIGKILL");
      await until(states, "disconnected");
      await sleep(3500); // the time away is what is tested: more than 4/3 of the session's
      await server.start();
      await until(states, "connected");
      // It starts the clocks of its sessions before it serves: on a loaded machine one may be over before it lets anybody in,
      // which says nothing of our client. What the client itself would give up has another reason.
      if (attempt < 3 && lost.some((reason) => /the server says that it is expired/.test(String(reason)))) {
        t.diagnostic(`attempt ${attempt}: the server ended the session before it served`);
        continue;
      }
      assert.deepEqual(states, ["disconnected", "connected"], String(lost));
      assert.equal((await a.get(path))?.ephemeral, true);
      return;
    }
  });

  it("a wiped server: the session is lost, and the store begins anew on it", async () => {
    const a = await use(ensemble.connectString, { sessionTimeoutMs: 800 });
    const states = statesOf(a);
    const heard = new Recorder();
    await a.watch("/", heard);
    for (let i = 0; i < 20; i++) await a.commit([create(`/n${i}`, "", i % 2 === 0)]);
    await server.kill("SIGKILL");
    await server.wipe();
    await server.start();
    await eventually(() => assert.ok(states.includes("lost")), DEADLINE_MS);
    await until(states, "connected");
    assert.deepEqual(states, ["disconnected", "lost", "connected"]);
    assert.equal(a.sessionEpoch, 2);
    assert.deepEqual(await a.children("/"), []);
    const before = heard.calls.length;
    await a.commit([create("/new")]);
    assert.deepEqual([heard.calls.slice(before), heard.resyncs], [[["created /new"]], 1]);
  });

  it("a black hole: given up when silent, and left when another way opens", async () => {
    const proxy = await proxyTo(server);
    const a = await use(`127.0.0.1:${proxy.port}`, { sessionTimeoutMs: 1500 });
    const states = statesOf(a);
    proxy.freeze();
    proxy.mode = "hold";
    const stuck = unavailable(a.commit([create("/n")]));
    await until(states, "disconnected");
    await stuck;
    proxy.thaw();
    proxy.mode = "pass";
    await until(states, "connected");
    assert.ok(await a.get("/"));
  });

  it("an operation that takes too long fails alone", async () => {
    const proxy = await proxyTo(server);
    const a = await use(`127.0.0.1:${proxy.port}`, { operationTimeoutMs: 200 });
    const states = statesOf(a);
    proxy.freeze();
    await assert.rejects(a.get("/"), (error) => error instanceof NsdbUnavailable && /in time/.test(error.message));
    proxy.thaw();
    assert.equal((await a.get("/"))?.path, "/");
    assert.deepEqual(states, []);
  });

  it("a connection cut again and again loses no update and leaves no operation open", async () => {
    const proxy = await proxyTo(server);
    const a = await use(`127.0.0.1:${proxy.port}`);
    const b = store(`zookeeper://${ensemble.connectString}/faults/t${roots}`);
    opened.push(b);
    await b.start();
    await b.commit([create("/counter", "0")]);
    let done = 0;
    let unknown = 0;
    const worker = async (): Promise<void> => {
      while (done < 120) {
        try {
          const node = await a.get("/counter");
          await a.commit([set("/counter", String(Number(node?.data) + 1), node?.version ?? 0)]);
          done++;
        } catch (error) {
          if (error instanceof NsdbUnavailable) {
            unknown++;
            await sleep(5);
          } else assert.ok(error instanceof NsdbTxError && error.failure === "BAD_VERSION", String(error));
        }
      }
    };
    let cuts = 0;
    const cutter = async (): Promise<void> => {
      for (let from = 0; from < 120; from += 12, cuts++) {
        await eventually(() => assert.ok(done > from + 10), DEADLINE_MS);
        proxy.cut();
      }
    };
    await Promise.all([worker(), worker(), worker(), cutter()]);
    const total = Number((await b.get("/counter"))?.data);
    assert.ok(total >= done && total <= done + unknown, `${total} of ${done} done and ${unknown} unknown`);
    assert.equal((await b.get("/counter"))?.version, total);
    assert.ok(cuts > 5);
  });

  it("30,000 nodes and 3,000 watches survive a broken connection; listings over a megabyte come whole", async () => {
    const proxy = await proxyTo(server);
    const a = await use(`127.0.0.1:${proxy.port}`);
    const pad = "x".repeat(50);
    const names = Array.from({ length: 30_000 }, (_, i) => `${pad}${String(i).padStart(6, "0")}`);
    await a.commit([create("/many")]);
    for (let i = 0; i < names.length; i += 1000)
      await a.commit(names.slice(i, i + 1000).map((name) => create(`/many/${name}`, name)));
    assert.deepEqual(await a.children("/many"), names);
    const heard = new Recorder();
    const watched = names.filter((_, i) => i % 10 === 0);
    await Promise.all(watched.map((name) => a.watch(`/many/${name}`, heard)));
    const known = nextState(a, "disconnected");
    proxy.cut();
    await known;
    await eventually(() => assert.equal(a.status().state, "connected"), DEADLINE_MS);
    await eventually(() => assert.equal(heard.resyncs, watched.length));
    const nodes = await a.getMany(names.map((name) => `/many/${name}`));
    assert.deepEqual(
      nodes.map((node) => node?.data),
      names,
    );
    const [first, middle, last] = [watched[0], watched[1500], watched[2999]];
    await a.commit([first, middle, last, names[1]].map((name) => set(`/many/${name}`, "changed")));
    assert.deepEqual(
      heard.calls.flat().toSorted(),
      [first, middle, last].map((name) => `changed /many/${name}`),
    );
  });

  it("big nodes are read together", async () => {
    const a = await use(ensemble.connectString);
    const paths = Array.from({ length: 12 }, (_, i) => `/big${i}`);
    for (const [i, path] of paths.entries()) await a.commit([create(path, String(i % 10).repeat(900_000))]);
    for (let round = 0; round < 2; round++) {
      const nodes = await a.getMany(paths);
      assert.ok(nodes.every((node, i) => node?.data.length === 900_000 && node.data[0] === String(i % 10)));
    }
  });

  it("a transaction that is too long for ZooKeeper though its data is not is refused, and nothing breaks", async () => {
    const a = await use(ensemble.connectString);
    const states = statesOf(a);
    const ops = Array.from({ length: 9000 }, (_, i) => create(`/${"p".repeat(60)}${i}`, "x".repeat(20)));
    await assert.rejects(a.commit(ops), (error) => {
      assert.ok(error instanceof NsdbTxError && error.failure === "TOO_LARGE", String(error));
      assert.ok(error.index > 5000 && error.path === ops[error.index]?.path);
      return true;
    });
    await refused(a.commit([create("/x", "y".repeat(1024 * 1024 - 10))]), "TOO_LARGE", 0, "/x");
    await a.commit([create("/x", "y".repeat(1_047_000))]);
    assert.equal((await a.get("/x"))?.data.length, 1_047_000);
    assert.deepEqual(states, []);
  });

  it("a blocked event loop is said, and does not end a session that lives", async () => {
    const warnings: string[] = [];
    const a = await use(ensemble.connectString, {
      sessionTimeoutMs: 3000,
      log: (level, message) => void (level === "warn" && warnings.push(message)),
    });
    const states = statesOf(a);
    await sleep(50); // the timer that will be late must be running
    for (const blockMs of [1300, 2200]) {
      const end = performance.now() + blockMs;
      while (performance.now() < end);
      await a.get("/");
    }
    assert.deepEqual(states, []);
    assert.ok(warnings.filter((message) => message.includes("blocked")).length >= 2);
  });

  it("a start that finds no server waits and says so; stop ends the waiting", async () => {
    const proxy = await proxyTo(server);
    proxy.mode = "refuse";
    const said: string[] = [];
    const a = store(`zookeeper://127.0.0.1:${proxy.port}/faults/late`, {
      log: (_, message) => void said.push(message),
    });
    opened.push(a);
    const starting = a.start();
    await eventually(() => assert.ok(said.some((message) => message.includes("trying on"))), DEADLINE_MS);
    assert.equal(a.status().state, "connecting");
    assert.ok(a.status().waitingFor);
    await unavailable(a.get("/"));
    await a.stop();
    await unavailable(starting);
    const again = a.start();
    proxy.mode = "pass";
    await again;
    assert.equal(a.status().waitingFor, null);
  });

  it("watches of one path share the server's, which goes with the last of them, not before", async () => {
    const proxy = await proxyTo(server);
    const a = await use(`127.0.0.1:${proxy.port}`);
    const b = store(`zookeeper://${ensemble.connectString}/faults/t${roots}`);
    opened.push(b);
    await b.start();
    let notices = 0;
    proxy.alter = (chunk) => {
      if (chunk.includes("/faults/")) notices++;
      return chunk;
    };
    const [one, two, again] = [new Recorder(), new Recorder(), new Recorder()];
    const watches = [await a.watch("/p", one), await a.watch("/p", two)];
    await b.commit([create("/p")]);
    await eventually(() => assert.equal(two.calls.length, 1));
    watches[0]?.close();
    await a.get("/p");
    await b.commit([set("/p", "1")]);
    await eventually(() => assert.equal(two.calls.length, 2));
    assert.deepEqual(one.calls.flat(), ["created /p"]);
    watches[1]?.close();
    await a.get("/p");
    const told = notices;
    await b.commit([set("/p", "2")]);
    await a.commit([create("/later")]);
    assert.deepEqual(
      [notices - told, two.calls.length],
      [1, 2],
      "nothing of /p; the answer to the creation names its path",
    );
    await a.watch("/p", again);
    await b.commit([set("/p", "3")]);
    await eventually(() => assert.deepEqual(again.calls.flat(), ["changed /p"]));
  });

  it("a watch below another one hears once, and its end leaves the other one", async () => {
    const a = await use(ensemble.connectString);
    const [inner, outer] = [new Recorder(), new Recorder()];
    await a.watch("/", outer);
    const watch = await a.watch("/p", inner);
    await a.commit([create("/p"), create("/p/x")]);
    watch.close();
    await a.commit([set("/p", "1"), set("/p/x", "1")]);
    assert.deepEqual(inner.calls, [["created /p", "created /p/x"]]);
    assert.deepEqual(outer.calls, [...inner.calls, ["changed /p", "changed /p/x"]]);
  });

  it("with credentials, nodes are closed to others; the same credentials open them", async () => {
    const auth = { user: "midotrace", password: "p@ss:word/ü" };
    const a = await use(ensemble.connectString, { auth });
    await a.commit([create("/secret", "s")]);
    const root = `/faults/t${roots}`;
    const quoted = `${auth.user}:${encodeURIComponent(auth.password)}`;
    const same = store(`zookeeper://${quoted}@${ensemble.connectString}${root}`);
    opened.push(same);
    await same.start();
    assert.equal((await same.get("/secret"))?.data, "s");
    const other = store(`zookeeper://${ensemble.connectString}${root}`);
    opened.push(other);
    await other.start();
    await assert.rejects(other.get("/secret"), /noAuth.*credentials/);
    await assert.rejects(other.getMany(["/secret"]), NsdbUnavailable);
    await assert.rejects(other.commit([set("/secret", "x")]), /noAuth/);
    assert.equal((await a.get("/secret"))?.version, 0);
  });
});

describe("faults of a ZooKeeper ensemble", { skip: unlessThere(zookeeperMissing()) }, () => {
  let ensemble: ZookeeperEnsemble;
  before(async () => {
    ensemble = await startZookeeper({ servers: 3, tickMs: 200 });
  });
  afterEach(async () => {
    for (const thing of opened.splice(0).reverse()) await thing.stop();
  });
  after(async () => {
    await ensemble?.stop();
  });

  it("the leader is killed, three times: sessions go on, no commit is lost, watchers end up with the last state", async (t) => {
    const a = await use(ensemble.connectString);
    const b = store(`zookeeper://${ensemble.connectString}/faults/t${roots}`);
    opened.push(b);
    await b.start();
    const states = [statesOf(a), statesOf(b)];
    await a.commit([create("/n", "0"), create("/alive", "", true)]);
    let seen = 0;
    const look = async (): Promise<void> => {
      const node = await b.get("/n").catch(() => null);
      if (node !== null) seen = Math.max(seen, Number(node.data));
    };
    await b.watch("/n", { events: () => void look(), resync: () => void look() });
    let value = 0;
    for (let round = 0; round < 3; round++) {
      const leader = await ensemble.untilLed();
      const killing = leader.kill("SIGKILL");
      const startedMs = performance.now();
      let gapMs = 0;
      for (let acknowledged = 0; acknowledged < 50; ) {
        try {
          await a.commit([set("/n", String(value + 1))]);
          value++;
          acknowledged++;
          if (acknowledged === 1) gapMs = performance.now() - startedMs;
        } catch (error) {
          assert.ok(error instanceof NsdbUnavailable, String(error));
          const now = Number((await a.get("/n").catch(() => null))?.data ?? Number.NaN);
          if (now === value + 1) value = now; // the one of unknown outcome was done
          await sleep(10);
        }
      }
      await killing;
      await leader.start();
      t.diagnostic(`leader ${leader.id} killed: first commit after ${Math.round(gapMs)} ms`);
    }
    await eventually(() => assert.equal(seen, value), DEADLINE_MS);
    assert.equal((await b.get("/alive"))?.ephemeral, true);
    assert.ok(states.every((list) => !list.includes("lost")));
    assert.deepEqual([a.sessionEpoch, b.sessionEpoch], [1, 1]);
  });
});
