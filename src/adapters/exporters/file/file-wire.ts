import { RotatedFile } from "#adapters/event-log";
import { type ExportRecord, isoTime, recordText } from "#core/exporting";
import { ALL_TAKEN, type ExportWire, type Outcome } from "../courier/wire.ts";
import { numberOf, type Target } from "../target.ts";

/** One JSON object per line: the record, with its time and its sentence for people. */
export function jsonLine(record: ExportRecord): string {
  return `${JSON.stringify({ time: isoTime(record.atMs), text: recordText(record), ...record })}\n`;
}

/** A rotated file of JSON lines. */
export class FileWire implements ExportWire {
  readonly parallel = 1;
  private readonly file: RotatedFile;
  /** A write failed: part of a line may be in the file. */
  private torn = false;

  /** @throws MidotraceError USAGE */
  constructor(target: Target) {
    this.file = new RotatedFile({
      path: target.path,
      maxBytes: numberOf(target, "max-bytes", 64 * 1024 * 1024, 1),
      keep: numberOf(target, "keep", 5, 0),
    });
  }

  open(): Promise<void> {
    return this.file.open();
  }

  async send(records: readonly ExportRecord[]): Promise<Outcome> {
    // A line that was cut must not swallow the next one.
    const lines = [...(this.torn ? ["\n"] : []), ...records.map(jsonLine)];
    this.torn = true;
    await this.file.write(lines);
    this.torn = false;
    return ALL_TAKEN;
  }

  close(): Promise<void> {
    return this.file.close();
  }
}
