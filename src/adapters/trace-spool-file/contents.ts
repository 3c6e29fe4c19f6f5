import type { SpooledReport } from "#core/tracing";
import { parseLine, SPOOL_VERSION } from "./lines.ts";

/** Where a report stands. */
export interface Place {
  readonly chunk: Chunk;
  readonly offset: number;
  /** Without the line feed. */
  readonly lengthBytes: number;
}

/** One file, and how many reports in it somebody still needs. */
export interface Chunk {
  readonly name: string;
  sizeBytes: number;
  live: number;
}

export interface Kept {
  readonly report: SpooledReport;
  readonly place: Place;
}

/** What the lines of all files amount to. Feed the files in order; never throws on bytes. */
export class Contents {
  readonly live = new Map<number, Kept>();
  readonly stoodFor: string[] = [];
  lastSerial = 0;
  /** Lines that are none, ends that were cut off among them. */
  damagedLines = 0;
  private readonly seen = new Set<number>();

  /** @throws Error for a file of a version that this program does not know; nothing of it is taken then. */
  read(chunk: Chunk, bytes: Buffer): void {
    let first = true;
    for (let at = 0; at < bytes.length; ) {
      const end = bytes.indexOf(0x0a, at);
      if (end < 0) {
        this.damagedLines++;
        return;
      }
      const line = parseLine(bytes.subarray(at, end));
      if (first && line?.kind === "version" && line.version > SPOOL_VERSION)
        throw new Error(`it is of version ${line.version}, and this program knows ${SPOOL_VERSION}`);
      first = false;
      if (line === null) this.damagedLines++;
      else if (line.kind === "done") for (const serial of line.serials) this.gone(serial);
      else if (line.kind === "report") {
        const { entry } = line;
        this.gone(entry.serial);
        for (const serial of entry.replaces) this.gone(serial);
        this.stoodFor.push(...entry.stands);
        const lengthBytes = end - at;
        this.live.set(entry.serial, {
          report: { ...entry, sizeBytes: lengthBytes },
          place: { chunk, offset: at, lengthBytes },
        });
        chunk.live++;
      }
      at = end + 1;
    }
  }

  /** Serials that were given and of which no line is left, when there are damaged lines: they stood there. */
  damaged(): number {
    if (this.damagedLines === 0 || this.seen.size === 0) return 0;
    let first = Number.POSITIVE_INFINITY;
    for (const serial of this.seen) first = Math.min(first, serial);
    return this.lastSerial - first + 1 - this.seen.size;
  }

  private gone(serial: number): void {
    this.seen.add(serial);
    this.lastSerial = Math.max(this.lastSerial, serial);
    const kept = this.live.get(serial);
    if (kept === undefined) return;
    this.live.delete(serial);
    kept.place.chunk.live--;
  }
}
