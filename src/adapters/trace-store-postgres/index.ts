import { setImmediate } from "node:timers/promises";
import { SqlTraceStore, type SqlTraceStoreOptions } from "#adapters/trace-store-sql";
import { PostgresDatabase, type PostgresOptions } from "./database.ts";

export type PostgresTraceStoreOptions = Omit<SqlTraceStoreOptions, "pause"> & PostgresOptions;

/** Flow traces in PostgreSQL, shared by several API servers: each of them may take any delivery and serve any reader. */
export class PostgresTraceStore extends SqlTraceStore {
  constructor(options: PostgresTraceStoreOptions) {
    super(new PostgresDatabase(options), { ...options, pause: setImmediate });
  }
}
