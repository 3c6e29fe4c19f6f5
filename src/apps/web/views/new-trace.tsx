import { conditionSentence, readExpression } from "#apps/web/model";
import { type FormEvent, type ReactNode, useMemo, useState } from "react";
import { ApiError } from "../api/client.ts";
import { type Device, listDevices } from "../api/devices.ts";
import { createTrace, type Identity, mayChange } from "../api/resources.ts";
import { Empty, Notice, useTitle } from "../ui/parts.tsx";
import { Link, navigate } from "../ui/router.tsx";
import { useResource } from "../ui/use-resource.ts";
import { ConditionBuilder } from "./condition-builder.tsx";
import { type ChosenDevice, DevicePicker } from "./device-picker.tsx";
import { DEVICE_WORD } from "./trace-parts.tsx";

const NO_DEVICES: readonly Device[] = [];

/** A new trace request: which device, which packets, how many flows. */
export function NewTraceView({ identity }: { readonly identity: Identity }): ReactNode {
  useTitle("New trace");
  const devices = useResource("devices", listDevices);
  const [device, setDevice] = useState<ChosenDevice | null>(null);
  const [expression, setExpression] = useState("any");
  const [name, setName] = useState("");
  const [limit, setLimit] = useState("100");
  const [enabled, setEnabled] = useState(true);
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ApiError | null>(null);
  const read = useMemo(() => readExpression(expression), [expression]);
  const limitWrong = limit.trim() !== "" && !/^[1-9]\d{0,14}$/.test(limit.trim());
  if (!mayChange(identity))
    return (
      <Empty alone title="Your role may look, not trace">
        <p>Creating trace requests needs the role of an administrator.</p>
      </Empty>
    );
  const where = device === null ? "the device" : `${DEVICE_WORD[device.type]} ${device.name}`;
  const sentence = read.ok ? conditionSentence(read.condition, where) : null;
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setTried(true);
    if (device === null || !read.ok || limitWrong) {
      document.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
      return;
    }
    setBusy(true);
    setProblem(null);
    try {
      const id = await createTrace({
        name: name.trim() === "" ? `${device.name} ${expression}` : name.trim(),
        deviceType: device.type,
        deviceId: device.id,
        condition: expression,
        ...(limit.trim() === "" ? {} : { limit: Number(limit) }),
        enabled,
      });
      navigate(`/traces/${id}`);
    } catch (error) {
      setProblem(error instanceof ApiError ? error : new ApiError(0, String(error)));
      setBusy(false);
    }
  };
  return (
    <>
      <nav aria-label="Breadcrumb" className="crumbs">
        <Link to="/traces">Traces</Link>
      </nav>
      <h1>New trace</h1>
      <form className="new-trace" noValidate onSubmit={(event) => void submit(event)}>
        <fieldset className="card">
          <legend>Where</legend>
          <DevicePicker
            devices={devices.value ?? NO_DEVICES}
            loading={devices.loading}
            missing={tried && device === null}
            onChange={setDevice}
          />
        </fieldset>
        <fieldset className="card">
          <legend>Which packets</legend>
          <ConditionBuilder expression={expression} read={read} onChange={setExpression} />
        </fieldset>
        <fieldset className="card">
          <legend>How many</legend>
          <div className="form-row">
            <label>
              Flows per host
              <input
                inputMode="numeric"
                value={limit}
                placeholder="no limit"
                aria-invalid={limitWrong}
                aria-describedby="limit-help"
                onChange={(event) => setLimit(event.target.value)}
              />
            </label>
            <label className="grow">
              Name
              <input
                value={name}
                placeholder={device === null ? "" : `${device.name} ${expression}`}
                onChange={(event) => setName(event.target.value)}
              />
            </label>
          </div>
          <p id="limit-help" className={limitWrong ? "help tone-bad" : "help"}>
            {limitWrong
              ? "A whole number from 1 on, or nothing for no limit."
              : "Each host traces so many flows, then stops. Disabling and enabling starts the count anew."}
          </p>
          <label className="check">
            <input type="checkbox" checked={enabled} onChange={(event) => setEnabled(event.target.checked)} />
            Enable it at once
          </label>
        </fieldset>
        <div className="preview card" aria-live="polite">
          <h2>This will match</h2>
          <p className="sentence">
            {sentence === null ? "Nothing yet: the expression is not complete." : `${sentence}.`}
          </p>
          <code>{expression}</code>
        </div>
        {problem !== null && (
          <Notice tone="bad">
            {problem.message}
            {problem.status === 403 && " Only devices of your own tenant can be traced."}
          </Notice>
        )}
        <div className="actions">
          <button type="submit" className="button button-primary" disabled={busy}>
            {busy ? "Creating…" : enabled ? "Create and enable" : "Create"}
          </button>
          <Link to="/traces" className="button button-quiet">
            Cancel
          </Link>
        </div>
      </form>
    </>
  );
}
