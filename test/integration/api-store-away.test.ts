import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { prometheusPage } from "#adapters/metrics-prometheus";
import { EmbeddedNsdb, type EmbeddedSession } from "#adapters/nsdb-embedded";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { type ApiLog, ApiServer, type ApiServerOptions } from "#apps/api";
import { SeededRandom } from "#core/base";
import { Collectors, Nsdb, NsdbUnavailable } from "#core/nsdb";
import { eventually } from "../support/nsdb-eventually.ts";
import { H1, ingressSegment } from "../support/tracing-example.ts";
import { flowId, requestId } from "../support/tracing-samples.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { type Answer, at, send } from "./api-support.ts";

interface Scene {
  readonly time: VirtualTime;
  readonly tree: EmbeddedNsdb;
  /** The server's session. */
  readonly session: EmbeddedSession;
  /** Somebody else's. */
  readonly admin: Nsdb;
  readonly collectors: Collectors;
  readonly traceStore: MemoryTraceStore;
  readonly server: ApiServer;
  readonly log: string[];
  get(path: string): Promise<Answer>;
}

async function scene(
  t: TestContext,
  options: (s: { session: EmbeddedSession }) => Partial<ApiServerOptions> = () => ({}),
): Promise<Scene> {
  const time = new VirtualTime();
  const random = new SeededRandom(9);
  const tree = new EmbeddedNsdb("memory:");
  await tree.start();
  const session = tree.session();
  const other = tree.session();
  await other.start();
  const traceStore = new MemoryTraceStore({ clock: time });
  const lines: string[] = [];
  const log: ApiLog = {
    info: (message, fields = {}) => void lines.push(`${message} ${JSON.stringify(fields)}`),
    error: (message, fields = {}) => void lines.push(`ERROR ${message} ${JSON.stringify(fields)}`),
  };
  const renderMetrics = prometheusPage;
  const parts = {
    renderMetrics,
    store: session,
    traceStore,
    clock: time,
    scheduler: time,
    random,
    log,
    host: "127.0.0.1",
    port: 0,
  };
  const server = new ApiServer({ ...parts, advertise: ({ url }) => url, ...options({ session }) });
  t.after(async () => {
    await server.stop();
    await tree.stop();
  });
  return {
    time,
    tree,
    session,
    admin: new Nsdb(other, random, time),
    collectors: new Collectors(other),
    traceStore,
    server,
    log: lines,
    get: (path) => send(server.url + path, "GET"),
  };
}

const readiness = async (s: Scene): Promise<[number, unknown]> => {
  const answer = await s.get("/readyz");
  return [answer.status, at(answer.json, "waitingFor.0")];
};

describe("an API server whose store goes away", () => {
  it("says so, answers what needs no store, and is itself again when the store is back", async (t) => {
    const s = await scene(t);
    await s.session.start();
    await s.server.start();
    assert.deepEqual(await readiness(s), [200, undefined]);
    assert.equal((await s.get("/midonet-api/bridges")).status, 200);
    s.session.disconnect();
    const refused = await s.get("/midonet-api/bridges");
    assert.equal(refused.status, 503);
    assert.equal(at(refused.json, "error"), "STORE_UNAVAILABLE");
    assert.ok(Number(refused.headers["retry-after"]) >= 1);
    assert.deepEqual(await readiness(s), [503, "the network state database (session disconnected)"]);
    assert.equal((await s.get("/healthz")).status, 200);
    assert.equal((await s.get("/midonet-api")).status, 200);
    const body = { hostId: H1, bootId: "b", sequence: 1, segments: [ingressSegment({ hostId: H1 })], lost: [] };
    const taken = await send(`${s.server.url}/midonet-api/trace-segments`, "POST", { body });
    assert.equal(at(taken.json, "accepted"), 1, "traces taken meanwhile arrive");
    s.session.reconnect();
    await s.time.settle();
    assert.deepEqual(await readiness(s), [200, undefined]);
    assert.equal((await s.get("/midonet-api/bridges")).status, 200);
  });

  it("is a collector in each of its sessions, and none when it has ended", async (t) => {
    const s = await scene(t);
    await s.session.start();
    await s.server.start();
    const url = s.server.url;
    const registered = async (): Promise<string[]> => (await s.collectors.list()).map((c) => c.url);
    assert.deepEqual(await registered(), [url]);
    await s.session.expire();
    await eventually(async () => assert.deepEqual(await registered(), [url]));
    await eventually(async () => assert.deepEqual(await readiness(s), [200, undefined]));
    await s.server.stop();
    assert.deepEqual(await registered(), []);
  });

  it("tries again when the store goes away in the middle of coming back", async (t) => {
    const s = await scene(t);
    await s.session.start();
    await s.server.start();
    const expired = s.session.expire();
    s.session.disconnect();
    await expired;
    s.session.disconnect();
    await s.time.advance(60_000);
    assert.equal((await readiness(s))[0], 503);
    s.session.reconnect();
    await s.time.advance(10_000);
    await eventually(async () => assert.deepEqual(await readiness(s), [200, undefined]));
    assert.equal((await s.collectors.list()).length, 1);
  });

  it("forgets the traces that were deleted while it could not hear of it, whether or not anybody listens", async (t) => {
    const s = await scene(t);
    await s.admin.initialize();
    const bridge = await s.admin.bridges.create({ name: "b" });
    const input = { deviceType: "BRIDGE", deviceId: bridge.id, condition: {}, name: "t" } as const;
    const [gone, stays] = [await s.admin.traces.create(input), await s.admin.traces.create(input)];
    await s.session.start();
    await s.server.start();
    const later = await s.admin.traces.create(input);
    await s.time.settle();
    for (const [n, { id }] of [gone, stays, later].entries())
      await s.traceStore.add([ingressSegment({ segmentId: `s${n}`, flowTraceId: flowId(n + 1), requestIds: [id] })]);
    s.session.disconnect();
    await s.admin.traces.delete(gone.id);
    await s.admin.traces.delete(later.id);
    await s.time.settle();
    assert.ok(await s.traceStore.flow(flowId(1)));
    s.session.reconnect();
    await eventually(async () => assert.equal(await s.traceStore.flow(flowId(1)), null));
    assert.equal(await s.traceStore.flow(flowId(3)), null);
    assert.ok(await s.traceStore.flow(flowId(2)));
    assert.equal((await s.traceStore.flows(requestId(1), { limit: 1 })).flows.length, 0);
  });
});

describe("an API server that starts before its store", () => {
  it("listens, waits, and comes alive by itself: the store cannot be reached", async (t) => {
    let attempts = 0;
    const s = await scene(t, ({ session }) => ({
      startStore: async () => {
        if (++attempts < 4) throw new NsdbUnavailable("connect ECONNREFUSED 192.0.2.1:2181");
        await session.start();
      },
    }));
    await s.server.start();
    assert.deepEqual(await readiness(s), [503, "the network state database (connect ECONNREFUSED 192.0.2.1:2181)"]);
    assert.equal((await s.get("/midonet-api/bridges")).status, 503);
    await s.time.advance(10_000);
    await eventually(async () => assert.deepEqual(await readiness(s), [200, undefined]));
    assert.equal((await s.get("/midonet-api/bridges")).status, 200);
    assert.equal((await s.collectors.list()).length, 1);
    assert.equal(attempts, 4);
    assert.equal(s.log.filter((l) => l.startsWith("waiting for")).length, 1, "said once for each reason");
  });

  it("listens, waits, and comes alive by itself: the store does not say anything", async (t) => {
    const { promise: silence, resolve: speak } = Promise.withResolvers<void>();
    const s = await scene(t, ({ session }) => ({
      startStore: async () => {
        await silence;
        await session.start();
      },
      storeProblem: () => "no server answers",
    }));
    let started = false;
    const starting = (async () => {
      await s.server.start();
      started = true;
    })();
    await eventually(() => assert.notEqual(s.server.url, ""));
    assert.deepEqual(await readiness(s), [503, "the network state database (no server answers)"]);
    assert.equal(started, false);
    await s.time.advance(1_000);
    await starting;
    speak();
    await eventually(async () => assert.deepEqual(await readiness(s), [200, undefined]));
  });

  it("ends while it waits", async (t) => {
    const s = await scene(t, () => ({ startStore: () => new Promise(() => undefined) }));
    const starting = s.server.start();
    await s.time.advance(1_000);
    await starting;
    await s.server.stop();
    assert.equal(s.server.url, "");
    await s.time.advance(60_000);
    assert.equal(s.time.pending, 0);
  });

  it("fails at what no waiting cures, and leaves nothing behind", async (t) => {
    const s = await scene(t, () => ({ startStore: () => Promise.reject(new Error("wrong password")) }));
    await assert.rejects(s.server.start(), /wrong password/);
    assert.equal(s.server.url, "");
  });
});

describe("the end of an API server", () => {
  it("answers what is under way, ends streams, and takes nothing new", async (t) => {
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const s = await scene(t, ({ session }) => ({
      store: new Proxy(session, {
        get: (target, key) => {
          if (key === "children")
            return async (path: string) => {
              if (path === "/bridges") await held;
              return target.children(path);
            };
          const value: unknown = Reflect.get(target, key, target);
          return typeof value === "function" ? (value as (...a: unknown[]) => unknown).bind(target) : value;
        },
      }),
    }));
    await s.session.start();
    await s.server.start();
    const { url } = s.server;
    const bridge = await s.admin.bridges.create({ name: "b" });
    const trace = await s.admin.traces.create({ deviceType: "BRIDGE", deviceId: bridge.id, condition: {}, name: "t" });
    const slow = send(`${url}/midonet-api/bridges`, "GET");
    const stream = send(`${url}/midonet-api/traces/${trace.id}/events`, "GET");
    await eventually(async () => assert.match((await s.get("/metrics")).text, /midotrace_api_event_streams 1/));
    const stopped = s.server.stop();
    assert.match((await stream).text, /event: end\ndata: \{"reason":"shutdown"\}/);
    await assert.rejects(send(`${url}/healthz`, "GET"), /ECONNREFUSED/);
    release();
    assert.equal((await slow).status, 200, "it was under way");
    await stopped;
  });

  it("waits for nobody for ever", async (t) => {
    const s = await scene(t, ({ session }) => ({
      store: new Proxy(session, {
        get: (target, key) => {
          if (key === "children") return () => new Promise(() => undefined);
          const value: unknown = Reflect.get(target, key, target);
          return typeof value === "function" ? (value as (...a: unknown[]) => unknown).bind(target) : value;
        },
      }),
    }));
    await s.session.start();
    const starting = s.server.start();
    await s.time.advance(1_000);
    await starting;
    const asked = send(`${s.server.url}/midonet-api/bridges`, "GET").catch((error: unknown) => error);
    await s.time.settle();
    const stopped = s.server.stop();
    for (let i = 0; i < 10; i++) await s.time.advance(1_000);
    await stopped;
    await asked;
  });
});

describe("an API server that is stopped while it starts", () => {
  it("leaves nothing running", async (t) => {
    const s = await scene(t, () => ({ startStore: () => new Promise<void>(() => {}) }));
    const starting = s.server.start();
    await eventually(() => assert.notEqual(s.server.url, ""));
    await s.server.stop();
    await s.time.advance(5_000);
    await starting;
    await s.time.settle();
    assert.equal(s.time.pending, 0);
  });
});
