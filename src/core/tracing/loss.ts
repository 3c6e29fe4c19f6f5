import type { FlowTraceId, TraceRequestId } from "#core/base";

/** Why reports never come; closed list, docs/reference/completeness.md has a row for each. */
export const LOSS_CAUSES = {
  budget: "the host's event budget was used up: the flow was only counted",
  "queue-full": "the agent made reports faster than it could hand them on",
  "spool-full": "no collector took the report before newer ones needed its place",
  "spool-damaged": "the report was in the spool, and could not be read again",
  killed: "the agent ended before the report was kept",
  "too-long": "the report is longer than a delivery may be",
  refused: "the collector refused the report",
  other: "a reason that this version does not know",
} as const;

export type LossCause = keyof typeof LOSS_CAUSES;

/** Ids that one loss names; what comes beyond is only counted. */
export const MAX_LOSS_IDS = 1_000;

/** What is known of reports that never come. */
export interface LossAbout {
  readonly cause: LossCause;
  /** Unique; the same loss reported twice is one. Absent: nobody reports it twice. */
  readonly id?: string;
  /** Requests that it concerns, as far as is known. */
  readonly requestIds: readonly TraceRequestId[];
  /** Flow traces whose part is lost, as far as is known. */
  readonly flowTraceIds: readonly FlowTraceId[];
  /** Ids of the reports, within the host only: who notes what has not been reported may cross them out. */
  readonly reports?: readonly string[];
}

/** A loss with its number of reports: one report is one host's part of one flow. */
export interface Loss extends LossAbout {
  readonly count: number;
  /** For people. */
  readonly why: string;
}
