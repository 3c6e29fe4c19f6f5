import type { PublicFlowTrace, PublicSegment, Verdict } from "#core/tracing";

/** A flow trace as the API answers it; what an older server does not say is absent. */
export interface ShownFlow extends PublicFlowTrace {
  readonly pinned?: boolean;
  /** The other direction of the conversation, as far as the viewer may see it. */
  readonly counterparts?: readonly string[];
}

export type ShownSegment = PublicSegment;

/** How a verdict is to be read at a glance. */
export type Tone = "good" | "bad" | "unsure" | "quiet";

export function toneOf(verdict: Verdict): Tone {
  switch (verdict) {
    case "delivered":
    case "flooded":
      return "good";
    case "consumed":
      return "quiet";
    case "dropped":
    case "rejected":
    case "error":
      return "bad";
    case "unknown":
      return "unsure";
  }
}

/** Dropped, rejected or failed: there is a hop to be shown first. */
export const hasFailed = (verdict: Verdict): boolean => toneOf(verdict) === "bad";
