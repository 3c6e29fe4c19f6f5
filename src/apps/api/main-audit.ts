import { RotatedFile } from "#adapters/event-log";
import type { ProcessLog } from "#adapters/platform";
import { stringifyExactJson } from "#core/api-contract";
import type { Lifecycle } from "#core/base";
import type { AuditEntry } from "./audit.ts";

/** Lines that may wait for the disk. */
const MAX_WAITING = 10_000;

/**
 * Where audit lines go: into a file, a JSON object a line, rotated (64 MiB, five older ones); or into the server's log. What
 * the disk does not take is counted, and the log says so.
 */
export class AuditOutput implements Lifecycle {
  private readonly file: RotatedFile | null;
  private readonly log: ProcessLog;
  private waiting: string[] = [];
  private writing: Promise<void> | null = null;
  private lost = 0;

  constructor(path: string | null, log: ProcessLog) {
    this.file = path === null ? null : new RotatedFile({ path });
    this.log = log;
  }

  /** @throws the error of the file system, when the file cannot be written. */
  async start(): Promise<void> {
    await this.file?.open();
  }

  /** What was written is on its way to the disk. */
  async stop(): Promise<void> {
    await this.writing;
    await this.file?.close();
  }

  readonly write = (entry: AuditEntry): void => {
    if (this.file === null) {
      this.log("info", "audit", { ...entry });
      return;
    }
    if (this.waiting.length >= MAX_WAITING) this.lost++;
    else this.waiting.push(`${stringifyExactJson(entry)}\n`);
    this.writing ??= this.drain(this.file);
  };

  private async drain(file: RotatedFile): Promise<void> {
    while (this.waiting.length > 0) {
      const lines = this.waiting;
      this.waiting = [];
      try {
        await file.write(lines);
      } catch (error) {
        this.lost += lines.length;
        this.log("error", "audit lines could not be written", { error: String(error) });
      }
      if (this.lost === 0) continue;
      this.log("error", "audit lines were lost", { count: this.lost });
      this.lost = 0;
    }
    this.writing = null;
  }
}
