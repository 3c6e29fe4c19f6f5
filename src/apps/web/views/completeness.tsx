import { MISSING_ADVICE, MISSING_REASONS } from "#core/tracing";
import { offsetText, type ShownFlow } from "#apps/web/model";
import type { ReactNode } from "react";
import { Icon } from "../ui/icons.tsx";
import { Notice, Prose } from "../ui/parts.tsx";

/** Whether this is the whole answer; if not, who is missing and why. */
export function CompletenessNotice({ flow }: { readonly flow: ShownFlow }): ReactNode {
  const { state, missing } = flow.completeness;
  const { segments } = flow;
  const hosts = new Set(segments.map((s) => s.hostId)).size;
  const reduced = segments.filter((s) => s.detail === "verdict" || s.detail === "count");
  const off = segments.filter((s) => Math.abs(s.clockOffsetMs ?? 0) > 250);
  return (
    <>
      {missing.length === 0 ? (
        <p className="complete">
          <Icon name="check" />
          {state === "complete" ? "Complete" : state}:{" "}
          {hosts === 1 ? "the one host reported" : `all ${hosts} hosts reported`}
        </p>
      ) : (
        <Notice tone={missing.every((m) => m.reason === "awaited") ? "quiet" : "unsure"}>
          <p>
            <b>{state === "partial" ? "Part of the answer is missing" : "Not known yet whether this is all"}</b>
          </p>
          <ul>
            {missing.map((m, i) => (
              <li key={i}>
                {m.hostName ?? "a host that is not known"}: {MISSING_REASONS[m.reason] ?? m.reason}
                {MISSING_ADVICE[m.reason] !== undefined && (
                  <p className="advice">
                    <Prose text={MISSING_ADVICE[m.reason].say} />
                  </p>
                )}
              </li>
            ))}
          </ul>
        </Notice>
      )}
      {reduced.length > 0 && (
        <Notice tone="unsure">
          {reduced.map((s) => s.hostName).join(", ")}: the event budget was used up, so{" "}
          {reduced.every((s) => s.detail === "verdict") ? "only the verdict was" : "less than every step was"} recorded.
        </Notice>
      )}
      {off.length > 0 && (
        <p className="muted">
          Clocks differ: {off.map((s) => `${s.hostName} ${offsetText(Math.round(s.clockOffsetMs ?? 0))}`).join(", ")}.
          The order of steps does not depend on it.
        </p>
      )}
    </>
  );
}
