import type { FlowTraceId, TraceRequestId } from "#core/base";

/** A segment or a loss on its way: made into text once, for all collectors. */
export interface Parcel {
  /** In the order in which they came. */
  readonly serial: number;
  readonly kind: "segment" | "loss";
  readonly id: string;
  readonly flowTraceId: FlowTraceId | null;
  readonly requestIds: readonly TraceRequestId[];
  /** When it came, monotonic. */
  readonly atMs: number;
  /** Of the text. */
  sizeBytes: number;
  /** JSON; null: it is in the spool only. */
  text: string | null;
  /** It may be sent: what would be lost with the process is not sent before that is known. */
  ready: boolean;
  /** The spool has it as it is now. */
  spooled: boolean;
  /** Some collector has it. */
  delivered: boolean;
  /** Queues and batches it stands in. */
  holders: number;
  /** Whoever made it knows that it is kept. */
  told: boolean;
  /** A loss stands for it. */
  replaced: boolean;
  /** Grows with what it holds. */
  version: number;
}
