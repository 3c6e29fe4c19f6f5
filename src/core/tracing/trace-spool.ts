import type { FlowTraceId, TraceRequestId } from "#core/base";

/** What a spool knows of a report without looking into its text. */
export interface SpoolEntry {
  /** Grows from report to report, over restarts too. A loss that grows is put again under its serial. */
  readonly serial: number;
  readonly kind: "segment" | "loss";
  /** Of the segment or the loss; unique. */
  readonly id: string;
  readonly flowTraceId: FlowTraceId | null;
  readonly requestIds: readonly TraceRequestId[];
  /** Of a loss: serials of the reports that it stands for from now on. */
  readonly replaces: readonly number[];
  /** Of a loss: ids of the reports that never came into being. */
  readonly stands: readonly string[];
}

export interface SpooledReport extends SpoolEntry {
  readonly sizeBytes: number;
}

export interface SpoolContents {
  /** What nobody was done with, oldest first. */
  readonly reports: readonly SpooledReport[];
  /** Ids that losses stand for. */
  readonly stoodFor: readonly string[];
  /** Reports that were there and cannot be read. */
  readonly damaged: number;
  /** For the next report; larger than all before. */
  readonly nextSerial: number;
}

/**
 * Reports on their way to the collectors, where they outlive the process. Nothing here waits or throws: what cannot be kept
 * is said by `kept`, and stays with whoever put it. Killed at any moment, a spool has everything that was said to be kept,
 * and of what was being done at that moment all or nothing.
 */
export interface TraceSpool {
  /** Reports that are kept, and bytes on the disk. */
  readonly segments: number;
  readonly bytes: number;
  /** Reports that could not be kept: they end with the process. */
  readonly unwritten: number;
  /** What earlier runs left. Once, before anything else. Never rejects. */
  open(): Promise<SpoolContents>;
  /** Calls `kept` later: true when the report outlives the process, false when it cannot be had. */
  put(entry: SpoolEntry, text: string, kept: (spooled: boolean) => void): void;
  /** Null when it is not there or damaged. Never rejects. */
  read(serial: number): Promise<string | null>;
  /** Nobody needs the report any more. */
  done(serial: number): void;
  /** What was put before is kept, and what is done written. */
  settled(): Promise<void>;
  close(): Promise<void>;
}
