import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { SqliteTraceStore } from "#adapters/trace-store-sqlite";
import { START_MS } from "../support/tracing-example.ts";
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

  it("that is damaged makes the store unavailable, and not empty", async (t) => {
    const directory = temporary();
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const { writeFileSync } = await import("node:fs");
    writeFileSync(join(directory, "traces.sqlite"), "this is no database, and was never one".repeat(100));
    const store = new SqliteTraceStore(directory, { clock: CLOCK });
    await assert.rejects(store.start(), { code: "STORE_UNAVAILABLE", message: /cannot open the trace store/ });
  });
});
