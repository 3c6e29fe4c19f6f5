import {
  type ConditionForm,
  EMPTY_FORM,
  expressionOf,
  fieldsOff,
  formOf,
  type Protocol,
  PROTOCOLS,
  readExpression,
  type ReadExpression,
} from "#apps/web/model";
import { type ReactNode, useState } from "react";

interface BuilderProps {
  readonly expression: string;
  readonly read: ReadExpression;
  readonly onChange: (expression: string) => void;
}

/** Fields and expression side by side: each writes the other, as far as fields can say it. */
export function ConditionBuilder({ expression, read, onChange }: BuilderProps): ReactNode {
  const [form, setForm] = useState<ConditionForm>(EMPTY_FORM);
  /** The expression says more than the fields can. */
  const [beyond, setBeyond] = useState(false);
  const set = (fields: Partial<ConditionForm>): void => {
    const next = { ...form, ...fields };
    setForm(next);
    setBeyond(false);
    onChange(expressionOf(next));
  };
  const typed = (text: string, condition: ReadExpression): void => {
    onChange(text);
    const found = condition.ok ? formOf(condition.condition) : null;
    if (found !== null) setForm(found);
    setBeyond(condition.ok && found === null);
  };
  const off = fieldsOff(form.protocol);
  return (
    <>
      <div className="form-row" aria-disabled={beyond}>
        <label>
          Protocol
          <select value={form.protocol} onChange={(event) => set({ protocol: event.target.value as Protocol })}>
            {Object.entries(PROTOCOLS).map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <Address
          side="Source"
          value={form.src}
          not={form.srcNot}
          off={off.addresses}
          onChange={(src, srcNot) => set({ src, srcNot })}
        />
        <Address
          side="Destination"
          value={form.dst}
          not={form.dstNot}
          off={off.addresses}
          onChange={(dst, dstNot) => set({ dst, dstNot })}
        />
      </div>
      <div className="form-row">
        <label>
          Source port
          <input
            value={form.srcPort}
            placeholder="any, 80, 8000-8100"
            disabled={off.ports}
            onChange={(event) => set({ srcPort: event.target.value })}
          />
        </label>
        <label>
          Destination port
          <input
            value={form.dstPort}
            placeholder="any, 80, 8000-8100"
            disabled={off.ports}
            onChange={(event) => set({ dstPort: event.target.value })}
          />
        </label>
        <label>
          VLAN
          <input
            value={form.vlan}
            placeholder="any"
            inputMode="numeric"
            onChange={(event) => set({ vlan: event.target.value })}
          />
        </label>
      </div>
      <label htmlFor="expression">Expression</label>
      <Expression text={expression} read={read} onChange={typed} />
      <p id="expression-help" className={read.ok ? "help" : "help tone-bad"} role={read.ok ? undefined : "alert"}>
        {!read.ok
          ? read.message
          : beyond
            ? "The expression says more than the fields above: they are left as they were."
            : "pcap-filter's words: tcp and src net 10.0.1.0/24 and dst port 80"}
      </p>
    </>
  );
}

interface AddressProps {
  readonly side: "Source" | "Destination";
  readonly value: string;
  readonly not: boolean;
  readonly off: boolean;
  readonly onChange: (value: string, not: boolean) => void;
}

function Address({ side, value, not, off, onChange }: AddressProps): ReactNode {
  const id = `address-${side}`;
  return (
    <div className="address grow">
      <label htmlFor={id}>{side}</label>
      <div className="joined">
        <select
          aria-label={`${side} is or is not`}
          value={not ? "not" : "is"}
          disabled={off}
          onChange={(event) => onChange(value, event.target.value === "not")}
        >
          <option value="is">is</option>
          <option value="not">is not</option>
        </select>
        <input
          id={id}
          value={value}
          placeholder="any, 10.0.1.10, 10.0.1.0/24"
          disabled={off}
          spellCheck={false}
          onChange={(event) => onChange(event.target.value, not)}
        />
      </div>
    </div>
  );
}

interface ExpressionProps {
  readonly text: string;
  readonly read: ReadExpression;
  readonly onChange: (text: string, read: ReadExpression) => void;
}

function Expression({ text, read, onChange }: ExpressionProps): ReactNode {
  return (
    <input
      id="expression"
      className="mono"
      value={text}
      spellCheck={false}
      autoComplete="off"
      aria-invalid={!read.ok}
      aria-describedby="expression-help"
      onChange={(event) => onChange(event.target.value, readExpression(event.target.value))}
    />
  );
}
