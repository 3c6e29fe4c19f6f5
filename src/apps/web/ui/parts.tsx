import type { Verdict } from "#core/tracing";
import { toneOf } from "#apps/web/model";
import { type ReactNode, useEffect, useState } from "react";
import type { ApiError } from "../api/client.ts";
import { Icon, type IconName } from "./icons.tsx";
import { Link } from "./router.tsx";

const VERDICT_ICON: Readonly<Record<ReturnType<typeof toneOf>, IconName>> = {
  good: "check",
  bad: "cross",
  unsure: "question",
  quiet: "dot",
};

/** A verdict by colour, shape and word: never by colour alone. */
export function VerdictMark({ verdict, big }: { readonly verdict: Verdict; readonly big?: boolean }): ReactNode {
  const tone = toneOf(verdict);
  return (
    <span className={`verdict tone-${tone}${big === true ? " verdict-big" : ""}`}>
      <Icon name={VERDICT_ICON[tone]} />
      {verdict}
    </span>
  );
}

/** Nothing to show, and what to do about it. */
export function Empty(props: {
  readonly title: string;
  /** It is all that the page has to say. */
  readonly alone?: boolean;
  readonly children?: ReactNode;
}): ReactNode {
  return (
    <div className="empty">
      {props.alone === true && <Title text={props.title} />}
      {props.alone === true ? <h1>{props.title}</h1> : <h2>{props.title}</h2>}
      {props.children}
    </div>
  );
}

function Title({ text }: { readonly text: string }): ReactNode {
  useTitle(text);
  return null;
}

/** Shown after a moment: what comes at once need not flicker. */
export function Loading({ what }: { readonly what: string }): ReactNode {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 250);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div className={late ? "loading" : "loading loading-early"} role="status">
      <span className="loading-bar" aria-hidden="true" />
      <span>Loading {what}…</span>
    </div>
  );
}

interface ProblemProps {
  readonly error: ApiError;
  /** "this flow": what could not be had. */
  readonly what: string;
  /** What it means that it is not there. */
  readonly gone?: ReactNode;
  readonly retry?: () => void;
  readonly alone?: boolean;
}

/** What could not be had, why, and the way on. */
export function Problem({ error, what, gone, retry, alone = false }: ProblemProps): ReactNode {
  if (error.status === 404) {
    return (
      <Empty alone={alone} title={`There is no ${what}`}>
        {gone ?? <p>It was deleted, or the address is wrong.</p>}
        <p>
          <Link to="/traces" className="button">
            All traces
          </Link>
        </p>
      </Empty>
    );
  }
  if (error.status === 403) {
    return (
      <Empty alone={alone} title="Not yours to see">
        <p>The {what} belongs to another tenant, or your role does not allow it.</p>
        <p>
          <Link to="/traces" className="button">
            Your traces
          </Link>
        </p>
      </Empty>
    );
  }
  const away = error.status === 0 || error.status === 503;
  return (
    <Empty alone={alone} title={away ? "The server does not answer" : `The ${what} could not be read`}>
      <p>{error.message}</p>
      {retry !== undefined && (
        <p>
          <button type="button" className="button" onClick={retry}>
            Try again
          </button>
        </p>
      )}
    </Empty>
  );
}

/** On top of something that is shown although it may be stale. */
export function Notice(props: { readonly tone: "unsure" | "bad" | "quiet"; readonly children: ReactNode }): ReactNode {
  return (
    <div className={`notice tone-${props.tone}`} role="status">
      <Icon name="alert" />
      <div>{props.children}</div>
    </div>
  );
}

interface SwitchProps {
  readonly on: boolean;
  readonly label: string;
  readonly busy?: boolean;
  readonly disabled?: boolean;
  readonly onChange: (on: boolean) => void;
}

/** On or off, at once. */
export function Switch({ on, label, busy, disabled, onChange }: SwitchProps): ReactNode {
  return (
    <button
      type="button"
      role="switch"
      aria-checked={on}
      aria-label={label}
      aria-busy={busy === true}
      disabled={disabled === true}
      className="switch"
      onClick={() => {
        if (busy !== true) onChange(!on);
      }}
    >
      <span aria-hidden="true" />
    </button>
  );
}

/** Copies a text and says so. */
export function CopyButton(props: {
  readonly text: string;
  readonly label: string;
  readonly icon?: IconName;
}): ReactNode {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1_500);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(props.text);
    setDone(true);
  };
  return (
    <button type="button" className="button" onClick={() => void copy().catch(() => undefined)}>
      <Icon name={done ? "check" : (props.icon ?? "copy")} />
      <span aria-live="polite">{done ? "Copied" : props.label}</span>
    </button>
  );
}

/** Asks before something is gone for good. */
export function Confirm(props: {
  readonly title: string;
  readonly children: ReactNode;
  readonly action: string;
  readonly onYes: () => void;
  readonly onNo: () => void;
}): ReactNode {
  return (
    <dialog
      className="dialog"
      aria-labelledby="confirm-title"
      ref={(element) => {
        if (element !== null && !element.open) element.showModal();
      }}
      onCancel={(event) => {
        event.preventDefault();
        props.onNo();
      }}
    >
      <h2 id="confirm-title">{props.title}</h2>
      {props.children}
      <div className="dialog-actions">
        <button type="button" className="button" autoFocus onClick={props.onNo}>
          Keep it
        </button>
        <button type="button" className="button button-danger" onClick={props.onYes}>
          {props.action}
        </button>
      </div>
    </dialog>
  );
}

/** A text in which `words` between backticks are code. */
export function Prose({ text }: { readonly text: string }): ReactNode {
  return text.split("`").map((part, i) => (i % 2 === 1 ? <code key={i}>{part}</code> : part));
}

/** The title of the tab, which a screen reader says first. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Midotrace`;
  }, [title]);
}

/** Now, once a second, for "3 s ago". */
export function useNow(everyMs = 1_000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") setNow(Date.now());
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
