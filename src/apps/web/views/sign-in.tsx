import { type FormEvent, type ReactNode, useId, useState } from "react";
import { ApiError } from "../api/client.ts";
import { login } from "../api/resources.ts";
import { Notice, useTitle } from "../ui/parts.tsx";

/** Name and password for a token. @param props.expired somebody was signed in, and the server no longer takes the token. */
export function SignIn(props: { readonly expired: boolean; readonly onSignedIn: () => void }): ReactNode {
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const problemId = useId();
  useTitle("Sign in");
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    const text = (name: string): string => {
      const value = data.get(name);
      return typeof value === "string" ? value : "";
    };
    setBusy(true);
    setProblem(null);
    try {
      await login(text("user"), text("password"), text("project").trim());
      props.onSignedIn();
    } catch (error) {
      const wrong = error instanceof ApiError && error.status === 401;
      setProblem(wrong ? "The name or the password is wrong." : (error as Error).message);
      setBusy(false);
    }
  };
  return (
    <main className="sign-in">
      <form className="card" aria-labelledby="sign-in-title" onSubmit={(event) => void submit(event)}>
        <h1 id="sign-in-title">
          <img src="/favicon.svg" alt="" width="28" height="28" />
          Midotrace
        </h1>
        {props.expired && problem === null && <Notice tone="unsure">Your session has ended. Sign in again.</Notice>}
        {problem !== null && (
          <div id={problemId}>
            <Notice tone="bad">{problem}</Notice>
          </div>
        )}
        <label>
          User name
          <input
            name="user"
            autoComplete="username"
            autoFocus
            required
            aria-describedby={problem === null ? undefined : problemId}
          />
        </label>
        <label>
          Password
          <input name="password" type="password" autoComplete="current-password" required />
        </label>
        <label>
          Project <span className="muted">(only where a user has several)</span>
          <input name="project" autoComplete="organization" />
        </label>
        <button type="submit" className="button button-primary" disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
      </form>
    </main>
  );
}
