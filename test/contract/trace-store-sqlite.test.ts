import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { SqliteTraceStore } from "#adapters/trace-store-sqlite";
import type { TraceSegment } from "#core/tracing";
import { droppedSegment, START_MS } from "../support/tracing-example.ts";
import { flowId, requestId } from "../support/tracing-samples.ts";
import { traceStoreContract } from "./trace-store.ts";

const temporary = (): string => mkdtempSync(join(tmpdir(), "midotrace-traces-"));
const CLOCK = { nowMs: () => START_MS, monotonicMs: () => 0 };

traceStoreContract("SQLite", async (bounds) => {
  const directory = temporary();
  let now = START_MS;
  const clock = { nowMs: () => now, monotonicMs: () => now - START_MS };
  const opened: SqliteTraceStore[] = [];
  const open = async (): Promise<SqliteTraceStore> => {
    await opened.at(-1)?.stop();
    const store = new SqliteTraceStore(directory, { clock, ...bounds });
    opened.push(store);
    await store.start();
    return store;
  };
  return {
    store: await open(),
    advance: (ms) => {
      now += ms;
    },
    again: open,
    close: async () => {
      await opened.at(-1)?.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
});

describe("the file of a trace store", () => {
  it("belongs to one process at a time", async (t) => {
    const directory = temporary();
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const [first, second] = [1, 2].map(() => new SqliteTraceStore(directory, { clock: CLOCK }));
    assert.ok(first !== undefined && second !== undefined);
    await first.start();
    await assert.rejects(second.start(), { code: "STORE_UNAVAILABLE", message: /in use by process \d+/ });
    await first.stop();
    await second.start();
    await second.stop();
  });

  it("of a later version is refused, and left as it is", async (t) => {
    const directory = temporary();
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const store = new SqliteTraceStore(directory, { clock: CLOCK });
    await store.start();
    await store.stop();
    const file = new DatabaseSync(join(directory, "traces.sqlite"));
    file.exec("INSERT INTO migration (version) VALUES (99)");
    file.close();
    await assert.rejects(store.start(), { code: "CONFLICT", message: /version 99.*later midotrace/ });
    await assert.rejects(
      store.add([]).then(() => store.orphans()),
      { code: "CONFLICT" },
    );
  });

  it("keeps a block of segments while one of them is there, and no longer", async (t) => {
    const directory = temporary();
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const store = new SqliteTraceStore(directory, { clock: CLOCK, maxFlows: 5 });
    const flow = (n: number): TraceSegment =>
      droppedSegment({ segmentId: `h1 1 ${n}`, flowTraceId: flowId(n), startedAtMs: START_MS + n });
    const inBlocks = async (): Promise<unknown> => {
      await store.stop();
      const file = new DatabaseSync(join(directory, "traces.sqlite"));
      const sums = file.prepare(
        "SELECT (SELECT count(*) FROM block) AS blocks, (SELECT sum(segments) FROM block) AS counted, (SELECT count(*) FROM segment) AS there",
      );
      const row = { ...sums.get() };
      file.close();
      await store.start();
      return row;
    };
    await store.start();
    t.after(() => store.stop());
    await store.add(Array.from({ length: 3 }, (_, n) => flow(n + 1)));
    await store.pin(flowId(2), true);
    assert.deepEqual(await inBlocks(), { blocks: 1, counted: 3, there: 3 });
    for (let n = 4; n <= 40; n += 4) await store.add([flow(n), flow(n + 1), flow(n + 2), flow(n + 3)]);
    // The newest five are in two blocks, the pinned one keeps its own.
    assert.deepEqual(await inBlocks(), { blocks: 3, counted: 6, there: 6 });
    assert.equal((await store.flow(flowId(2)))?.segments[0]?.segmentId, "h1 1 2");
    await store.forgetRequest(requestId(0xe1));
    await store.settle();
    assert.deepEqual(await inBlocks(), { blocks: 0, counted: null, there: 0 });
  });

  it("with tables from before the first release is refused, and left as it is", async (t) => {
    const directory = temporary();
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const file = new DatabaseSync(join(directory, "traces.sqlite"));
    file.exec("CREATE TABLE migration (version INTEGER PRIMARY KEY); INSERT INTO migration (version) VALUES (1)");
    file.close();
    const store = new SqliteTraceStore(directory, { clock: CLOCK });
    await assert.rejects(store.start(), { code: "CONFLICT", message: /version 1, from before the first release/ });
    const after = new DatabaseSync(join(directory, "traces.sqlite"));
    assert.deepEqual(after.prepare("SELECT version FROM migration").all().length, 1);
    after.close();
  });

  it("that is damaged makes the store unavailable, and not empty", async (t) => {
    const directory = temporary();
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const { writeFileSync } = await import("node:fs");
    writeFileSync(join(directory, "traces.sqlite"), "this is no database, and was never one".repeat(100));
    const store = new SqliteTraceStore(directory, { clock: CLOCK });
    await assert.rejects(store.start(), { code: "STORE_UNAVAILABLE", message: /cannot open the trace store/ });
  });
});
