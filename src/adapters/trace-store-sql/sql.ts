import type { TableName } from "./schema.ts";

export type SqlValue = string | number | Uint8Array | null;
export type SqlRow = Readonly<Record<string, SqlValue>>;
/** A list stands where the text says `IN (??)`. */
export type SqlParam = SqlValue | readonly string[] | readonly number[];

/** Statements within one transaction. Texts have `?` for a parameter and `IN (??)` for a list. */
export interface Sql {
  all(text: string, ...params: SqlParam[]): Promise<readonly SqlRow[]>;
  /** Rows in the order of the table's columns; `conflict` is the text after VALUES. No row may conflict with another. */
  insert(table: TableName, rows: readonly (readonly SqlValue[])[], conflict?: string): Promise<void>;
  /** Deletes the rows whose `columns`, which begin the primary key, have one of these values. */
  remove(table: TableName, columns: readonly string[], keys: readonly (readonly SqlValue[])[]): Promise<void>;
}

/**
 * A database with the tables of `schema.ts`. Every promise rejects with MidotraceError STORE_UNAVAILABLE while it cannot be
 * reached.
 */
export interface SqlDatabase {
  /** Brings the tables to the version of `schema.ts`. @throws MidotraceError CONFLICT when they are of a later one. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** One transaction, with no other of any process beside it; rolled back when the work rejects. */
  write<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  read<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** Tells the other processes that events up to this id are there, when the transaction is done. */
  announce(sql: Sql, eventId: number): Promise<void>;
  /** Called when another process announced, and when it may have been missed. One listener. */
  onAnnounced(listener: () => void): void;
}
