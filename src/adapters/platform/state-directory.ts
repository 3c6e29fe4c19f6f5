import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MidotraceError } from "#core/base";

const STORE_IDENTITY = "store-identity";

/** The directory of what must outlive a restart of a daemon. Small files, each replaced whole. */
export class StateDirectory {
  readonly path: string;
  private readonly option: string;

  /** Nothing is made before there is something to keep. @param option that names it to the user: "--state-dir". */
  constructor(path: string, option: string) {
    this.path = path;
    this.option = option;
  }

  /** Without blanks around it; null when there is none. @throws the file system's error when it cannot be read. */
  read(name: string): string | null {
    try {
      return readFileSync(join(this.path, name), "utf8").trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  }

  /** @throws MidotraceError USAGE when it cannot be written. */
  write(name: string, text: string): void {
    const path = join(this.path, name);
    try {
      mkdirSync(this.path, { recursive: true, mode: 0o750 });
      writeFileSync(`${path}.tmp`, `${text}\n`, { mode: 0o640, flush: true });
      renameSync(`${path}.tmp`, path);
    } catch (cause) {
      throw new MidotraceError("USAGE", `${this.option} ${this.path}: ${(cause as Error).message}`, [], { cause });
    }
  }

  /** The identity that the store of this URL had, or null: another URL is another store, chosen by the operator. */
  storeIdentity(url: string): string | null {
    const [of, id] = (this.read(STORE_IDENTITY) ?? "").split("\n");
    return of === url && id !== undefined ? id : null;
  }

  /** @throws MidotraceError USAGE, see `write`. */
  rememberStore(url: string, id: string): void {
    this.write(STORE_IDENTITY, `${url}\n${id}`);
  }
}
