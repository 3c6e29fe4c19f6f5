/** The trace store of a URL, for every program that has one. */
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { PostgresTraceStore } from "#adapters/trace-store-postgres";
import type { SqlTraceStore, SqlTraceStoreOptions } from "#adapters/trace-store-sql";
import { SqliteTraceStore } from "#adapters/trace-store-sqlite";
import { MidotraceError, type Scheduler } from "#core/base";

export interface OpenTraceStoreOptions extends Omit<SqlTraceStoreOptions, "pause"> {
  readonly scheduler: Scheduler;
}

/** Servers elsewhere, which may be away when the program starts. */
export const isRemoteTraceStore = (url: string): boolean => /^postgres(ql)?:/.test(url);

/**
 * `memory:`, `file:DIR`, or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`; to be started by the caller.
 * @throws MidotraceError USAGE for a URL that no trace store has.
 */
export function openTraceStore(url: string, options: OpenTraceStoreOptions): SqlTraceStore {
  if (isRemoteTraceStore(url)) return new PostgresTraceStore({ ...options, url });
  if (url === "memory:") return new MemoryTraceStore(options);
  const directory = /^file:(.+)$/s.exec(url)?.[1];
  if (directory !== undefined) return new SqliteTraceStore(directory, options);
  throw new MidotraceError(
    "USAGE",
    `no trace store is called ${JSON.stringify(url)}: use memory:, file:DIR or postgres://USER:PASSWORD@HOST:PORT/DATABASE`,
  );
}
