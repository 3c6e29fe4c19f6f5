import { type ReactNode, useState } from "react";
import { CopyButton } from "../ui/parts.tsx";

/** The answer of the API as it is, for tickets and scripts. */
export function RawJson({ value, name }: { readonly value: unknown; readonly name: string }): ReactNode {
  const [open, setOpen] = useState(false);
  const text = open ? JSON.stringify(value, null, 2) : "";
  return (
    <details className="raw" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Raw JSON</summary>
      {open && (
        <>
          <CopyButton text={text} label="Copy JSON" />
          <pre tabIndex={0} aria-label={name}>
            {text}
          </pre>
        </>
      )}
    </details>
  );
}
