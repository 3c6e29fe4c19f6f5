import { type FSWatcher, watch } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Cancel, Scheduler } from "#core/base";
import { switchPid } from "./unixctl.ts";

const POLL_MS = 300;

/**
 * Looks around on the host: a few times a second, and at once when something in the run directory changes that tells of a
 * daemon's start.
 */
export class SwitchWatch {
  private readonly runDir: string;
  private readonly scheduler: Scheduler;
  private readonly look: (hint: "time" | "files") => void;
  private watcher: FSWatcher | null = null;
  private timer: Cancel | null = null;

  constructor(runDir: string, scheduler: Scheduler, look: (hint: "time" | "files") => void) {
    this.runDir = runDir;
    this.scheduler = scheduler;
    this.look = look;
  }

  start(): void {
    this.timer = this.scheduler.after(POLL_MS, () => {
      this.watchFiles();
      this.start();
      this.look("time");
    });
    this.watchFiles();
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = null;
    this.watcher?.close();
    this.watcher = null;
  }

  /** The directory may not exist yet, or be made anew: then looking by time has to do until it can be watched again. */
  private watchFiles(): void {
    if (this.watcher !== null) return;
    try {
      const watcher = watch(this.runDir, (_event, name) => {
        if (name === null || name === "db.sock" || name.endsWith(".mgmt") || name.endsWith(".pid")) this.look("files");
      });
      watcher.unref();
      watcher.on("error", () => this.forget(watcher));
      this.watcher = watcher;
    } catch {
      // No such directory.
    }
  }

  private forget(watcher: FSWatcher): void {
    if (this.watcher !== watcher) return;
    this.watcher = null;
    watcher.close();
  }
}

/**
 * Tells one life of a bridge in the switch daemon from the next: its management socket is made anew with each. The inode
 * alone is not enough, since file systems use numbers again. null: the socket or the daemon is not there.
 */
export async function bridgeLife(runDir: string, bridge: string): Promise<string | null> {
  const [pid, socket] = await Promise.all([
    switchPid(runDir),
    stat(join(runDir, `${bridge}.mgmt`), { bigint: true }).catch(() => null),
  ]);
  if (pid === null || socket === null || !isAlive(pid)) return null;
  return `${pid}/${socket.ino}/${socket.mtimeNs}`;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's process is alive, too.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
