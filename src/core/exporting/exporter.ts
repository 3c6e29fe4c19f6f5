import type { Lifecycle } from "#core/base";
import type { FlowTrace, TraceSegment } from "#core/tracing";

/** Why a record did not reach an export target; closed list, docs/guide/exporting.md has a row for each. */
export const EXPORT_LOSSES = {
  "queue-full": "more came than the target took, and the queue was full",
  refused: "the target refused the record itself, and would refuse it again",
  "retries-exhausted": "the target took others of the same batch, and refused this one each time",
  "too-large": "the record alone is larger than the target takes",
  "no-longer-stored": "the flow trace was gone from the store before it could be exported",
  defect: "a defect of ours: the record could not be made",
  stopped: "the process ended before the target took it",
} as const;

export type ExportLoss = keyof typeof EXPORT_LOSSES;

/** What an exporter counts, in records: `offered` is the sum of `delivered`, all of `lost`, and `waiting`. */
export interface ExporterCounters {
  readonly offered: number;
  /** The target says that it has them. */
  readonly delivered: number;
  readonly lost: Readonly<Partial<Record<ExportLoss, number>>>;
  readonly waiting: number;
  /** Attempts that failed and were made again. */
  readonly retries: number;
  /** Notes of losses that the target has, and that it refused. */
  readonly notesDelivered: number;
  readonly notesRefused: number;
  /** The last attempt failed. */
  readonly failing: boolean;
  /** For how long the oldest record waits, ms. */
  readonly lagMs: number;
}

/**
 * Brings shown records to one system outside. Nothing here blocks, waits or throws: what cannot be sent waits in a bounded
 * queue, what does not fit is counted by cause, and the count is a record of the exported stream as soon as it works again.
 */
export interface Exporter extends Lifecycle {
  /** The target, for people and labels of metrics: without user, password, token. */
  readonly name: string;
  /** What one host saw of a packet: a record for each step. */
  segment(segment: TraceSegment): void;
  /** A flow trace that nothing is awaited for: a record, with a revision that grows when it is told again. */
  flow(trace: FlowTrace): void;
  /** What was lost before it came here, on its way from a host. */
  lost(hostId: string, count: number, because: string): void;
  /** A flow trace that will not come: the store does not have it any more. */
  gone(): void;
  counters(): ExporterCounters;
}
