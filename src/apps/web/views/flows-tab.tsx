import { DROP_REASONS, VERDICTS } from "#core/tracing";
import {
  type FlowFilter,
  type FlowRow,
  NO_FILTER,
  clockTime,
  fullTime,
  packetText,
  plural,
  windowOf,
} from "#apps/web/model";
import { type ReactNode, memo, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { LiveState } from "../api/live.ts";
import type { Trace } from "../api/resources.ts";
import { Icon } from "../ui/icons.tsx";
import { Empty, Loading, Notice, Problem, VerdictMark } from "../ui/parts.tsx";
import { Link } from "../ui/router.tsx";
import { FlowFilters } from "./flow-filters.tsx";
import { type Flows, useFlows } from "./use-flows.ts";

/** Flows as they come, newest first, with a filter. */
export function FlowsTab({ trace }: { readonly trace: Trace }): ReactNode {
  const [filter, setFilter] = useState<FlowFilter>(NO_FILTER);
  const flows = useFlows(trace.id, filter);
  const { list, live, loading, error, gaps } = flows;
  const filtered = Object.values(filter).some((v) => v !== "");
  return (
    <section aria-label="Flows">
      <div className="list-bar">
        <FlowFilters filter={filter} onChange={setFilter} />
        <LiveMark state={live} enabled={trace.enabled} />
      </div>
      <Arrivals count={list.arrived} />
      {live === "lost" && (
        <Notice tone="unsure">
          Disconnected. It is tried again; what you see is what was known until then, and what is missed will be filled
          in.
        </Notice>
      )}
      {gaps > 0 && (
        <Notice tone="quiet">
          Some events were missed while the connection was down. The list was read anew: nothing that is still kept is
          missing.
        </Notice>
      )}
      {error !== null && list.rows.length === 0 ? (
        <Problem error={error} what="list of flows" retry={flows.reload} />
      ) : list.rows.length === 0 ? (
        loading ? (
          <Loading what="flows" />
        ) : (
          <NoFlows trace={trace} filtered={filtered} />
        )
      ) : (
        <FlowList traceId={trace.id} flows={flows} />
      )}
    </section>
  );
}

const LIVE_WORDS: Readonly<Record<LiveState, string>> = {
  connecting: "Connecting",
  live: "Live",
  lost: "Disconnected",
  ended: "Ended",
};

function LiveMark({ state, enabled }: { readonly state: LiveState; readonly enabled: boolean }): ReactNode {
  const words = state === "live" && !enabled ? "Off: nothing new comes" : LIVE_WORDS[state];
  return (
    <span className={`live live-${state === "live" && !enabled ? "ended" : state}`} role="status">
      <span className="live-dot" aria-hidden="true" />
      {words}
    </span>
  );
}

/** Says to a screen reader how many came, not more often than every five seconds. */
function Arrivals({ count }: { readonly count: number }): ReactNode {
  const [said, setSaid] = useState({ count: 0, text: "" });
  useEffect(() => {
    if (count <= said.count) return;
    const timer = setTimeout(
      () => setSaid((s) => ({ count, text: plural(count - s.count, "new flow") })),
      said.count === 0 ? 500 : 5_000,
    );
    return () => clearTimeout(timer);
  }, [count, said.count]);
  return (
    <div className="sr" aria-live="polite">
      {said.text}
    </div>
  );
}

function NoFlows({ trace, filtered }: { readonly trace: Trace; readonly filtered: boolean }): ReactNode {
  if (filtered) return <Empty title="No flow fits the filter">Flows that do will appear here as they come.</Empty>;
  if (!trace.enabled)
    return (
      <Empty title="No flows yet">
        <p>The trace is disabled: enable it, and each new flow that matches appears here.</p>
      </Empty>
    );
  return (
    <Empty title="Waiting for the first flow">
      <p>
        The trace is armed. The next packet that enters the device and matches appears here within a moment, without
        reloading.
      </p>
    </Empty>
  );
}

/** Narrow screens give each flow two lines. */
const NARROW = window.matchMedia("(max-width: 759px)");
const rowHeight = (): number => (NARROW.matches ? 76 : 38);

function FlowList({ traceId, flows }: { readonly traceId: string; readonly flows: Flows }): ReactNode {
  const { list, loadOlder } = flows;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const [rowPx, setRowPx] = useState(rowHeight);
  const seen = useRef(list.arrived);
  const [above, setAbove] = useState(0);
  const measure = (): void => {
    const { current } = box;
    if (current === null) return;
    setView({ top: current.scrollTop, height: current.clientHeight });
    if (current.scrollTop < 4) setAbove(0);
    if (current.scrollTop + current.clientHeight > current.scrollHeight - 30 * rowPx) loadOlder();
  };
  useEffect(() => {
    const onChange = (): void => {
      setRowPx(rowHeight());
      measure();
    };
    NARROW.addEventListener("change", onChange);
    window.addEventListener("resize", onChange);
    onChange();
    return () => {
      NARROW.removeEventListener("change", onChange);
      window.removeEventListener("resize", onChange);
    };
  });
  // Whoever has scrolled down reads on where they are, whatever comes above.
  useLayoutEffect(() => {
    const fresh = list.arrived - seen.current;
    seen.current = list.arrived;
    const { current } = box;
    if (current === null || fresh <= 0 || current.scrollTop < 4) return;
    current.scrollTop += fresh * rowPx;
    setAbove((n) => n + fresh);
  }, [list.arrived, rowPx]);
  const { rows } = list;
  const { from, to } = windowOf(rows.length, rowPx, view.top, view.height);
  return (
    <div className="flow-list" role="table" aria-label="Flows" aria-rowcount={rows.length + 1}>
      <div className="flow-row flow-head" role="row" aria-rowindex={1}>
        <span role="columnheader">Time</span>
        <span role="columnheader">Verdict</span>
        <span role="columnheader">Packet</span>
        <span role="columnheader">What happened</span>
        <span role="columnheader">Hosts</span>
      </div>
      <div className="flow-box" ref={box} onScroll={measure} role="rowgroup">
        <div className="flow-space" role="presentation" style={{ height: rows.length * rowPx }}>
          {rows.slice(from, to).map((row, i) => (
            <Row key={row.id} row={row} index={from + i} top={(from + i) * rowPx} traceId={traceId} />
          ))}
        </div>
      </div>
      {above > 0 && (
        <button
          type="button"
          className="button flow-above"
          onClick={() => {
            if (box.current !== null) box.current.scrollTop = 0;
          }}
        >
          <Icon name="up" />
          {plural(above, "new flow")}
        </button>
      )}
    </div>
  );
}

interface RowProps {
  readonly row: FlowRow;
  readonly index: number;
  readonly top: number;
  readonly traceId: string;
}

/** How long a flow that has just come is marked, ms. */
const NEW_MS = 1_500;

const Row = memo(function Row({ row, index, top, traceId }: RowProps): ReactNode {
  const packet = packetText(row.key);
  const reason = row.dropReason === null ? VERDICTS[row.verdict] : DROP_REASONS[row.dropReason];
  return (
    <div
      className={`flow-row${row.arrivedAtMs !== null && Date.now() - row.arrivedAtMs < NEW_MS ? " is-new" : ""}`}
      role="row"
      aria-rowindex={index + 2}
      style={{ transform: `translateY(${top}px)` }}
    >
      <span role="cell" className="flow-time" title={fullTime(row.startedAtMs)}>
        {clockTime(row.startedAtMs)}
      </span>
      <span role="cell" title={reason}>
        <VerdictMark verdict={row.verdict} />
      </span>
      <span role="cell" className="flow-packet">
        {packet === null ? (
          <span className="muted">entered elsewhere</span>
        ) : (
          <>
            <b>{packet.protocol}</b> {packet.from} <span className="muted">→</span> {packet.to}{" "}
            <span className="muted">{packet.note}</span>
          </>
        )}
      </span>
      <span role="cell" className="flow-why">
        <Link to={`/traces/${traceId}/flows/${row.id}`} className="row-link" title={row.why}>
          {row.why}
        </Link>
      </span>
      <span role="cell" className="flow-hosts">
        {row.pinned && (
          <span title="pinned: kept">
            <Icon name="pin" />
            <span className="sr">pinned </span>
          </span>
        )}
        {row.completeness !== "complete" && (
          <span className={`tag tone-${row.completeness === "partial" ? "unsure" : "quiet"}`}>{row.completeness}</span>
        )}
        <span className="cut muted">{row.hosts.join(", ")}</span>
      </span>
    </div>
  );
});
