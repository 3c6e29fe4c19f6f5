import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const DEBIAN = "/usr/lib/postgresql";
/** The server does not run as root. */
const USER = "postgres";

function programs(): string | null {
  if (!existsSync(DEBIAN)) return null;
  const versions = readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a));
  return versions.map((v) => join(DEBIAN, v, "bin")).find((bin) => existsSync(join(bin, "initdb"))) ?? null;
}

/** Null, or why there can be no PostgreSQL server here. */
export function postgresMissing(): string | null {
  return programs() === null ? "PostgreSQL is not installed: apt-get install postgresql" : null;
}

/** Whom the server runs as: nobody special when the tests are not root themselves. */
function account(): { readonly uid: number; readonly gid: number } | null {
  if (process.getuid?.() !== 0) return null;
  const id = (what: string): number => Number(execFileSync("id", [what, USER], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

/** A real server with a directory of its own, reached by a socket in there; nothing of it is left when it is removed. */
export class PostgresServer {
  readonly url: string;
  private readonly directory: string;
  private readonly bin: string;
  private readonly as = account();
  private child: ChildProcess | null = null;

  private constructor(bin: string) {
    this.bin = bin;
    this.directory = mkdtempSync(join(tmpdir(), "mdt-pg-"));
    if (this.as !== null) chownSync(this.directory, this.as.uid, this.as.gid);
    this.url = `postgres://midotrace@localhost/postgres?host=${encodeURIComponent(this.directory)}`;
  }

  static async make(): Promise<PostgresServer> {
    const bin = programs();
    if (bin === null) throw new Error(postgresMissing() ?? "");
    const server = new PostgresServer(bin);
    const data = join(server.directory, "data");
    const options = ["-D", data, "-U", "midotrace", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
    execFileSync(join(bin, "initdb"), options, { stdio: "ignore", cwd: server.directory, ...server.as });
    await server.start();
    return server;
  }

  async start(): Promise<void> {
    const settings = ["listen_addresses=", "fsync=off", "max_connections=50", "shared_buffers=64MB"];
    const options = ["-D", join(this.directory, "data"), "-k", this.directory, ...settings.flatMap((s) => ["-c", s])];
    const stdio: ["ignore", "ignore", "pipe"] = ["ignore", "ignore", "pipe"];
    const child = spawn(join(this.bin, "postgres"), options, { stdio, cwd: this.directory, ...this.as });
    this.child = child;
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      said.push(line);
      if (line.includes("ready to accept connections")) {
        child.stderr.resume();
        return;
      }
    }
    throw new Error(`the server did not start: ${said.join("\n")}`);
  }

  /** At once, as if the machine had lost it: every connection breaks. */
  async stop(): Promise<void> {
    const { child } = this;
    this.child = null;
    if (child === null || child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGQUIT");
    await ended;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
