export { migrate, SCHEMA_VERSION, type SqlWords, type Table, type TableName, tableOf } from "./schema.ts";
export type { Sql, SqlDatabase, SqlParam, SqlRow, SqlValue } from "./sql.ts";
export { SqlTraceStore, type SqlTraceStoreOptions } from "./store.ts";
