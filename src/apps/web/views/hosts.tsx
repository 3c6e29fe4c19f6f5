import { ago, bytesText, countText, offsetText } from "#apps/web/model";
import type { ReactNode } from "react";
import { type AgentReport, listAgents } from "../api/resources.ts";
import { Empty, Loading, Notice, Problem, useNow, useTitle } from "../ui/parts.tsx";
import { useResource } from "../ui/use-resource.ts";

const LEVELS = {
  full: "every step",
  verdict: "verdicts only: the budget is used up",
  count: "counting only: the budget is used up",
} as const;

/** The agents: who is there, what they trace, and what they had to leave out. */
export function HostsView(): ReactNode {
  useTitle("Hosts");
  const agents = useResource("agents", listAgents, 3_000);
  const now = useNow();
  const { value, error } = agents;
  return (
    <>
      <div className="page-head">
        <h1>Hosts</h1>
      </div>
      {error !== null && value !== undefined && (
        <Notice tone="unsure">The server does not answer. What is shown is of {ago(agents.readAtMs, now)}.</Notice>
      )}
      {value === undefined ? (
        error === null ? (
          <Loading what="hosts" />
        ) : (
          <Problem error={error} what="list of hosts" retry={agents.reload} />
        )
      ) : value === null ? (
        <Empty title="Hosts are not shown here">
          <p>This server does not tell, or you are not its administrator.</p>
        </Empty>
      ) : value.length === 0 ? (
        <Empty title="No agent has reported yet">
          <p>
            Each host runs <code>midotrace agent</code>, which registers in the store. A host appears here when its
            agent has told about itself.
          </p>
        </Empty>
      ) : (
        <AgentTable agents={value} now={now} />
      )}
    </>
  );
}

function AgentTable({ agents, now }: { readonly agents: readonly AgentReport[]; readonly now: number }): ReactNode {
  const sorted = agents.toSorted((a, b) => Number(a.alive) - Number(b.alive) || a.hostName.localeCompare(b.hostName));
  const down = agents.filter((a) => !a.alive).length;
  return (
    <>
      {down > 0 && (
        <Notice tone="bad">
          {down === 1 ? "One host does" : `${down} hosts do`} not report: flows that cross {down === 1 ? "it" : "them"}{" "}
          stay incomplete.
        </Notice>
      )}
      <div className="table-box">
        <table aria-label="Agents">
          <thead>
            <tr>
              <th scope="col">Host</th>
              <th scope="col">State</th>
              <th scope="col" className="number">
                Traces armed
              </th>
              <th scope="col">Detail</th>
              <th scope="col" className="number">
                Clock
              </th>
              <th scope="col" className="number">
                Spool
              </th>
              <th scope="col">Lost</th>
              <th scope="col">Last report</th>
            </tr>
          </thead>
          <tbody>
            {sorted.map((a) => (
              <AgentRow key={a.hostId} agent={a} now={now} />
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** Further apart than this, times of steps mislead. */
const CLOCK_MS = 250;

function AgentRow({ agent, now }: { readonly agent: AgentReport; readonly now: number }): ReactNode {
  const { alive, budget, spool, clockOffsetMs } = agent;
  const lost = Object.entries(agent.lost).filter(([, n]) => n > 0);
  return (
    <tr className={alive ? "" : "is-off"}>
      <th scope="row" title={agent.hostId}>
        {agent.hostName}
      </th>
      <td data-label="State">
        <span className={`tag tone-${alive ? "good" : "bad"}`}>{alive ? "alive" : "down"}</span>
      </td>
      <td data-label="Traces armed" className="number">
        {agent.tracesArmed === null ? "–" : countText(agent.tracesArmed)}
      </td>
      <td data-label="Detail">
        {budget === null ? (
          "–"
        ) : (
          <>
            <span className={budget.level === "full" ? "" : "tag tone-unsure"}>{LEVELS[budget.level]}</span>{" "}
            <span className="muted nowrap">
              {budget.eventsPerSecond === null ? "without bound" : `${countText(budget.eventsPerSecond)} events/s`}
            </span>
          </>
        )}
      </td>
      <td data-label="Clock" className="number nowrap">
        {clockOffsetMs === null ? (
          "–"
        ) : (
          <span className={Math.abs(clockOffsetMs) > CLOCK_MS ? "tag tone-unsure" : "muted"}>
            {offsetText(Math.round(clockOffsetMs))}
          </span>
        )}
      </td>
      <td data-label="Spool" className="number nowrap">
        {spool === null ? (
          "–"
        ) : spool.segments === 0 ? (
          <span className="muted">empty</span>
        ) : (
          `${countText(spool.segments)} (${bytesText(spool.bytes)})`
        )}
      </td>
      <td data-label="Lost">
        {lost.length === 0 ? (
          <span className="muted">nothing</span>
        ) : (
          lost.map(([cause, n]) => (
            <span key={cause} className="tag tone-bad">
              {countText(n)} {cause}
            </span>
          ))
        )}
      </td>
      <td data-label="Last report" className="nowrap">
        {agent.reportedAtMs === null ? <span className="muted">never</span> : ago(agent.reportedAtMs, now)}
      </td>
    </tr>
  );
}
