import assert from "node:assert/strict";
import { createServer } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { EmbeddedNsdb, type EmbeddedSession } from "#adapters/nsdb-embedded";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { HttpTraceSink, HttpTransport, type SinkLimits } from "#adapters/trace-sink-http";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { ApiServer } from "#apps/api";
import { Collectors, initialize } from "#core/nsdb";
import { segmentNo } from "../support/sink-rig.ts";
import { eventually } from "../support/nsdb-eventually.ts";
import { H1 } from "../support/tracing-example.ts";
import { flowId } from "../support/tracing-samples.ts";

const QUIET = { info: () => undefined, error: () => undefined };
const SYSTEM = { clock: systemClock, scheduler: systemScheduler, random: systemRandom };

interface Scene {
  readonly sink: HttpTraceSink;
  readonly session: EmbeddedSession;
  /** A server on the store; at the port of one before, if that is given. */
  serve(traceStore: MemoryTraceStore, port?: number, advertised?: boolean): Promise<ApiServer>;
  send(from: number, to: number): void;
}

const newTraceStore = (): MemoryTraceStore => new MemoryTraceStore({ clock: systemClock });

/** Flow traces 1 … `count` that the store has, by number of ingress segments. */
async function has(store: MemoryTraceStore, from: number, to: number): Promise<number> {
  let count = 0;
  for (let n = from; n <= to; n++) if ((await store.flow(flowId(n)))?.segments.length === 1) count++;
  return count;
}

async function scene(t: TestContext, limits: Partial<SinkLimits> = {}): Promise<Scene> {
  const tree = new EmbeddedNsdb("memory:");
  await tree.start();
  const session = tree.session();
  await session.start();
  await initialize(session, systemRandom);
  const sink = new HttpTraceSink({
    ...SYSTEM,
    hostId: H1,
    store: session,
    log: () => undefined,
    limits: { maxBackoffMs: 300, ...limits },
  });
  await sink.start();
  const servers: ApiServer[] = [];
  t.after(async () => {
    await sink.stop();
    for (const server of servers) await server.stop();
    await tree.stop();
  });
  return {
    sink,
    session,
    serve: async (traceStore, port = 0, advertised = true) => {
      const store = tree.session();
      await store.start();
      const server = new ApiServer({
        ...SYSTEM,
        store,
        traceStore,
        log: QUIET,
        host: "127.0.0.1",
        port,
        ...(advertised ? { advertise: ({ url }) => url } : {}),
      });
      servers.push(server);
      await server.start();
      return server;
    },
    send: (from, to) => {
      // Nobody else is awaited: no flow trace changes by the passing of time.
      for (let n = from; n <= to; n++) sink.segment(segmentNo(n, { expects: [] }));
    },
  };
}

describe("segments from an agent to real API servers", () => {
  it("reach every server, those from before the first one too", async (t) => {
    const s = await scene(t);
    s.send(1, 150);
    const [a, b] = [newTraceStore(), newTraceStore()];
    await s.serve(a);
    await eventually(async () => assert.equal(await has(a, 1, 150), 150));
    await s.serve(b);
    await eventually(() => assert.equal(s.sink.counters().collectors, 2));
    s.send(151, 400);
    await eventually(async () => assert.deepEqual([await has(a, 1, 400), await has(b, 151, 400)], [400, 250]));
    await eventually(() => assert.equal(s.sink.counters().waiting, 0));
    assert.equal(s.sink.counters().refused, 0);
  });

  it("wait for a server that is stopped and started again, once and again, while the other goes on", async (t) => {
    const s = await scene(t);
    const [a, b] = [newTraceStore(), newTraceStore()];
    let first = await s.serve(a);
    const port = Number(new URL(first.url).port);
    await s.serve(b);
    await eventually(() => assert.equal(s.sink.counters().collectors, 2));
    let sent = 0;
    for (let outage = 0; outage < 4; outage++) {
      s.send(sent + 1, sent + 100);
      // Some of it is under way now.
      await first.stop();
      s.send(sent + 101, sent + 200);
      sent += 200;
      await eventually(async () => assert.equal(await has(b, 1, sent), sent));
      assert.ok((await has(a, 1, sent)) < sent);
      first = await s.serve(a, port);
      await eventually(async () => assert.equal(await has(a, 1, sent), sent));
    }
    assert.equal(s.sink.counters().overflowed, 0);
    await eventually(() => assert.equal(s.sink.counters().waiting, 0));
  });

  it("arrive once in the end, however often connections break in the middle", async (t) => {
    const s = await scene(t);
    const store = newTraceStore();
    const events: string[] = [];
    store.subscribe(null, (e) => void events.push(`${e.change} ${e.flowTraceId}`));
    const server = await s.serve(store, 0, false);
    const target = Number(new URL(server.url).port);
    // A wire to the server that is cut after so many bytes in either direction.
    let cutAfter = 3_000;
    const wires = new Set<Socket>();
    const cutter = createTcpServer((client) => {
      const upstream = connect(target, "127.0.0.1");
      let seen = 0;
      const count = (chunk: Buffer): void => {
        seen += chunk.length;
        if (seen <= cutAfter) return;
        client.destroy();
        upstream.destroy();
        cutAfter *= 1.5;
      };
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        wires.add(from);
        from.on("data", (chunk: Buffer) => {
          to.write(chunk);
          count(chunk);
        });
        from.on("error", () => undefined);
        from.on("close", () => {
          wires.delete(from);
          to.destroy();
        });
      }
    });
    await new Promise<void>((resolve) => cutter.listen(0, "127.0.0.1", resolve));
    t.after(() => {
      cutter.close();
      for (const wire of wires) wire.destroy();
    });
    const { port } = cutter.address() as AddressInfo;
    await new Collectors(s.session).register({ id: "cut", url: `http://127.0.0.1:${port}` });
    for (let n = 1; n <= 400; n += 20) {
      s.send(n, n + 19);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(async () => assert.equal(await has(store, 1, 400), 400));
    await eventually(() => assert.equal(s.sink.counters().waiting, 0), 20_000);
    assert.ok(s.sink.counters().retries > 2, `${s.sink.counters().retries} retries`);
    assert.equal(events.length, 400, "each changed something once");
  });

  it("at the end, what waits is delivered first", async (t) => {
    const s = await scene(t);
    const store = newTraceStore();
    await s.serve(store);
    await eventually(() => assert.equal(s.sink.counters().collectors, 1));
    s.send(1, 600);
    await s.sink.stop();
    assert.equal(await has(store, 1, 600), 600);
  });
});

describe("the HTTP transport", () => {
  const against = async (
    t: TestContext,
    answer: Parameters<typeof createServer>[1],
  ): Promise<{ url: string; transport: HttpTransport; connections: () => number }> => {
    let connections = 0;
    const server = createServer(answer as never);
    server.on("connection", () => connections++);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const transport = new HttpTransport();
    t.after(() => {
      transport.close();
      server.closeAllConnections();
      server.close();
    });
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/x`,
      transport,
      connections: () => connections,
    };
  };
  const never = new AbortController().signal;

  it("sends the body whole, on one connection", async (t) => {
    const got: string[] = [];
    const { url, transport, connections } = await against(t, (req, res) => {
      let body = "";
      req
        .setEncoding("utf8")
        .on("data", (c: string) => (body += c))
        .on("end", () => {
          got.push(`${req.method} ${req.url} ${req.headers["content-type"]} ${body}`);
          res.end("answer");
        });
    });
    for (let i = 0; i < 3; i++)
      assert.deepEqual(await transport.post(url, `{"ü":${i}}`, never), { status: 200, body: "answer" });
    assert.deepEqual(
      got,
      [0, 1, 2].map((i) => `POST /x application/json {"ü":${i}}`),
    );
    assert.equal(connections(), 1);
  });

  it("rejects when there is no whole answer: nobody there, broken off, abandoned, endless", async (t) => {
    const { url, transport } = await against(t, (req, res) => {
      if (req.headers["content-length"] === "1")
        res.writeHead(200, { "content-length": 10 }).write("half", () => res.destroy());
      else if (req.headers["content-length"] === "2") res.writeHead(200).write("slow");
      else {
        const pour = (): void => {
          while (!res.destroyed && res.write("x".repeat(65_536)));
        };
        res.on("drain", pour);
        pour();
      }
    });
    await assert.rejects(transport.post(url, "1", never));
    const abandon = new AbortController();
    const slow = transport.post(url, "22", abandon.signal);
    setImmediate(() => abandon.abort(new Error("enough")));
    await assert.rejects(slow);
    await assert.rejects(transport.post(url, "333", never), /longer than 1048576 bytes/);
    await assert.rejects(transport.post("http://127.0.0.1:1/x", "1", never), /ECONNREFUSED/);
  });
});
