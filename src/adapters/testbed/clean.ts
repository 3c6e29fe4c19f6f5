import { lstat, readlink, rm } from "node:fs/promises";
import { MidotraceError } from "#core/base";
import { run } from "./command.ts";
import { identify, isRunning, killProcess } from "./processes.ts";
import { DEFAULT_REGISTRY, Registry, registeredLabs, type Thing } from "./registry.ts";

export const NETNS_DIR = "/run/netns";

export interface TestbedStatus {
  readonly labId: string;
  readonly makerPid: number | null;
  /** The process that made it still runs. */
  readonly inUse: boolean;
  readonly namespaces: readonly string[];
}

export async function listTestbeds(root: string = DEFAULT_REGISTRY): Promise<TestbedStatus[]> {
  const found: TestbedStatus[] = [];
  for (const labId of await registeredLabs(root)) {
    const registry = new Registry(root, labId);
    const maker = await registry.maker();
    const namespaces: string[] = [];
    for (const thing of await registry.things())
      if (thing.kind === "namespace" && (await exists(thing.name))) namespaces.push(thing.name);
    found.push({ labId, makerPid: maker?.pid ?? null, inUse: maker !== null && (await isRunning(maker)), namespaces });
  }
  return found;
}

export interface CleanOptions {
  readonly root?: string;
  /** Also what a process that still runs has made; default no. */
  readonly inUse?: boolean;
}

export interface CleanReport {
  /** What was removed, one line per thing. */
  readonly removed: readonly string[];
  /** Testbeds that were left because they are in use. */
  readonly left: readonly string[];
}

/**
 * Removes exactly what a testbed noted that it made: processes in its namespaces, the namespaces (with their interfaces),
 * second names, links, files. Safe to call again after a failure.
 *
 * @throws MidotraceError NOT_FOUND when no testbed has this id; INTERNAL when something could not be removed.
 */
export async function cleanTestbed(which: string, options: CleanOptions = {}): Promise<CleanReport> {
  const root = options.root ?? DEFAULT_REGISTRY;
  const known = await listTestbeds(root);
  const chosen = which === "all" ? known : known.filter((t) => t.labId === which);
  if (which !== "all" && chosen.length === 0) throw new MidotraceError("NOT_FOUND", `no testbed ${which} in ${root}`);
  const removed: string[] = [];
  const left: string[] = [];
  for (const testbed of chosen) {
    if (testbed.inUse && options.inUse !== true) left.push(testbed.labId);
    else await removeEverything(new Registry(root, testbed.labId), removed);
  }
  return { removed, left };
}

/** Also the orderly end of a testbed. */
export async function removeEverything(registry: Registry, removed: string[]): Promise<void> {
  const things = await registry.things();
  const of = <K extends Thing["kind"]>(kind: K): Extract<Thing, { kind: K }>[] =>
    things.filter((t): t is Extract<Thing, { kind: K }> => t.kind === kind);
  for (const { what, pid, startTicks } of of("process"))
    if (await killProcess({ pid, startTicks })) removed.push(`process ${pid} (${what})`);
  for (const { name } of of("namespace")) if (await exists(name)) await killAllIn(name, removed);
  for (const { name, target } of of("alias")) {
    if ((await linkTarget(`${NETNS_DIR}/${name}`)) !== target) continue;
    await rm(`${NETNS_DIR}/${name}`, { force: true });
    removed.push(`name ${name} of ${target}`);
  }
  for (const { name } of of("namespace")) {
    if (!(await exists(name))) continue;
    await run("ip", ["netns", "delete", name]);
    removed.push(`namespace ${name}`);
  }
  for (const { name } of of("link")) {
    // Its other end was in a namespace of ours, so it is usually gone by now.
    if (!(await linkExists(name))) continue;
    await run("ip", ["link", "delete", name]).catch(async (error: unknown) => {
      if (await linkExists(name)) throw error;
    });
    removed.push(`interface ${name}`);
  }
  await registry.remove();
  removed.push(`files of testbed in ${registry.directory}`);
}

/** Every process in the namespace is ours: nobody else knows its name. One may start another while we look, so look again. */
async function killAllIn(namespace: string, removed: string[]): Promise<void> {
  for (;;) {
    const identities = await Promise.all((await processesIn(namespace)).map(identify));
    const running = identities.filter((i) => i !== null);
    if (running.length === 0) return;
    for (const identity of running)
      if (await killProcess(identity)) removed.push(`process ${identity.pid} in ${namespace}`);
  }
}

async function processesIn(namespace: string): Promise<number[]> {
  const { stdout } = await run("ip", ["netns", "pids", namespace]);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map(Number);
}

async function exists(namespace: string): Promise<boolean> {
  return (await lstat(`${NETNS_DIR}/${namespace}`).catch(() => null)) !== null;
}

async function linkExists(name: string): Promise<boolean> {
  return (await lstat(`/sys/class/net/${name}`).catch(() => null)) !== null;
}

async function linkTarget(path: string): Promise<string | null> {
  return readlink(path).catch(() => null);
}
