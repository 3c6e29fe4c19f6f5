import { spawn } from "node:child_process";
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { networkInterfaces, release } from "node:os";
import { join } from "node:path";
import { inspectDaemon, inspectDatabase, inspectManagement, inspectModule, type Looked } from "#adapters/datapath-ovs";
import { openStore } from "#adapters/nsdb-open";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import type { NsdbStore } from "#core/nsdb";
import type { AgentOptionValues } from "../options.ts";
import type { DirectoryFacts, HttpAnswer, InterfaceFacts, Pinged, Probes } from "./examination.ts";

const ANSWER_MS = 3_000;
const STORE_MS = 8_000;
/** How long a ping may take, in seconds; and how often it is tried before it counts as silent. */
const PING_SECONDS = "1";
const PING_TIMES = "2";
/** IPv4 20 + ICMP 8 bytes. */
const PING_HEADERS_BYTES = 28;
/** IFF_UP of include/uapi/linux/if.h */
const IFF_UP = 1;

/** The machine that this runs on. */
export class SystemProbes implements Probes {
  private readonly options: AgentOptionValues;
  private opened: NsdbStore | null = null;

  constructor(options: AgentOptionValues) {
    this.options = options;
  }

  async close(): Promise<void> {
    await this.opened?.stop();
    this.opened = null;
  }

  kernelRelease(): string {
    return release();
  }

  userId(): number {
    return process.geteuid?.() ?? 0;
  }

  directory(path: string): DirectoryFacts | null {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return null;
    return { isDirectory: stat.isDirectory(), uid: stat.uid, mode: stat.mode & 0o777, unwritable: unwritable(path) };
  }

  readText(path: string): string | null {
    return existsSync(path) ? readFileSync(path, "utf8") : null;
  }

  interfaces(): readonly InterfaceFacts[] {
    const addresses = networkInterfaces();
    return readdirSync("/sys/class/net").flatMap((name): InterfaceFacts[] => {
      const read = (file: string): number => Number(readFileSync(join("/sys/class/net", name, file), "utf8"));
      try {
        const up = (read("flags") & IFF_UP) !== 0;
        const own = (addresses[name] ?? []).filter((a) => a.family === "IPv4").map((a) => a.address);
        return [{ name, up, mtu: read("mtu"), addresses: own }];
      } catch {
        // It went between two looks, or is no device (bonding_masters).
        return [];
      }
    });
  }

  module(): ReturnType<Probes["module"]> {
    return inspectModule();
  }

  daemon(): ReturnType<Probes["daemon"]> {
    return inspectDaemon(this.options["ovs-run-dir"], systemScheduler, ANSWER_MS);
  }

  database(about: Parameters<Probes["database"]>[0]): ReturnType<Probes["database"]> {
    return inspectDatabase({
      ...about,
      runDir: this.options["ovs-run-dir"],
      bridge: this.options.bridge,
      datapath: this.options.datapath as "auto" | "system" | "netdev",
      clock: systemClock,
      scheduler: systemScheduler,
      timeoutMs: ANSWER_MS,
    });
  }

  management(): Promise<string | null> {
    return inspectManagement(this.options["ovs-run-dir"], this.options.bridge, systemScheduler, ANSWER_MS);
  }

  async store(url: string): Promise<Looked<NsdbStore>> {
    let said = "no answer yet";
    const store = openStore(url, {
      clock: systemClock,
      scheduler: systemScheduler,
      random: systemRandom,
      log: (level, message, fields) => {
        if (level === "warn" || level === "error") said = `${message}${reasonOf(fields)}`;
      },
    });
    this.opened = store;
    const { promise: late, resolve } = Promise.withResolvers<string>();
    const timer = systemScheduler.after(STORE_MS, () => resolve(`${said}, within ${STORE_MS / 1_000} s`));
    const started = store.start().then(
      () => null,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    const trouble = await Promise.race([started, late]);
    timer.cancel();
    return trouble === null ? { value: store, trouble: null } : { value: null, trouble };
  }

  async ping(from: string, to: string, bytes: number | null): Promise<Pinged> {
    const size = bytes === null ? [] : ["-M", "do", "-s", String(bytes - PING_HEADERS_BYTES)];
    const args = ["-n", "-q", "-c", PING_TIMES, "-i", "0.2", "-W", PING_SECONDS, "-I", from, ...size, to];
    const { code, output } = await outcome("ping", args);
    if (code === 0) return "answered";
    // What ping says when the kernel itself knows that it is too large, or that there is no way.
    if (code === 1 || /message too long|unreachable/i.test(output)) return "silent";
    return { trouble: output.trim().split("\n").at(-1) ?? "ping failed" };
  }

  async http(url: string): Promise<Looked<HttpAnswer>> {
    const sentAtMs = systemClock.nowMs();
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
      const receivedAtMs = systemClock.nowMs();
      const body = await response.text();
      const date = response.headers.get("date");
      return { value: { status: response.status, body, date, sentAtMs, receivedAtMs }, trouble: null };
    } catch (error) {
      // fetch says "fetch failed", and why in the cause.
      const { cause, message } = error as Error & { readonly cause?: NodeJS.ErrnoException };
      return { value: null, trouble: cause?.message || cause?.code || message };
    }
  }

  async clockSynchronized(): Promise<boolean | null> {
    const { code, output } = await outcome("timedatectl", ["show", "--property=NTPSynchronized", "--value"]);
    const word = output.trim();
    return code !== 0 || (word !== "yes" && word !== "no") ? null : word === "yes";
  }

  monotonicMs(): number {
    return systemClock.monotonicMs();
  }
}

function unwritable(path: string): string | null {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

function reasonOf(fields: Readonly<Record<string, unknown>> | undefined): string {
  const reason = fields?.["reason"] ?? fields?.["why"] ?? fields?.["error"];
  return typeof reason === "string" ? `: ${reason}` : "";
}

/** Runs a command to its end; code 127: it could not be started. */
function outcome(
  command: string,
  args: readonly string[],
): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 10_000,
      env: { ...process.env, LC_ALL: "C" },
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.on("error", (error) => resolve({ code: 127, output: error.message }));
    child.on("close", (code) => resolve({ code: code ?? 126, output }));
  });
}
