import {
  migrate,
  type Sql,
  type SqlDatabase,
  type SqlParam,
  type SqlRow,
  type SqlValue,
  type SqlWords,
  type TableName,
  tableOf,
} from "#adapters/trace-store-sql";
import { type Cancel, MidotraceError, type Scheduler } from "#core/base";
import { Client, type ClientBase, type CustomTypesConfig, Pool, type PoolClient, types } from "pg";
import { away } from "./errors.ts";

const WORDS: SqlWords = { types: { int: "BIGINT", text: "TEXT", blob: "BYTEA" }, suffix: () => "" };

/** Held by whoever writes, in every process: places and event ids become visible in the order in which they are given. */
const WRITER_LOCK = 0x6d69_6474;
const CHANNEL = "midotrace_trace_events";
const RECONNECT_MS = 1_000;
/** Statements that are kept translated. */
const MAX_TEXTS = 500;

const TIMEOUTS = {
  connectionTimeoutMillis: 5_000,
  statement_timeout: 60_000,
  /** A server that hangs with the lock in its hands lets go of it. */
  idle_in_transaction_session_timeout: 30_000,
} as const;

export interface PostgresOptions {
  /** postgres://USER:PASSWORD@HOST:PORT/DATABASE, as libpq has it. */
  readonly url: string;
  readonly scheduler: Scheduler;
  readonly connections?: number;
}

/** A PostgreSQL database that several API servers share. Whoever writes tells the others by NOTIFY. */
export class PostgresDatabase implements SqlDatabase {
  private readonly options: PostgresOptions;
  private pool: Pool | null = null;
  private listening: Client | null = null;
  private reconnect: Cancel | null = null;
  private announced: () => void = () => undefined;
  private readonly texts = new Map<string, string>();

  constructor(options: PostgresOptions) {
    this.options = options;
  }

  /** @throws MidotraceError STORE_UNAVAILABLE while it cannot be reached; CONFLICT */
  async start(): Promise<void> {
    this.pool ??= this.makePool();
    await this.write((sql) => migrate((text) => sql.all(text), WORDS));
    if (this.listening === null) await this.listen();
  }

  async stop(): Promise<void> {
    this.reconnect?.cancel();
    const { pool, listening } = this;
    this.pool = null;
    this.listening = null;
    await listening?.end().catch(() => undefined);
    await pool?.end().catch(() => undefined);
  }

  write<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.withClient(async (client) => {
      await client.query("BEGIN");
      await client.query("SELECT pg_advisory_xact_lock($1)", [WRITER_LOCK]);
      const value = await work(this.sqlOf(client));
      await client.query("COMMIT");
      return value;
    });
  }

  read<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.withClient((client) => work(this.sqlOf(client)));
  }

  async announce(sql: Sql, eventId: number): Promise<void> {
    await sql.all("SELECT pg_notify(?, ?)", CHANNEL, String(eventId));
  }

  onAnnounced(listener: () => void): void {
    this.announced = listener;
  }

  private makePool(): Pool {
    const { url: connectionString, connections: max = 8 } = this.options;
    const pool = new Pool({ connectionString, max, ...TIMEOUTS, types: TYPES });
    // A connection that breaks while nobody uses it is replaced when somebody does.
    pool.on("error", () => undefined);
    return pool;
  }

  private async withClient<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    if (this.pool === null) throw new MidotraceError("STORE_UNAVAILABLE", "the trace store is not open");
    let client: PoolClient | null = null;
    try {
      client = await this.pool.connect();
      // Said again by the statement that it breaks.
      client.on("error", ignored);
      const value = await work(client);
      client.off("error", ignored);
      client.release();
      return value;
    } catch (error) {
      // Whatever it was in the middle of ends with the connection.
      client?.release(true);
      throw away(error);
    }
  }

  private sqlOf(client: ClientBase): Sql {
    return {
      all: async (text, ...params) => {
        const { rows } = await client.query(this.translated(text), params.map(valueOf));
        return rows as SqlRow[];
      },
      insert: (table, rows, conflict = "") => insert(client, table, rows, conflict),
      remove: (table, columns, keys) => remove(client, table, columns, keys),
    };
  }

  /** `?` becomes `$1` and so on. */
  private translated(text: string): string {
    const known = this.texts.get(text);
    if (known !== undefined) return known;
    let n = 0;
    const made = text.replaceAll("IN (??)", "= ANY (?)").replaceAll("?", () => `$${++n}`);
    if (this.texts.size >= MAX_TEXTS) this.texts.clear();
    this.texts.set(text, made);
    return made;
  }

  private async listen(): Promise<void> {
    const client = new Client({ connectionString: this.options.url, ...TIMEOUTS, keepAlive: true });
    const lost = (): void => {
      if (this.listening !== client) return;
      this.listening = null;
      this.reconnectLater();
    };
    client.on("error", lost);
    client.on("end", lost);
    client.on("notification", () => this.announced());
    this.listening = client;
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
    } catch {
      lost();
      return;
    }
    // What was announced while nobody listened.
    this.announced();
  }

  private reconnectLater(): void {
    if (this.pool === null) return;
    this.reconnect = this.options.scheduler.after(RECONNECT_MS, () => void this.listen());
  }
}

const ignored = (): void => undefined;

/** 64-bit integers as numbers: none here is beyond 2^53. */
const TYPES: CustomTypesConfig = {
  getTypeParser: (
    ...[id, format]: Parameters<CustomTypesConfig["getTypeParser"]>
  ): ReturnType<CustomTypesConfig["getTypeParser"]> =>
    id === types.builtins.INT8 && format !== "binary" ? Number : types.getTypeParser(id, format),
};

const COLUMN_TYPES = { int: "bigint", text: "text", blob: "bytea" } as const;

function typeOf(table: TableName, column: string): string {
  const type = tableOf(table).columns[column] ?? "text";
  return COLUMN_TYPES[type.replace("?", "") as keyof typeof COLUMN_TYPES];
}

async function insert(
  client: ClientBase,
  table: TableName,
  rows: readonly (readonly SqlValue[])[],
  conflict: string,
): Promise<void> {
  if (rows.length === 0) return;
  const columns = Object.keys(tableOf(table).columns);
  const lists = columns.map((column, i) => `$${i + 1}::${typeOf(table, column)}[]`);
  const text = `INSERT INTO ${table} (${columns.join(", ")}) SELECT * FROM unnest(${lists.join(", ")}) ${conflict}`;
  await client.query(
    text,
    columns.map((_, i) => rows.map((row) => plain(row[i] ?? null))),
  );
}

async function remove(
  client: ClientBase,
  table: TableName,
  columns: readonly string[],
  keys: readonly (readonly SqlValue[])[],
): Promise<void> {
  if (keys.length === 0) return;
  const lists = columns.map((column, i) => `$${i + 1}::${typeOf(table, column)}[]`);
  const same = columns.map((column) => `t.${column} = k.${column}`);
  await client.query(
    `DELETE FROM ${table} t USING unnest(${lists.join(", ")}) AS k (${columns.join(", ")}) WHERE ${same.join(" AND ")}`,
    columns.map((_, i) => keys.map((key) => plain(key[i] ?? null))),
  );
}

const valueOf = (p: SqlParam): unknown =>
  Array.isArray(p) ? (p as readonly SqlValue[]).map(plain) : plain(p as SqlValue);

/** PostgreSQL's texts cannot have the character 0. */
const plain = (v: SqlValue): SqlValue =>
  typeof v === "string" && v.includes("\0") ? v.replaceAll("\0", "\u{fffd}") : v;
