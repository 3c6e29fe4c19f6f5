import { ago, countText, limitText, plural, toneOf } from "#apps/web/model";
import type { Verdict } from "#core/tracing";
import { type ReactNode, useState } from "react";
import {
  enableTrace,
  type Identity,
  listTraces,
  mayChange,
  type Trace,
  traceSummaries,
  type TraceSummary,
} from "../api/resources.ts";
import { Icon } from "../ui/icons.tsx";
import { Empty, Loading, Notice, Problem, Switch, useNow, useTitle } from "../ui/parts.tsx";
import { Link } from "../ui/router.tsx";
import { useResource } from "../ui/use-resource.ts";
import { DeviceLabel, traceName, useExpression } from "./trace-parts.tsx";

const POLL_MS = 3_000;

/** The list of trace requests: what is asked for, on or off, and what came of it. */
export function TracesView({ identity }: { readonly identity: Identity }): ReactNode {
  useTitle("Traces");
  const traces = useResource("traces", listTraces, POLL_MS);
  const summaries = useResource("summaries", traceSummaries, POLL_MS);
  const [refusal, setRefusal] = useState<string | null>(null);
  const list = traces.value;
  const counts = new Map((summaries.value ?? []).map((s) => [s.id, s]));
  const toggle = async (trace: Trace, on: boolean): Promise<void> => {
    setRefusal(null);
    try {
      await enableTrace(trace.id, on);
    } catch (error) {
      setRefusal(`${traceName(trace)} was not ${on ? "enabled" : "disabled"}: ${(error as Error).message}`);
    }
    traces.reload();
  };
  return (
    <>
      <div className="page-head">
        <h1>Traces</h1>
        {mayChange(identity) && (
          <Link to="/traces/new" className="button button-primary">
            <Icon name="plus" />
            New trace
          </Link>
        )}
      </div>
      {refusal !== null && <Notice tone="bad">{refusal}</Notice>}
      {traces.error !== null && list !== undefined && (
        <Notice tone="unsure">The server does not answer. What is shown may be out of date; it is asked again.</Notice>
      )}
      {list === undefined ? (
        traces.error === null ? (
          <Loading what="traces" />
        ) : (
          <Problem error={traces.error} what="list of traces" retry={traces.reload} />
        )
      ) : list.length === 0 ? (
        <NoTraces may={mayChange(identity)} />
      ) : (
        <TraceTable
          traces={list}
          counts={summaries.value === null ? null : counts}
          may={mayChange(identity)}
          onToggle={toggle}
        />
      )}
    </>
  );
}

function NoTraces({ may }: { readonly may: boolean }): ReactNode {
  return (
    <Empty title="Nothing is being traced">
      <p>
        A trace request names a bridge, router or port and says which packets to follow. While it is enabled, every new
        flow that matches is recorded hop by hop, on every host it crosses.
      </p>
      {may && (
        <p>
          <Link to="/traces/new" className="button button-primary">
            New trace
          </Link>
        </p>
      )}
    </Empty>
  );
}

interface TableProps {
  readonly traces: readonly Trace[];
  /** Null: the server does not count. */
  readonly counts: ReadonlyMap<string, TraceSummary> | null;
  readonly may: boolean;
  readonly onToggle: (trace: Trace, on: boolean) => Promise<void>;
}

function TraceTable({ traces, counts, may, onToggle }: TableProps): ReactNode {
  const now = useNow();
  const sorted = traces.toSorted(
    (a, b) => Number(b.enabled) - Number(a.enabled) || b.creationTimestampMs - a.creationTimestampMs,
  );
  return (
    <div className="table-box">
      <table className="traces" aria-label="Trace requests">
        <thead>
          <tr>
            <th scope="col">On</th>
            <th scope="col">Name</th>
            <th scope="col">Device</th>
            <th scope="col">Matches</th>
            <th scope="col" className="number">
              Limit
            </th>
            {counts !== null && (
              <>
                <th scope="col" className="number">
                  Flows
                </th>
                <th scope="col">Outcome</th>
                <th scope="col">Last flow</th>
              </>
            )}
          </tr>
        </thead>
        <tbody>
          {sorted.map((t) => (
            <TraceRow key={t.id} trace={t} counts={counts} now={now} may={may} onToggle={onToggle} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function TraceRow(props: Omit<TableProps, "traces"> & { readonly trace: Trace; readonly now: number }): ReactNode {
  const { trace, counts, now, may, onToggle } = props;
  const [busy, setBusy] = useState(false);
  const expression = useExpression(trace);
  const count = counts?.get(trace.id);
  const name = traceName(trace);
  const last = count?.lastFlowAtMs ?? null;
  return (
    <tr className={trace.enabled ? "" : "is-off"}>
      <td>
        <Switch
          on={trace.enabled}
          label={`Trace ${name}`}
          busy={busy}
          disabled={!may}
          onChange={(on) => {
            setBusy(true);
            void onToggle(trace, on).finally(() => setBusy(false));
          }}
        />
      </td>
      <th scope="row">
        <Link to={`/traces/${trace.id}`} className="row-link">
          {name}
        </Link>
      </th>
      <td data-label="Device">
        <DeviceLabel type={trace.deviceType} id={trace.deviceId} />
      </td>
      <td data-label="Matches">
        <code>{expression}</code>
      </td>
      <td data-label="Limit" className="number muted">
        {limitText(trace.limit)}
      </td>
      {counts !== null && (
        <>
          <td data-label="Flows" className="number">
            {count === undefined ? "–" : countText(count.flows)}
          </td>
          <td data-label="Outcome">{count !== undefined && <Outcome verdicts={count.verdicts} />}</td>
          <td data-label="Last flow" className="nowrap">
            {last === null ? <span className="muted">none yet</span> : ago(last, now)}
          </td>
        </>
      )}
    </tr>
  );
}

/** Verdicts as a bar, and in words for who does not see it. */
export function Outcome({ verdicts }: { readonly verdicts: TraceSummary["verdicts"] }): ReactNode {
  const parts = Object.entries(verdicts).filter(([, n]) => n > 0) as [Verdict, number][];
  const all = parts.reduce((sum, [, n]) => sum + n, 0);
  if (all === 0) return <span className="muted">–</span>;
  const words = parts.map(([verdict, n]) => `${countText(n)} ${verdict}`).join(", ");
  const bad = parts.filter(([v]) => toneOf(v) === "bad").reduce((sum, [, n]) => sum + n, 0);
  return (
    <span className="outcome" title={words}>
      <svg className="outcome-bar" viewBox={`0 0 ${all} 1`} preserveAspectRatio="none" aria-hidden="true">
        {bars(parts).map((bar) => (
          <rect key={bar.verdict} className={`tone-${toneOf(bar.verdict)}`} x={bar.x} y="0" width={bar.n} height="1" />
        ))}
      </svg>
      <span className="sr">{words}</span>
      {bad > 0 && (
        <span className="outcome-bad" aria-hidden="true">
          {plural(bad, "failure")}
        </span>
      )}
    </span>
  );
}

function bars(parts: readonly [Verdict, number][]): { verdict: Verdict; x: number; n: number }[] {
  let x = 0;
  return parts.map(([verdict, n]) => {
    const bar = { verdict, x, n };
    x += n;
    return bar;
  });
}
