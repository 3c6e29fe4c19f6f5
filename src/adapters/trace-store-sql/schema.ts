import { MidotraceError } from "#core/base";
import type { SqlRow } from "./sql.ts";

/*
 * The tables, as a value from which each database's own words are made. `int` is a 64-bit integer that stays below 2^53.
 *
 * A flow is one row of `flow`, with its segments as they came in `segment`. Flows that are alike (same hosts, devices,
 * decisions, end) share a `shape`; what a viewer sees of a shape is a `path`. Lists by anything that belongs to the way are
 * answered from shapes, of which there are few; lists by what is different in each packet from `posting`.
 */
type ColumnType = "int" | "text" | "blob";

export interface Table {
  readonly columns: Readonly<Record<string, ColumnType | `${ColumnType}?`>>;
  /** The first is the primary key. */
  readonly key: readonly string[];
  readonly unique?: readonly string[];
  readonly indexes?: Readonly<Record<string, readonly string[]>>;
}

/** Tables of an earlier one were never in a release: they are refused. */
const FIRST_VERSION = 2;
/** Grows with every change of the tables; `migrations` has a step for each. */
export const SCHEMA_VERSION = 2;

export const TABLES = {
  /** Numbers that only grow: place, event, and one for each kind of row. */
  counter: { columns: { name: "text", value: "int" }, key: ["name"] },
  /** `flows` and `bytes` without pinned ones. */
  tenant: {
    columns: { no: "int", name: "text", flows: "int", bytes: "int", pins: "int", evicted: "int" },
    key: ["no"],
    unique: ["name"],
  },
  /** `state`: 0 asked for, 1 forgotten, 2 and nothing of it is left. `owner`: tenant of its device, empty while not known. */
  request: { columns: { no: "int", id: "text", state: "int", owner: "text" }, key: ["no"], unique: ["id"] },
  /** A path as some viewer sees it, as JSON. */
  path: { columns: { no: "int", hash: "text", body: "text" }, key: ["no"], unique: ["hash"] },
  shape: { columns: { no: "int", hash: "text" }, key: ["no"], unique: ["hash"] },
  /** `viewer`: "a" the administrator, "t" and a tenant, "t" alone any other tenant. `key_seen`: the packet's key is shown. */
  shape_view: {
    columns: { shape: "int", viewer: "text", path: "int", key_seen: "int" },
    key: ["shape", "viewer"],
  },
  /** `place`: order of arrival, the cursor. `due_ms`: when what is awaited is overdue. `terms`, `copies`: keys to delete by. */
  flow: {
    columns: {
      place: "int",
      id: "text",
      since_ms: "int",
      started_ms: "int",
      tenant: "int",
      shape: "int",
      bytes: "int",
      pinned: "int",
      due_ms: "int?",
      conversation: "text?",
      forward: "int",
      terms: "text",
      copies: "text",
    },
    key: ["place"],
    unique: ["id"],
    indexes: {
      flow_by_tenant: ["tenant", "pinned", "place"],
      flow_by_due: ["due_ms"],
      flow_by_conversation: ["conversation", "since_ms"],
    },
  },
  flow_request: {
    columns: { request: "int", place: "int", shape: "int", started_ms: "int" },
    key: ["request", "place"],
    indexes: {
      flow_request_by_shape: ["request", "shape", "place", "started_ms"],
      flow_request_by_time: ["request", "started_ms", "shape", "place"],
      flow_request_by_place: ["place"],
    },
  },
  /** One segment as it came: JSON, `length` bytes of an unpacked block from `start` on. */
  segment: {
    columns: { place: "int", id: "text", block: "int", start: "int", length: "int" },
    key: ["place", "id"],
  },
  /** `segments`: how many of them are still there. */
  block: { columns: { no: "int", segments: "int", body: "blob" }, key: ["no"] },
  /** `seen`: the owner of the request is shown the term. */
  posting: {
    columns: { request: "int", term: "text", place: "int", shape: "int", started_ms: "int", seen: "int" },
    key: ["request", "term", "place"],
    // For counts by path of a term that most flows have: without it, all of them would be sorted.
    indexes: { posting_by_shape: ["request", "term", "shape", "started_ms", "seen"] },
  },
  /** Between which places the flows that began in a minute are. */
  minute: {
    columns: { request: "int", minute: "int", first_place: "int", last_place: "int" },
    key: ["request", "minute"],
  },
  shape_count: {
    columns: { request: "int", shape: "int", flows: "int", first_ms: "int", last_ms: "int" },
    key: ["request", "shape"],
  },
  /** Copies that ingress hosts sent, for orphans that come later. */
  copy: { columns: { name: "text", place: "int" }, key: ["name", "place"] },
  orphan: {
    columns: { no: "int", id: "text", name: "text?", body: "blob" },
    key: ["no"],
    unique: ["id"],
    indexes: { orphan_by_name: ["name"] },
  },
  loss: {
    columns: { no: "int", id: "text?", host: "text", count: "int", because: "text", at_ms: "int", about: "text?" },
    key: ["no"],
  },
  event: { columns: { id: "int", change: "text", flow: "text", requests: "text" }, key: ["id"] },
  /** Flows that were thrown out. */
  expired: { columns: { no: "int", id: "text" }, key: ["no"], unique: ["id"] },
} as const satisfies Readonly<Record<string, Table>>;

export type TableName = keyof typeof TABLES;
export const TABLE_NAMES = Object.keys(TABLES) as readonly TableName[];

export function tableOf(name: TableName): Table {
  return TABLES[name];
}

export interface SqlWords {
  readonly types: Readonly<Record<ColumnType, string>>;
  /** After the closing bracket of a table with this primary key. */
  readonly suffix: (table: Table) => string;
}

/** The statements that make the tables. */
export function createTables(words: SqlWords): string[] {
  return TABLE_NAMES.flatMap((name) => {
    const table = tableOf(name);
    const columns = Object.entries(table.columns).map(([column, type]) => {
      const bare = type.replace("?", "") as ColumnType;
      return `${column} ${words.types[bare]}${type.endsWith("?") ? "" : " NOT NULL"}`;
    });
    const unique = table.unique === undefined ? [] : [`UNIQUE (${table.unique.join(", ")})`];
    const body = [...columns, `PRIMARY KEY (${table.key.join(", ")})`, ...unique].join(", ");
    const indexes = Object.entries(table.indexes ?? {}).map(
      ([index, on]) => `CREATE INDEX ${index} ON ${name} (${on.join(", ")})`,
    );
    return [`CREATE TABLE ${name} (${body})${words.suffix(table)}`, ...indexes];
  });
}

/** Statements that make the tables of `FIRST_VERSION`, and those that bring them to each later one. What is released is never changed. */
export function migrations(words: SqlWords): readonly (readonly string[])[] {
  return [createTables(words)];
}

/** One row for each step that was taken. */
export const MIGRATION_TABLE = "CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY)";

/**
 * Brings the tables to `SCHEMA_VERSION`, within a transaction that nobody else is beside.
 * @throws MidotraceError CONFLICT when they are of a later version, which an older program would spoil, or of one that was never
 * in a release.
 */
export async function migrate(run: (text: string) => Promise<readonly SqlRow[]>, words: SqlWords): Promise<void> {
  await run(MIGRATION_TABLE);
  const [row] = await run("SELECT max(version) AS version FROM migration");
  const version = Number(row?.["version"] ?? 0);
  if (version > SCHEMA_VERSION)
    throw new MidotraceError(
      "CONFLICT",
      `the trace store has tables of version ${version}, and this program knows them up to ${SCHEMA_VERSION}: use a later midotrace, or another store`,
    );
  if (version > 0 && version < FIRST_VERSION)
    throw new MidotraceError(
      "CONFLICT",
      `the trace store has tables of version ${version}, from before the first release: use another store, or remove this one`,
    );
  for (const [i, statements] of migrations(words).entries()) {
    const next = FIRST_VERSION + i;
    if (next <= version) continue;
    for (const text of statements) await run(text);
    await run(`INSERT INTO migration (version) VALUES (${next})`);
  }
}
