import { statSync } from "node:fs";
import { type Cancel, MidotraceError, type Scheduler } from "#core/base";
import type { ProcessLog } from "./json-log.ts";

/** How often files are looked at. */
const LOOK_MS = 1_000;

export interface FollowedOptions<T> {
  readonly paths: readonly string[];
  /** Reads what stands in them. @throws MidotraceError USAGE */
  readonly read: () => T;
  readonly scheduler: Scheduler;
  readonly log: ProcessLog;
}

/** What stands in files, also after they have changed. What is not right changes nothing, and the log says so. */
export class Followed<T> {
  private readonly options: FollowedOptions<T>;
  private readonly listeners: ((value: T) => void)[] = [];
  private current: { readonly value: T } | null = null;
  private stamp = "";
  private timer: Cancel | null = null;

  constructor(options: FollowedOptions<T>) {
    this.options = options;
  }

  /** Reads the files and begins to follow them. @throws what `read` throws. */
  start(): void {
    this.stamp = this.stampOf();
    this.current = { value: this.options.read() };
    this.look();
  }

  stop(): void {
    this.timer?.cancel();
  }

  /** Only after `start`. @throws MidotraceError INTERNAL before. */
  get value(): T {
    if (this.current === null) throw new MidotraceError("INTERNAL", `${this.options.paths.join(", ")}: not read yet`);
    return this.current.value;
  }

  onChange(listener: (value: T) => void): void {
    this.listeners.push(listener);
  }

  private look(): void {
    this.timer = this.options.scheduler.after(LOOK_MS, () => {
      this.reread();
      this.look();
    });
  }

  private reread(): void {
    const { paths, log, read } = this.options;
    const stamp = this.stampOf();
    if (stamp === this.stamp) return;
    this.stamp = stamp;
    const files = paths.join(", ");
    try {
      const value = read();
      this.current = { value };
      for (const listener of this.listeners) listener(value);
      log("info", `${files}: what was changed there counts from now on`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log("warn", `${files}: what was changed there is not right, so what stood there before goes on to count`, {
        reason,
      });
    }
  }

  /** Changes when a file is written, replaced, or given to others. */
  private stampOf(): string {
    return this.options.paths
      .map((path) => {
        try {
          const { ino, mtimeNs, ctimeNs, size } = statSync(path, { bigint: true });
          return `${ino} ${mtimeNs} ${ctimeNs} ${size}`;
        } catch (error) {
          return String((error as NodeJS.ErrnoException).code);
        }
      })
      .join("; ");
  }
}
