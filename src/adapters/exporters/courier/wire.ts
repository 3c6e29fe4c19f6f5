import type { ExportRecord } from "#core/exporting";

/** What became of a batch; records are named by their place in it. */
export type Outcome =
  /** What is in neither list has arrived. */
  | {
      readonly kind: "taken";
      /** The target could not take these now. */
      readonly retry: readonly number[];
      /** The target will never take these. */
      readonly refused: readonly number[];
      /** Why, of one of them, in the target's words. */
      readonly why: string;
    }
  /** The target will never take any of them. */
  | { readonly kind: "refused"; readonly why: string }
  /** Longer than the target takes: it goes in halves, a record alone is lost. */
  | { readonly kind: "too-large" };

export const ALL_TAKEN: Outcome = { kind: "taken", retry: [], refused: [], why: "" };

/** How one kind of target is spoken to. Everything else (queue, pauses, counting) is the courier's. */
export interface ExportWire {
  /** Batches that may be under way at once. */
  readonly parallel: number;
  /** Prepares the target, before the first batch and after each failure. Rejects: it is tried again. */
  open(signal: AbortSignal): Promise<void>;
  /** Rejects when nobody knows what arrived: the whole batch is sent again, so each record at least once. */
  send(records: readonly ExportRecord[], signal: AbortSignal): Promise<Outcome>;
  /** Idempotent; what is under way was aborted before. */
  close(): Promise<void>;
}
