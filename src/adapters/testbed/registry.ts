import { appendFile, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { identify, type ProcessIdentity } from "./processes.ts";

/** Gone after a reboot, like everything that it lists. */
export const DEFAULT_REGISTRY = "/run/midotrace/testbeds";

/** Begins the name of a directory that is being made; nothing else has been made by then. */
const UNFINISHED = ".";

/** Something that outlives the process that made it. */
export type Thing =
  /** A network namespace under this name in /run/netns. */
  | { readonly kind: "namespace"; readonly name: string }
  /** A second name of a namespace of ours: the symbolic link /run/netns/`name` to `target`. */
  | { readonly kind: "alias"; readonly name: string; readonly target: string }
  /** A network interface in the namespace of the maker. */
  | { readonly kind: "link"; readonly name: string }
  /** A process that does not live in one of our namespaces. */
  | { readonly kind: "process"; readonly what: string; readonly pid: number; readonly startTicks: number };

/**
 * What one testbed made: a directory with `maker.json` and `things.jsonl`. A thing is written down before it is made, so
 * that a killed maker leaves nothing unlisted. Everything else in the directory is the testbed's own as well.
 */
export class Registry {
  readonly directory: string;
  private readonly root: string;
  private readonly labId: string;

  constructor(root: string, labId: string) {
    this.root = root;
    this.labId = labId;
    this.directory = join(root, labId);
  }

  /** At one moment: who cleans just now must not see a testbed without its maker, and take it for a dead one's. */
  async create(): Promise<void> {
    const { root, labId } = this;
    const unfinished = join(root, `${UNFINISHED}${labId}`);
    await mkdir(unfinished, { recursive: true, mode: 0o755 });
    const maker = await identify(process.pid);
    await writeFile(join(unfinished, "maker.json"), `${JSON.stringify(maker)}\n`);
    await writeFile(join(unfinished, "things.jsonl"), "");
    await rename(unfinished, join(root, labId));
  }

  async note(thing: Thing): Promise<void> {
    await appendFile(join(this.directory, "things.jsonl"), `${JSON.stringify(thing)}\n`);
  }

  async things(): Promise<Thing[]> {
    const text = await readOrEmpty(join(this.directory, "things.jsonl"));
    // What follows the last line feed was being written when the maker died: that thing was never made.
    const lines = text.split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Thing);
  }

  /** null: the maker died before it could say. */
  async maker(): Promise<ProcessIdentity | null> {
    const text = await readOrEmpty(join(this.directory, "maker.json"));
    return text.endsWith("\n") ? (JSON.parse(text) as ProcessIdentity | null) : null;
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Ids of all testbeds noted under `root`. */
export async function registeredLabs(root: string): Promise<string[]> {
  try {
    const entries = await readdir(root, { withFileTypes: true });
    return entries.filter((e) => e.isDirectory() && !e.name.startsWith(UNFINISHED)).map((e) => e.name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
