import { conditionOfDto, conditionSentence, limitText } from "#apps/web/model";
import { type ReactNode, useState } from "react";
import {
  deleteTrace,
  download,
  enableTrace,
  getTrace,
  type Identity,
  mayChange,
  type Trace,
} from "../api/resources.ts";
import { isNotOffered } from "../api/client.ts";
import { Icon } from "../ui/icons.tsx";
import { Confirm, CopyButton, Loading, Notice, Problem, Switch, useTitle } from "../ui/parts.tsx";
import { Link, navigate } from "../ui/router.tsx";
import { useResource } from "../ui/use-resource.ts";
import { FlowsTab } from "./flows-tab.tsx";
import { PathsTab } from "./paths-tab.tsx";
import { DEVICE_WORD, DeviceLabel, traceName, useDeviceName, useExpression } from "./trace-parts.tsx";

interface TraceViewProps {
  readonly id: string;
  readonly tab: "flows" | "paths";
  readonly identity: Identity;
}

/** One trace request: what it asks for, and the flows that came of it. */
export function TraceView({ id, tab, identity }: TraceViewProps): ReactNode {
  const trace = useResource(`trace ${id}`, (signal) => getTrace(id, signal), 10_000);
  if (trace.value === undefined)
    return trace.error === null ? (
      <Loading what="trace" />
    ) : (
      <Problem alone error={trace.error} what="trace request" retry={trace.reload} />
    );
  return (
    <>
      <nav aria-label="Breadcrumb" className="crumbs">
        <Link to="/traces">Traces</Link>
      </nav>
      <TraceHead trace={trace.value} identity={identity} onChange={trace.reload} />
      {trace.error !== null && trace.error.status === 404 && (
        <Notice tone="unsure">This trace request was deleted meanwhile. Its flows are shown as they were read.</Notice>
      )}
      <nav className="tabs" aria-label="Results">
        <Link to={`/traces/${id}`} aria-current={tab === "flows" ? "page" : undefined}>
          Flows
        </Link>
        <Link to={`/traces/${id}/paths`} aria-current={tab === "paths" ? "page" : undefined}>
          Paths
        </Link>
      </nav>
      {tab === "flows" ? <FlowsTab trace={trace.value} /> : <PathsTab trace={trace.value} />}
    </>
  );
}

function TraceHead(props: {
  readonly trace: Trace;
  readonly identity: Identity;
  readonly onChange: () => void;
}): ReactNode {
  const { trace, identity, onChange } = props;
  const [busy, setBusy] = useState(false);
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [packets, setPackets] = useState(true);
  const name = traceName(trace);
  useTitle(name);
  const expression = useExpression(trace);
  const device = useDeviceName(trace.deviceType, trace.deviceId);
  const may = mayChange(identity);
  const where = `${DEVICE_WORD[trace.deviceType]} ${device}`;
  const sentence = conditionSentence(conditionOfDto(trace.condition), where);
  const run = async (what: string, work: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setProblem(null);
    try {
      await work();
      return true;
    } catch (error) {
      setProblem(`${what}: ${(error as Error).message}`);
      return false;
    } finally {
      setBusy(false);
      onChange();
    }
  };
  const remove = async (): Promise<void> => {
    setAsking(false);
    if (await run("It was not deleted", () => deleteTrace(trace.id))) navigate("/traces");
  };
  const save = (): void => {
    download(`/traces/${trace.id}/packets.pcapng`, `${name}.pcapng`).catch((error: unknown) => {
      if (isNotOffered(error)) setPackets(false);
      setProblem(`The packets could not be had: ${(error as Error).message}`);
    });
  };
  return (
    <section className="trace-head" aria-labelledby="trace-name">
      <div className="page-head">
        <h1 id="trace-name">{name}</h1>
        <div className="actions">
          <span className="switch-line">
            <Switch
              on={trace.enabled}
              label="Enabled"
              busy={busy}
              disabled={!may}
              onChange={(on) =>
                void run(on ? "It was not enabled" : "It was not disabled", () => enableTrace(trace.id, on))
              }
            />
            <span aria-hidden="true">{trace.enabled ? "Enabled" : "Disabled"}</span>
          </span>
          <CopyButton text={trace.id} label="Copy id" />
          {packets && (
            <button type="button" className="button" onClick={save}>
              <Icon name="download" />
              Packets
            </button>
          )}
          {may && (
            <button type="button" className="button button-danger" onClick={() => setAsking(true)}>
              <Icon name="trash" />
              Delete
            </button>
          )}
        </div>
      </div>
      {problem !== null && <Notice tone="bad">{problem}</Notice>}
      <p className="sentence">
        {sentence}
        {limitText(trace.limit) === "no limit" ? "." : `, ${limitText(trace.limit)} flows per host and enabling.`}
      </p>
      <p className="facts">
        <DeviceLabel type={trace.deviceType} id={trace.deviceId} />
        <code>{expression}</code>
      </p>
      {asking && (
        <Confirm title={`Delete ${name}?`} action="Delete" onYes={() => void remove()} onNo={() => setAsking(false)}>
          <p>The request and every flow that only it has traced are gone for good.</p>
        </Confirm>
      )}
    </section>
  );
}
