import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { systemScheduler } from "#adapters/platform";
import { PostgresTraceStore } from "#adapters/trace-store-postgres";
import type { FlowEvent, TraceSegment, TraceStore } from "#core/tracing";
import { Client } from "pg";
import { eventually } from "../support/nsdb-eventually.ts";
import { missingPart } from "../support/parts.ts";
import { postgresMissing, PostgresServer } from "../support/postgres.ts";
import { droppedSegment, egressSegment, expected, H2, ingressSegment, START_MS } from "../support/tracing-example.ts";
import { flowId, requestId } from "../support/tracing-samples.ts";
import { traceStoreContract } from "./trace-store.ts";

const REQUEST = requestId(0xe1);
const one = (n: number): TraceSegment => droppedSegment({ segmentId: `h1 1 ${n}`, flowTraceId: flowId(n) });

describe("PostgreSQL", { skip: missingPart(postgresMissing()) }, () => {
  let server: PostgresServer;
  let schemas = 0;
  before(async () => {
    server = await PostgresServer.make();
  });
  after(() => server.remove());

  /** Tables of its own on the one server. */
  async function newTables(): Promise<string> {
    const name = `t${++schemas}`;
    await run(server.url, `CREATE SCHEMA ${name}`);
    return `${server.url}&options=${encodeURIComponent(`-c search_path=${name}`)}`;
  }

  async function run(url: string, text: string): Promise<void> {
    const client = new Client({ connectionString: url });
    await client.connect();
    await client.query(text);
    await client.end();
  }

  const CLOCK = { nowMs: () => START_MS, monotonicMs: () => 0 };
  const open = (url: string, clock = CLOCK, more = {}): PostgresTraceStore =>
    new PostgresTraceStore({ url, clock, scheduler: systemScheduler, ...more });

  traceStoreContract("PostgreSQL", async (bounds) => {
    const url = await newTables();
    let now = START_MS;
    const clock = { nowMs: () => now, monotonicMs: () => now - START_MS };
    const opened: PostgresTraceStore[] = [];
    const another = async (): Promise<TraceStore> => {
      const store = open(url, clock, bounds);
      opened.push(store);
      await store.start();
      return store;
    };
    return {
      store: await another(),
      advance: (ms) => {
        now += ms;
      },
      again: another,
      close: async () => {
        for (const store of opened) await store.stop();
      },
    };
  });

  it("joins what two servers are given, each segment once, and tells the streams of both", async (t) => {
    const url = await newTables();
    const [a, b] = [open(url), open(url)];
    t.after(() => Promise.all([a.stop(), b.stop()]));
    await Promise.all([a.start(), b.start()]);
    const heard: FlowEvent[][] = [[], []];
    for (const [i, store] of [a, b].entries()) store.subscribe(REQUEST, (e) => heard[i]?.push(e));
    const parts = Array.from({ length: 40 }, (_, n): [TraceSegment, TraceSegment] => [
      ingressSegment({ segmentId: `i${n}`, flowTraceId: flowId(n), expects: [expected(H2, "h2", 5, n)] }),
      egressSegment(H2, "h2", n, { segmentId: `e${n}`, flowTraceId: flowId(n) }),
    ]);
    // Every host delivers to every server.
    const added = await Promise.all(
      parts.flatMap(([ingress, egress]) => [a.add([ingress]), b.add([egress]), b.add([ingress]), a.add([egress])]),
    );
    assert.equal(
      added.reduce((sum, x) => sum + x.duplicates, 0),
      80,
    );
    for (const store of [a, b]) {
      const { flows } = await store.flows(REQUEST, { limit: 100, verdict: "delivered", completeness: "complete" });
      assert.equal(flows.length, 40);
    }
    await eventually(() => assert.deepEqual(heard[1]?.at(-1)?.id, heard[0]?.at(-1)?.id));
    for (const events of heard) {
      const numbers = events.map((e) => e.id);
      assert.deepEqual(
        numbers,
        [...new Set(numbers)].toSorted((x, y) => x - y),
      );
      assert.equal(new Set(events.map((e) => e.flowTraceId)).size, 40);
      assert.ok(events.every((e) => e.trace !== null));
    }
    assert.deepEqual(
      heard[0]?.map((e) => e.id),
      heard[1]?.map((e) => e.id),
    );
  });

  it("that is lost makes the store unavailable; afterwards everything is there, and servers hear of each other", async (t) => {
    const own = await PostgresServer.make();
    const [a, b] = [open(own.url), open(own.url)];
    t.after(async () => {
      await Promise.all([a.stop(), b.stop()]);
      await own.remove();
    });
    await a.start();
    await b.start();
    await a.add([one(1)]);
    const heard: string[] = [];
    b.subscribe(null, (e) => heard.push(e.flowTraceId));
    await own.stop();
    const away = { code: "STORE_UNAVAILABLE", message: /the trace store does not answer/ };
    await assert.rejects(a.add([one(2)]), away);
    await assert.rejects(a.flows(REQUEST, { limit: 5 }), away);
    await assert.rejects(a.since(null, 0), away);
    await own.start();
    await eventually(async () => {
      const added = await a.add([one(2)]).catch(() => null);
      assert.deepEqual(added?.changed.concat(added.duplicates > 0 ? [flowId(2)] : []), [flowId(2)]);
    });
    assert.equal((await b.flows(REQUEST, { limit: 5 })).flows.length, 2);
    await eventually(() => assert.equal(heard.at(-1), flowId(2)));
  });

  it("may be away when the store starts", async (t) => {
    const own = await PostgresServer.make();
    await own.stop();
    const store = open(own.url);
    t.after(async () => {
      await store.stop();
      await own.remove();
    });
    await assert.rejects(store.start(), { code: "STORE_UNAVAILABLE" });
    await own.start();
    assert.deepEqual((await store.add([one(1)])).changed, [flowId(1)]);
  });

  it("with tables of a later version is refused", async (t) => {
    const url = await newTables();
    const store = open(url);
    t.after(() => store.stop());
    await store.start();
    await store.stop();
    await run(url, "INSERT INTO migration (version) VALUES (99)");
    await assert.rejects(store.start(), { code: "CONFLICT", message: /version 99/ });
  });
});
