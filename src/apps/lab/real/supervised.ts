import type { ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { open } from "node:fs/promises";
import type { NetworkNamespace } from "#adapters/testbed";
import { endChild } from "#adapters/testbed";
import type { Cancel, Lifecycle, Scheduler } from "#core/base";

/** A daemon that ended without being told to is started again after this, ms, as systemd would. */
const RESTART_MS = 1_000;
/** What it has to end in after SIGTERM, ms. */
const GRACE_MS = 5_000;
const TAIL_BYTES = 2_000;

export interface SupervisedOptions {
  /** What people call it: "agent of host-a". */
  readonly name: string;
  /** Where it runs. */
  readonly namespace: Pick<NetworkNamespace, "spawn">;
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
  /** Gets what it writes; appended to. */
  readonly logFile: string;
  readonly scheduler: Scheduler;
  /** It runs (again). */
  readonly started?: (pid: number) => Promise<void>;
  /** It ended without being told to; `how` in words. */
  readonly ended: (how: string) => void;
}

/** A daemon of the lab: kept running until it is stopped. */
export class Supervised implements Lifecycle {
  readonly name: string;
  readonly logFile: string;
  private readonly o: SupervisedOptions;
  private child: ChildProcess | null = null;
  private wanted = false;
  private restart: Cancel | null = null;
  private starting: Promise<void> | null = null;

  constructor(options: SupervisedOptions) {
    this.o = options;
    this.name = options.name;
    this.logFile = options.logFile;
  }

  /** Null while it does not run. */
  get pid(): number | null {
    return this.child?.pid ?? null;
  }

  start(): Promise<void> {
    this.wanted = true;
    this.starting = this.launch().finally(() => {
      this.starting = null;
    });
    return this.starting;
  }

  private async launch(): Promise<void> {
    const { namespace, command, env = {}, logFile } = this.o;
    const log = openSync(logFile, "a");
    try {
      const [program, ...args] = command;
      const child = await namespace.spawn(program, args, {
        stdio: ["ignore", log, log],
        env: { ...process.env, ...env },
        // A process group of its own: Ctrl+C in the lab's terminal is for the lab, which ends its daemons in order.
        detached: true,
      });
      this.child = child;
      child.once("exit", (code, signal) => {
        this.child = null;
        if (!this.wanted) return;
        this.o.ended(signal === null ? `ended with status ${code}` : `was ended by ${signal}`);
        this.again();
      });
      if (child.pid !== undefined) await this.o.started?.(child.pid);
    } finally {
      closeSync(log);
    }
  }

  private again(): void {
    this.restart = this.o.scheduler.after(RESTART_MS, () => {
      this.restart = null;
      if (!this.wanted) return;
      this.start().catch((error: unknown) => {
        this.o.ended(`could not be started: ${String(error)}`);
        if (this.wanted) this.again();
      });
    });
  }

  /** Ends it for good; by SIGKILL as if its machine had been switched off. */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    this.wanted = false;
    this.restart?.cancel();
    // One that is being started is there in a moment, and is ended then.
    await this.starting?.catch(() => undefined);
    if (this.child !== null) await endChild(this.child, signal, GRACE_MS);
  }

  /** A signal to the process as it is now; what is killed so is started again. */
  kill(signal: NodeJS.Signals): void {
    this.child?.kill(signal);
  }

  /** The end of what it wrote, for messages. */
  async tail(): Promise<string> {
    const file = await open(this.logFile, "r").catch(() => null);
    if (file === null) return "";
    try {
      const { size } = await file.stat();
      const from = Math.max(0, size - TAIL_BYTES);
      const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
      return buffer.subarray(0, bytesRead).toString().trim();
    } finally {
      await file.close();
    }
  }
}
