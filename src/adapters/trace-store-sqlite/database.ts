import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
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
import { MidotraceError } from "#core/base";

const FILE = "traces.sqlite";
const PID_FILE = "traces.pid";
/** The primary result code; extended ones have it in their lowest byte. */
const SQLITE_BUSY = 5;
/** Statements that are kept prepared. */
const MAX_STATEMENTS = 500;

const WORDS: SqlWords = {
  types: { int: "INTEGER", text: "TEXT", blob: "BLOB" },
  // What has a key of several columns lies in its order, without a second tree beside it.
  suffix: ({ key, columns }) =>
    key.length > 1 || columns[key[0] ?? ""] !== "int" ? " STRICT, WITHOUT ROWID" : " STRICT",
};

/**
 * One SQLite file (`DIR/traces.sqlite`) in write-ahead mode, or a database in memory. `synchronous=FULL`: what was answered
 * is on the disk. The file belongs to this process while it is open, by SQLite's own exclusive lock.
 */
export class SqliteDatabase implements SqlDatabase {
  private readonly directory: string | null;
  private db: DatabaseSync | null = null;
  private readonly statements = new Map<string, StatementSync>();
  private last: Promise<unknown> = Promise.resolve();

  /** @param directory null: in memory, and gone with the process. */
  constructor(directory: string | null) {
    this.directory = directory === null ? null : resolve(directory);
  }

  /** @throws MidotraceError STORE_UNAVAILABLE when another process has it open, or it cannot be read; CONFLICT */
  async start(): Promise<void> {
    if (this.db !== null) return;
    try {
      this.db = this.open();
      await this.write((sql) => migrate((text) => sql.all(text), WORDS));
    } catch (cause) {
      await this.stop();
      if (cause instanceof MidotraceError) throw cause;
      throw unavailable(`cannot open the trace store in ${this.place()}: ${String(cause)}`, cause);
    }
  }

  async stop(): Promise<void> {
    await this.last.catch(() => undefined);
    this.statements.clear();
    const { db, directory } = this;
    if (db === null) return;
    this.db = null;
    if (directory !== null) rmSync(join(directory, PID_FILE), { force: true });
    db.close();
  }

  write<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.inTurn(async () => {
      const db = this.opened();
      db.exec("BEGIN IMMEDIATE");
      try {
        const value = await work(this.sql);
        db.exec("COMMIT");
        return value;
      } catch (error) {
        if (db.isTransaction) db.exec("ROLLBACK");
        throw translated(error);
      }
    });
  }

  read<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    return this.inTurn(async () => {
      this.opened();
      try {
        return await work(this.sql);
      } catch (error) {
        throw translated(error);
      }
    });
  }

  /** There is no other process. */
  async announce(): Promise<void> {}

  onAnnounced(): void {}

  private readonly sql: Sql = {
    all: async (text, ...params) => this.all(text, params),
    insert: async (table, rows, conflict = "") => this.insert(table, rows, conflict),
    remove: async (table, columns, keys) => this.remove(table, columns, keys),
  };

  private all(text: string, params: readonly SqlParam[]): readonly SqlRow[] {
    const values = params.map((p): SqlValue => (isList(p) ? JSON.stringify(p) : p));
    return this.prepare(text.replaceAll("IN (??)", "IN (SELECT value FROM json_each(?))")).all(...values) as SqlRow[];
  }

  private insert(table: TableName, rows: readonly (readonly SqlValue[])[], conflict: string): void {
    if (rows.length === 0) return;
    const columns = Object.keys(tableOf(table).columns);
    const marks = columns.map(() => "?").join(", ");
    const statement = this.prepare(`INSERT INTO ${table} (${columns.join(", ")}) VALUES (${marks}) ${conflict}`);
    for (const row of rows) statement.run(...row);
  }

  private remove(table: TableName, columns: readonly string[], keys: readonly (readonly SqlValue[])[]): void {
    if (keys.length === 0) return;
    const statement = this.prepare(`DELETE FROM ${table} WHERE ${columns.map((c) => `${c} = ?`).join(" AND ")}`);
    for (const key of keys) statement.run(...key);
  }

  private prepare(text: string): StatementSync {
    const known = this.statements.get(text);
    if (known !== undefined) return known;
    if (this.statements.size >= MAX_STATEMENTS) this.statements.clear();
    const made = this.opened().prepare(text);
    this.statements.set(text, made);
    return made;
  }

  /** One after the other: there is one connection. */
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.last.then(work, work);
    this.last = turn.catch(() => undefined);
    return turn;
  }

  private opened(): DatabaseSync {
    if (this.db === null) throw unavailable(`the trace store in ${this.place()} is not open`);
    return this.db;
  }

  private place(): string {
    return this.directory ?? "memory";
  }

  private open(): DatabaseSync {
    if (this.directory === null) return new DatabaseSync(":memory:");
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    const db = new DatabaseSync(join(this.directory, FILE));
    try {
      db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      db.exec("PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 4000");
      db.exec("BEGIN EXCLUSIVE; COMMIT");
    } catch (cause) {
      db.close();
      if (!(cause instanceof Error && "errcode" in cause && Number(cause.errcode) % 256 === SQLITE_BUSY)) throw cause;
      throw unavailable(`the trace store in ${this.directory} is in use by ${this.holder()}`, cause);
    }
    writeFileSync(join(this.directory, PID_FILE), `${process.pid}\n`);
    return db;
  }

  private holder(): string {
    try {
      return `process ${Number.parseInt(readFileSync(join(this.directory ?? "", PID_FILE), "utf8"), 10)}`;
    } catch {
      return "another process";
    }
  }
}

const isList = (p: SqlParam): p is readonly string[] | readonly number[] => Array.isArray(p);

/** Result codes of statements that are wrong: defects of ours. */
const DEFECTS: ReadonlySet<number> = new Set([1, 19, 20, 21, 25]);

/** A full or broken disk is nobody's defect; what the work itself refused stays what it is. */
function translated(error: unknown): unknown {
  if (!(error instanceof Error) || !("errcode" in error) || DEFECTS.has(Number(error.errcode) % 256)) return error;
  return unavailable(`the trace store cannot be used: ${error.message}`, error);
}

function unavailable(message: string, cause?: unknown): MidotraceError {
  return new MidotraceError("STORE_UNAVAILABLE", message, [], cause === undefined ? {} : { cause });
}
