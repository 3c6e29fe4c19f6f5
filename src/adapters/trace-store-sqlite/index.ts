import { setImmediate } from "node:timers/promises";
import { SqlTraceStore, type SqlTraceStoreOptions } from "#adapters/trace-store-sql";
import { SqliteDatabase } from "./database.ts";

export { SqliteDatabase } from "./database.ts";

/** Flow traces in one SQLite file. */
export class SqliteTraceStore extends SqlTraceStore {
  /** @param directory where the file is, or will be. */
  constructor(directory: string, options: Omit<SqlTraceStoreOptions, "pause">) {
    super(new SqliteDatabase(directory), { ...options, pause: setImmediate });
  }
}
