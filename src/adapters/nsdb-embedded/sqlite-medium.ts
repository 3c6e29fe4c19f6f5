import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type NsdbNode, NsdbUnavailable } from "#core/nsdb";
import type { Medium } from "./medium.ts";

/** Kept in SQLite's user_version; a file with another number is not ours to touch. */
const SCHEMA_VERSION = 1;
/** The primary result code; extended ones have it in their lowest byte. */
const SQLITE_BUSY = 5;

const SCHEMA = `
  CREATE TABLE node (path TEXT PRIMARY KEY, data TEXT NOT NULL, version INTEGER NOT NULL, created_zxid INTEGER NOT NULL) STRICT;
  CREATE TABLE last_commit (only_row INTEGER PRIMARY KEY CHECK (only_row = 0), zxid INTEGER NOT NULL) STRICT;
  INSERT INTO last_commit VALUES (0, 0);
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

/**
 * `file:DIR`: one SQLite file in write-ahead mode, `synchronous=FULL` (an fsync per write()).
 *
 * Possession is SQLite's own exclusive lock on the file, held as long as it is open: the kernel drops it with the process
 * however that ends, and it holds across network namespaces (an abstract socket would not). The pid file beside it only
 * says who it is. In one process, do not open the database file by any way but SQLite: POSIX drops a process's locks on a
 * file when *any* of its descriptors for it is closed.
 */
export class SqliteMedium implements Medium {
  private readonly directory: string;
  private readonly pidFile: string;
  private db: DatabaseSync | null = null;
  private statements: {
    readonly put: StatementSync;
    readonly drop: StatementSync;
    readonly zxid: StatementSync;
  } | null = null;

  constructor(directory: string) {
    this.directory = resolve(directory);
    this.pidFile = join(this.directory, "nsdb.pid");
  }

  /** @throws NsdbUnavailable when another process (or this one) has the directory open, or its contents are not readable. */
  open(): { readonly zxid: number; readonly nodes: Iterable<NsdbNode> } {
    try {
      const created = mkdirSync(this.directory, { recursive: true, mode: 0o700 });
      const db = new DatabaseSync(join(this.directory, "nsdb.sqlite"));
      this.db = db;
      this.possess(db);
      fsyncDirectory(this.directory);
      if (created !== undefined) fsyncDirectory(dirname(created));
      this.statements = {
        put: db.prepare("INSERT OR REPLACE INTO node VALUES (?, ?, ?, ?)"),
        drop: db.prepare("DELETE FROM node WHERE path = ?"),
        zxid: db.prepare("UPDATE last_commit SET zxid = ?"),
      };
      return { zxid: Number(db.prepare("SELECT zxid FROM last_commit").get()?.["zxid"]), nodes: readNodes(db) };
    } catch (cause) {
      this.close();
      if (cause instanceof NsdbUnavailable) throw cause;
      throw new NsdbUnavailable(`cannot open the store in ${this.directory}: ${String(cause)}`, { cause });
    }
  }

  write(zxid: number, nodes: ReadonlyMap<string, NsdbNode | null>, beforeDurable: () => void): void {
    const { db, statements } = this;
    if (db === null || statements === null) throw new NsdbUnavailable(`the store in ${this.directory} is not open`);
    db.exec("BEGIN IMMEDIATE");
    for (const [path, node] of nodes) {
      if (node === null) statements.drop.run(path);
      else statements.put.run(path, node.data, node.version, node.createdZxid);
    }
    statements.zxid.run(zxid);
    beforeDurable();
    db.exec("COMMIT");
  }

  close(): void {
    const { db } = this;
    if (db === null) return;
    const possessed = this.statements !== null;
    this.db = null;
    this.statements = null;
    if (possessed) rmSync(this.pidFile, { force: true });
    try {
      db.close(); // rolls back what is not committed
    } catch {
      // The caller is done with it, and whoever opens it next will see for himself.
    }
  }

  private possess(db: DatabaseSync): void {
    try {
      db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN EXCLUSIVE");
    } catch (cause) {
      if (!(cause instanceof Error && "errcode" in cause && Number(cause.errcode) % 256 === SQLITE_BUSY)) throw cause;
      throw new NsdbUnavailable(`the store in ${this.directory} is in use by ${this.holder()}`, { cause });
    }
    writeFileSync(this.pidFile, `${process.pid}\n`);
    const version = Number(db.prepare("PRAGMA user_version").get()?.["user_version"]);
    if (version === 0) db.exec(SCHEMA);
    else if (version !== SCHEMA_VERSION) {
      throw new NsdbUnavailable(`the store in ${this.directory} has format ${version}, this is for ${SCHEMA_VERSION}`);
    }
    db.exec("COMMIT");
  }

  private holder(): string {
    try {
      const pid = Number.parseInt(readFileSync(this.pidFile, "utf8"), 10);
      if (pid === process.pid) return `this process (${pid})`;
      if (!Number.isNaN(pid)) return `process ${pid}`;
    } catch {
      // The holder has not written it yet.
    }
    return "another process";
  }
}

function* readNodes(db: DatabaseSync): Iterable<NsdbNode> {
  for (const row of db.prepare("SELECT path, data, version, created_zxid FROM node").iterate()) {
    yield {
      path: String(row["path"]),
      data: String(row["data"]),
      version: Number(row["version"]),
      createdZxid: Number(row["created_zxid"]),
      ephemeral: false,
    };
  }
}

/** Makes the names in a directory durable, as fsync of the files alone does not. */
function fsyncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
