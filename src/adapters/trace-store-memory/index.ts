import { setImmediate } from "node:timers/promises";
import { SqlTraceStore, type SqlTraceStoreOptions } from "#adapters/trace-store-sql";
import { SqliteDatabase } from "#adapters/trace-store-sqlite";

export type MemoryTraceStoreOptions = Omit<SqlTraceStoreOptions, "pause">;

/** Of each tenant, where nothing is said: memory is dearer than a disk. */
const MAX_FLOWS = 10_000;

/** The trace store of one process without a file: for the lab, for tests, and for who need not remember over a restart. */
export class MemoryTraceStore extends SqlTraceStore {
  constructor(options: MemoryTraceStoreOptions) {
    super(new SqliteDatabase(null), { maxFlows: MAX_FLOWS, ...options, pause: setImmediate });
  }
}
