import type { StepBody, StepKind } from "./step.ts";

/** How much of a flow a host records; less when its event budget is used up. */
export const TRACE_DETAILS = {
  full: "every step",
  verdict: "where the packet came in, what decided and what became of it",
  count: "nothing: the flow is counted, and the count is reported as a loss",
} as const;

export type TraceDetail = keyof typeof TRACE_DETAILS;

/** Most first. */
export const DETAILS = Object.keys(TRACE_DETAILS) as readonly TraceDetail[];

const VERDICT_KINDS: ReadonlySet<StepKind> = new Set<StepKind>([
  "packet-received",
  "packet-generated",
  "trace-matched",
  "answer",
  "drop",
  "emit",
  "tunnel-sent",
  "tunnel-received",
  "delivered",
  "too-big",
  "verdict",
  "steps-lost",
]);

/** Whether the step is kept with detail `verdict`, apart from the first one on a virtual device, which always is. */
export function isOfVerdict(body: StepBody): boolean {
  return (
    VERDICT_KINDS.has(body.kind) ||
    (body.kind === "rule" && body.matched && (body.ruleType === "drop" || body.ruleType === "reject"))
  );
}

/** The one that tells more. */
export function fuller(a: TraceDetail, b: TraceDetail): TraceDetail {
  return DETAILS.indexOf(a) <= DETAILS.indexOf(b) ? a : b;
}

/** The one that tells less. */
export function scanter(a: TraceDetail, b: TraceDetail): TraceDetail {
  return fuller(a, b) === a ? b : a;
}
