import { COMPLETENESS_STATES, VERDICTS } from "#core/tracing";
import { type FlowFilter, NO_FILTER } from "#apps/web/model";
import { type ReactNode, useEffect, useRef, useState } from "react";

/** How long typing rests before it is searched, ms. */
const REST_MS = 350;

/** The words of the API, as fields; texts count when typing rests. */
export function FlowFilters(props: {
  readonly filter: FlowFilter;
  readonly onChange: (filter: FlowFilter) => void;
}): ReactNode {
  const { filter, onChange } = props;
  const [draft, setDraft] = useState(filter);
  const [more, setMore] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const set = (field: keyof FlowFilter, value: string, rest: boolean): void => {
    const next = { ...draft, [field]: value };
    setDraft(next);
    clearTimeout(timer.current);
    if (rest) timer.current = setTimeout(() => onChange(trimmed(next)), REST_MS);
    else onChange(trimmed(next));
  };
  const text = (field: keyof FlowFilter, label: string, placeholder: string): ReactNode => (
    <label>
      <span>{label}</span>
      <input
        type="text"
        value={draft[field]}
        placeholder={placeholder}
        spellCheck={false}
        onChange={(event) => set(field, event.target.value, true)}
      />
    </label>
  );
  const choice = (field: keyof FlowFilter, label: string, values: readonly string[]): ReactNode => (
    <label>
      <span>{label}</span>
      <select value={draft[field]} onChange={(event) => set(field, event.target.value, false)}>
        <option value="">any</option>
        {values.map((v) => (
          <option key={v}>{v}</option>
        ))}
      </select>
    </label>
  );
  const used = Object.values(draft).some((v) => v !== "");
  return (
    <form className="filters" role="search" aria-label="Filter flows" onSubmit={(event) => event.preventDefault()}>
      {choice("verdict", "Verdict", Object.keys(VERDICTS))}
      {text("address", "Address", "10.0.1.10")}
      {more && (
        <>
          {text("l4Port", "L4 port", "80")}
          {text("host", "Host", "name or id")}
          {text("device", "Device", "name or id")}
          {choice("completeness", "Completeness", Object.keys(COMPLETENESS_STATES))}
        </>
      )}
      <button type="button" className="button button-quiet" aria-expanded={more} onClick={() => setMore(!more)}>
        {more ? "Fewer" : "More filters"}
      </button>
      {used && (
        <button
          type="button"
          className="button button-quiet"
          onClick={() => {
            clearTimeout(timer.current);
            setDraft(NO_FILTER);
            onChange(NO_FILTER);
          }}
        >
          Clear
        </button>
      )}
    </form>
  );
}

function trimmed(filter: FlowFilter): FlowFilter {
  const out: Record<keyof FlowFilter, string> = { ...filter };
  for (const name of Object.keys(out) as (keyof FlowFilter)[]) out[name] = out[name].trim();
  return out;
}
