import type { HeaderText, PublicStep } from "#core/tracing";
import {
  clockTime,
  type FlowPath,
  headerDiff,
  type Hop,
  type HopGroup,
  isShown,
  isTraceChain,
  offsetText,
  plural,
} from "#apps/web/model";
import { Fragment, memo, type ReactNode, useState } from "react";
import { Icon, type IconName } from "../ui/icons.tsx";

interface StepsTableProps {
  readonly path: FlowPath;
  readonly startedAtMs: number;
  readonly selected: string | null;
  readonly onSelect: (hop: string) => void;
}

/** Every step, by host and hop: what the drawing cannot say. */
export function StepsTable({ path, startedAtMs, selected, onSelect }: StepsTableProps): ReactNode {
  const [all, setAll] = useState(true);
  return (
    <>
      <div className="steps-bar">
        <h2>Steps</h2>
        <label className="check">
          <input type="checkbox" checked={!all} onChange={(event) => setAll(!event.target.checked)} />
          Only what decided
        </label>
      </div>
      {path.groups.map((group) => (
        <HostSteps
          key={group.index}
          group={group}
          startedAtMs={startedAtMs}
          all={all}
          selected={selected}
          onSelect={onSelect}
        />
      ))}
      {path.groups.length === 0 && <p className="muted">No host has reported a step.</p>}
    </>
  );
}

interface HostProps extends Omit<StepsTableProps, "path"> {
  readonly group: HopGroup;
  readonly all: boolean;
}

function HostSteps({ group, startedAtMs, all, selected, onSelect }: HostProps): ReactNode {
  const { segment } = group;
  const notes = [
    segment.role,
    ...(segment.duplicate ? ["duplicate from the underlay"] : []),
    ...(segment.joinedBy === "token" ? ["state lost, joined by its token"] : []),
    ...(segment.role === "ingress"
      ? [clockTime(segment.startedAtMs)]
      : [offsetText(segment.startedAtMs - startedAtMs)]),
  ];
  return (
    <table className="steps" aria-label={`Steps on ${segment.hostName}`}>
      <caption>
        <Icon name="host" />
        <b>{segment.hostName}</b> <span className="muted">{notes.join(" · ")}</span>
      </caption>
      <thead className="sr">
        <tr>
          <th scope="col">Step</th>
          <th scope="col">What was decided</th>
          <th scope="col">Time</th>
        </tr>
      </thead>
      {group.hops.map((hop) => (
        <HopSteps
          key={hop.id}
          hop={hop}
          startMs={segment.startedAtMs}
          all={all}
          selected={hop.id === selected}
          onSelect={onSelect}
        />
      ))}
    </table>
  );
}

interface HopProps {
  readonly hop: Hop;
  readonly startMs: number;
  readonly all: boolean;
  readonly selected: boolean;
  readonly onSelect: (hop: string) => void;
}

/** Drawn anew only when it is chosen or no longer. */
const HopSteps = memo(function HopSteps({ hop, startMs, all, selected, onSelect }: HopProps): ReactNode {
  const steps = all ? hop.steps : hop.steps.filter(decides);
  const hidden = hop.steps.length - steps.length;
  if (steps.length === 0) return null;
  return (
    <tbody
      id={`hop-${hop.id}`}
      className={`hop hop-${hop.kind}${selected ? " is-selected" : ""}${hop.failed ? " is-failed" : ""}`}
      onClick={() => onSelect(hop.id)}
    >
      <tr className="hop-title">
        <th scope="rowgroup" colSpan={3}>
          <HopTitle hop={hop} />
          {hidden > 0 && <span className="muted"> {plural(hidden, "step")} more</span>}
        </th>
      </tr>
      {steps.map((step) => (
        <StepRow key={step.seq} step={step} startMs={startMs} failed={hop.failed} />
      ))}
    </tbody>
  );
});

export const HOP_ICON = (hop: Hop): IconName => {
  if (hop.kind === "withheld") return "lock";
  if (hop.kind === "entry") return "enter";
  if (hop.kind === "exit") return "exit";
  if (hop.kind === "outcome") return "host";
  return hop.device?.type ?? "host";
};

function HopTitle({ hop }: { readonly hop: Hop }): ReactNode {
  if (hop.kind === "withheld")
    return (
      <>
        <Icon name="lock" />
        Withheld: devices of others
      </>
    );
  if (hop.kind === "outcome")
    return (
      <>
        <Icon name="host" />
        What the switch does from now on
      </>
    );
  const name = hop.device === null || hop.device.name === "" ? hop.device?.id : hop.device.name;
  return (
    <>
      <Icon name={HOP_ICON(hop)} />
      {hop.device?.type} <b>{name}</b>
      {(hop.inPort !== null || hop.outPorts.length > 0) && (
        <span className="muted">
          {" "}
          {hop.inPort ?? ""} → {hop.outPorts.join(", ") || "–"}
        </span>
      )}
    </>
  );
}

function StepRow({
  step,
  startMs,
  failed,
}: {
  readonly step: PublicStep;
  readonly startMs: number;
  readonly failed: boolean;
}): ReactNode {
  if (!isShown(step))
    return (
      <tr className="step step-withheld">
        <td className="step-seq">{step.seq}</td>
        <td>Not shown: it happened on devices of another tenant or in the infrastructure</td>
        <td />
      </tr>
    );
  const faint = (step.kind === "rule" && step["matched"] === false) || isTraceChain(step);
  const tone = step.kind === "drop" && failed ? " step-failed" : faint ? " step-faint" : "";
  return (
    <tr className={`step${tone}`}>
      <td className="step-seq">{step.seq}</td>
      <td>
        {tone === " step-failed" && <Icon name="cross" />}
        {step.kind === "rewrite" ? <Changes before={step["before"]} after={step["after"]} /> : step.text}
      </td>
      <td className="step-time">{step.atMs === startMs ? "" : offsetText(step.atMs - startMs)}</td>
    </tr>
  );
}

/** Header fields before and after, one line each. */
function Changes({ before, after }: { readonly before: unknown; readonly after: unknown }): ReactNode {
  const changes = headerDiff(before as HeaderText, after as HeaderText);
  if (changes.length === 0) return "Header unchanged";
  return (
    <>
      Header rewritten
      <dl className="changes">
        {changes.map((c) => (
          <Fragment key={c.field}>
            <dt>{c.label}</dt>
            <dd>
              <del>{c.before ?? "none"}</del>
              <span aria-hidden="true"> → </span>
              <ins>{c.after ?? "none"}</ins>
            </dd>
          </Fragment>
        ))}
      </dl>
    </>
  );
}

/** Steps that say how it was come to, not what was decided. */
const HOW: ReadonlySet<string> = new Set([
  "chain-start",
  "chain-jump",
  "chain-return",
  "device-in",
  "ttl",
  "state-sent",
  "mac-learned",
]);

function decides(step: PublicStep): boolean {
  if (!isShown(step)) return true;
  if (step.kind === "rule") return step["matched"] === true;
  return !HOW.has(step.kind) && !isTraceChain(step);
}
