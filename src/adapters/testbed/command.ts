import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MidotraceError } from "#core/base";

export interface RunOptions {
  /** Written to the command's standard input, which is empty otherwise. */
  readonly input?: string;
  /** The command is killed after this long; default 20 000. */
  readonly timeoutMs?: number;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface RunResult {
  readonly stdout: string;
  readonly stderr: string;
}

/** Where Debian keeps the tools; `sudo` and services may come with a shorter PATH. */
const PATH = [process.env["PATH"] ?? "", "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].join(delimiter);

export const toolEnvironment = (more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH,
  LC_ALL: "C",
  ...more,
});

/** Whether `command` is found where `run` looks. */
export function hasCommand(command: string): boolean {
  return PATH.split(delimiter).some((dir) => {
    if (dir === "") return false;
    try {
      accessSync(join(dir, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/**
 * Runs a command to its end.
 *
 * @throws MidotraceError INTERNAL with the command line and what it said, when it cannot be started, ends with a status
 *   other than 0, or does not end in time.
 */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const line = [command, ...args].join(" ");
  const timeoutMs = options.timeoutMs ?? 20_000;
  const child = spawn(command, args, { env: toolEnvironment(options.env), stdio: "pipe" });
  return new Promise((resolve, reject) => {
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let killed: string | null = null;
    const kill = (why: string): void => {
      killed = why;
      child.kill("SIGKILL");
    };
    const aborted = (): void => kill("it was cancelled");
    const timer = setTimeout(() => kill(`it did not end within ${timeoutMs} ms`), timeoutMs);
    options.signal?.addEventListener("abort", aborted);
    if (options.signal?.aborted === true) aborted();
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    const done = (): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", aborted);
    };
    child.on("error", (cause) => {
      done();
      reject(new MidotraceError("INTERNAL", `\`${line}\` could not be started: ${cause.message}`, [], { cause }));
    });
    child.on("close", (status, signal) => {
      done();
      const stdout = Buffer.concat(out).toString();
      const stderr = Buffer.concat(err).toString();
      if (status === 0 && killed === null) return resolve({ stdout, stderr });
      const how = killed ?? (signal === null ? `exit status ${status}` : `ended by ${signal}`);
      const said = (stderr.trim() || stdout.trim()).slice(-2000);
      reject(new MidotraceError("INTERNAL", `\`${line}\` failed (${how})${said === "" ? "" : `: ${said}`}`));
    });
    // A command may end without reading its input.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });
}

/** The first non-null answer of `probe`, asked every few ms. @throws MidotraceError INTERNAL naming `what` after `deadlineMs`. */
export async function until<T>(
  what: string,
  deadlineMs: number,
  probe: () => T | null | Promise<T | null>,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const seen = await probe();
    if (seen !== null) return seen;
    if (performance.now() > end) throw new MidotraceError("INTERNAL", `${what}: not within ${deadlineMs} ms`);
    await sleep(5);
  }
}

/** Sends `signal`, then SIGKILL when the child is still there after `graceMs`; resolves when it is gone. */
export async function endChild(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM", graceMs = 3000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), graceMs);
  await gone;
  clearTimeout(timer);
}
