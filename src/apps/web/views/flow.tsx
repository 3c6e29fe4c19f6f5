import { type Advice, DROP_ADVICE, type DropReason } from "#core/tracing";
import { clockTime, flowPath, type FlowPath, fullTime, packetLine, shortName, type ShownFlow } from "#apps/web/model";
import { lazy, type ReactNode, Suspense, useCallback, useMemo, useState } from "react";
import { ApiError, isNotOffered } from "../api/client.ts";
import { download, getFlow, type Identity, mayChange, pinFlow } from "../api/resources.ts";
import { Icon } from "../ui/icons.tsx";
import { CopyButton, Loading, Notice, Problem, Prose, useTitle, VerdictMark } from "../ui/parts.tsx";
import { Link } from "../ui/router.tsx";
import { useResource } from "../ui/use-resource.ts";
import { CompletenessNotice } from "./completeness.tsx";
import { RawJson } from "./raw-json.tsx";
import { StepsTable } from "./steps-table.tsx";

// The drawing is the heaviest part, and the sentence need not wait for it.
const PathGraph = lazy(() => import("./path-graph.tsx").then((m) => ({ default: m.PathGraph })));

interface FlowViewProps {
  readonly traceId: string;
  readonly flowId: string;
  readonly identity: Identity;
}

/** One flow: the sentence and the failing hop first, then the way it took, then every step. */
export function FlowView({ traceId, flowId, identity }: FlowViewProps): ReactNode {
  const [awaiting, setAwaiting] = useState(true);
  const flow = useResource(
    `flow ${flowId}`,
    async (signal) => {
      const found = await getFlow(traceId, flowId, signal);
      setAwaiting(found.completeness.missing.some((m) => m.reason === "awaited"));
      return found;
    },
    awaiting ? 1_500 : undefined,
  );
  const { value, error } = flow;
  return (
    <>
      <nav aria-label="Breadcrumb" className="crumbs">
        <Link to="/traces">Traces</Link>
        <span aria-hidden="true">/</span>
        <Link to={`/traces/${traceId}`}>Flows</Link>
      </nav>
      {value === undefined ? (
        error === null ? (
          <Loading what="flow" />
        ) : (
          <Problem
            alone
            error={error}
            what="flow"
            retry={flow.reload}
            gone={
              <p>
                It is no longer kept, or never was here: the store keeps the newest flows, and those that are pinned. A
                flow that you need for longer is kept by pinning it.
              </p>
            }
          />
        )
      ) : (
        <Flow flow={value} traceId={traceId} identity={identity} onChange={flow.reload} />
      )}
    </>
  );
}

interface FlowProps {
  readonly flow: ShownFlow;
  readonly traceId: string;
  readonly identity: Identity;
  readonly onChange: () => void;
}

function Flow({ flow, traceId, identity, onChange }: FlowProps): ReactNode {
  const path = useMemo(() => flowPath(flow), [flow]);
  const [selected, setSelected] = useState<string | null>(null);
  useTitle(flow.why);
  const select = useCallback((hop: string): void => {
    setSelected(hop);
    document.getElementById(`hop-${hop}`)?.scrollIntoView({ block: "nearest" });
  }, []);
  return (
    <article className="flow" aria-labelledby="flow-why">
      <header className={`flow-top${path.failing === null ? "" : " has-failed"}`}>
        <VerdictMark verdict={flow.verdict} big />
        <h1 id="flow-why">{flow.why}</h1>
        <p className="facts">
          <span className="mono">{packetLine(flow.key)}</span>
          <time className="muted" title={fullTime(flow.startedAtMs)}>
            {clockTime(flow.startedAtMs)}
          </time>
        </p>
        {path.failing !== null && <Failing failing={path.failing} path={path} onShow={select} />}
        <CompletenessNotice flow={flow} />
        <FlowActions flow={flow} traceId={traceId} identity={identity} onChange={onChange} />
      </header>
      <div className="flow-columns">
        <section className="flow-path" aria-label="Path">
          <Suspense fallback={<Loading what="drawing" />}>
            <PathGraph path={path} selected={selected} onSelect={select} />
          </Suspense>
        </section>
        <section className="flow-steps" aria-label="Steps">
          <StepsTable path={path} startedAtMs={flow.startedAtMs} selected={selected} onSelect={setSelected} />
        </section>
      </div>
      <RawJson value={flow} name={`flow-${flow.flowTraceId}.json`} />
    </article>
  );
}

/** Where it ended and by what decision, before anything else. */
function Failing(props: {
  readonly failing: NonNullable<FlowPath["failing"]>;
  readonly path: FlowPath;
  readonly onShow: (hop: string) => void;
}): ReactNode {
  const { hop, step } = props.failing;
  const host = props.path.groups[hop.segment]?.segment.hostName ?? "";
  const device = hop.device;
  const advice = DROP_ADVICE[step["reason"] as DropReason] as Advice | undefined;
  const at = hop.steps.indexOf(step);
  const decided = hop.steps
    .slice(0, at)
    .findLast((s) => s.withheld !== true && s.kind === "rule" && s["matched"] === true);
  return (
    <div className="failing" role="group" aria-label="Failing hop">
      <div>
        <p className="failing-where">
          <Icon name="cross" />
          <span>
            Failing hop: {device === null ? "" : `${device.type} `}
            <b>{device === null ? "unknown" : device.name === "" ? device.id : device.name}</b>
            {hop.inPort === null ? "" : `, entered by port ${shortName(hop.inPort)}`}, on {host}
          </span>
        </p>
        <p>{step.text}</p>
        {decided !== undefined && decided.withheld !== true && <p>{decided.text}</p>}
        {advice !== undefined && (
          <p className="advice">
            <Prose text={advice.say} />
          </p>
        )}
      </div>
      <button type="button" className="button" onClick={() => props.onShow(hop.id)}>
        Show step {step.seq}
      </button>
    </div>
  );
}

function FlowActions({ flow, traceId, identity, onChange }: FlowProps): ReactNode {
  const [note, setNote] = useState<string | null>(null);
  const [pin, setPin] = useState(true);
  const [packet, setPacket] = useState(true);
  const said = (what: string, hide: () => void) => (error: unknown) => {
    if (isNotOffered(error)) hide();
    setNote(
      `${what}: ${error instanceof ApiError && error.status === 404 ? "there is none" : (error as Error).message}`,
    );
  };
  const id = flow.flowTraceId;
  const counterparts = flow.counterparts ?? [];
  return (
    <>
      <div className="actions">
        <CopyButton text={window.location.href} label="Copy link" icon="link" />
        {counterparts.map((other, i) => (
          <Link key={other} to={`/traces/${traceId}/flows/${other}`} className="button">
            <Icon name="swap" />
            Other direction{counterparts.length > 1 ? ` ${i + 1}` : ""}
          </Link>
        ))}
        {pin && flow.pinned !== undefined && mayChange(identity) && (
          <button
            type="button"
            className="button"
            aria-pressed={flow.pinned}
            onClick={() =>
              void pinFlow(traceId, id, flow.pinned !== true).then(
                onChange,
                said("It was not pinned", () => setPin(false)),
              )
            }
          >
            <Icon name="pin" />
            {flow.pinned ? "Pinned" : "Pin"}
          </button>
        )}
        {packet && (
          <button
            type="button"
            className="button"
            onClick={() =>
              void download(`/traces/${traceId}/flows/${id}/packet.pcapng`, `flow-${id}.pcapng`).catch(
                said("No packet to download", () => setPacket(false)),
              )
            }
          >
            <Icon name="download" />
            Packet
          </button>
        )}
        <span className="muted mono flow-id">{id}</span>
      </div>
      {note !== null && <Notice tone="quiet">{note}</Notice>}
    </>
  );
}
