import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { endChild } from "#adapters/testbed";
import type { Scope } from "./scope.ts";

/** Processes of a benchmark: started, asked, measured, and ended with their scope. */

/** Of a file beside this one. */
export const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const NODE = ["--conditions=source", "--expose-gc"];

export interface Placing {
  /** The core that the process stays on; default: any. */
  readonly core?: number;
}

/** One of this folder's own programs, with a channel to it; it ends when this process does. */
export function forked(scope: Scope, script: string, args: readonly string[], placing: Placing = {}): ChildProcess {
  const node = [process.execPath, ...NODE];
  const [execPath = "", ...execArgv] =
    placing.core === undefined ? node : ["taskset", "-c", `${placing.core}`, ...node];
  const child = fork(at(script), args, { execPath, execArgv, stdio: ["ignore", "inherit", "inherit", "ipc"] });
  return kept(scope, child);
}

/** Somebody else's program. What it says is dropped. */
export function spawned(scope: Scope, command: readonly [string, ...string[]], placing: Placing = {}): ChildProcess {
  const [program, ...args] = placing.core === undefined ? command : ["taskset", "-c", `${placing.core}`, ...command];
  return kept(scope, spawn(program, args, { stdio: "ignore" }));
}

/** Children that must not outlive this process. */
const alive = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

/** Ended with the scope, and with this process. */
export function kept(scope: Scope, child: ChildProcess): ChildProcess {
  alive.add(child);
  child.once("exit", () => alive.delete(child));
  // Whoever asks it something hears of its end; a program that is not there has been asked for before.
  child.on("error", () => undefined);
  scope.defer(() => endChild(child, "SIGKILL"));
  return child;
}

/** More than anything takes here on a loaded machine, ms. */
const PATIENCE_MS = 120_000;

/** The next message. @throws Error when the process ends instead, or says nothing for long. */
export async function heard<T>(child: ChildProcess): Promise<T> {
  const waiting = new AbortController();
  const { signal } = waiting;
  const name = child.spawnargs.slice(-6).join(" ");
  const end = once(child, "exit", { signal }).then(([code, by]) => {
    throw new Error(`${name} ended (${String(code ?? by)})`);
  });
  const late = sleep(PATIENCE_MS, undefined, { signal, ref: false }).then(() => {
    throw new Error(`${name} says nothing`);
  });
  end.catch(() => undefined);
  late.catch(() => undefined);
  try {
    const [message] = (await Promise.race([once(child, "message", { signal }), end, late])) as [T];
    return message;
  } finally {
    waiting.abort();
  }
}

/** Until it says `word`. @throws Error when it ends before. */
export async function told(child: ChildProcess, word: string): Promise<void> {
  while ((await heard(child)) !== word);
}

/** @throws Error when nobody listens there in time. */
export async function answering(port: number, deadlineMs = 20_000): Promise<void> {
  for (const until = performance.now() + deadlineMs; performance.now() < until; ) {
    const socket = connect(port, "127.0.0.1");
    const open = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (open) return;
    await sleep(50);
  }
  throw new Error(`nobody listens on port ${port}`);
}

/** A TCP port of 127.0.0.1 that nobody listens on at this moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

/** Time that a process has been running on a core, all its threads, ns: what other work on the machine hardly changes. */
export function cpuNs(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  let total = 0;
  for (const task of readdirSync(tasks))
    total += Number(readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]);
  return total;
}
