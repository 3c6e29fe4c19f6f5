import { type ReactNode, useCallback, useEffect, useState } from "react";
import { ApiError, onSignedOut, token } from "../api/client.ts";
import { type Identity, isAdmin, whoami } from "../api/resources.ts";
import { Icon } from "../ui/icons.tsx";
import { Loading, Problem } from "../ui/parts.tsx";
import { Link, navigate, usePath } from "../ui/router.tsx";
import { toggleTheme, useTheme } from "../ui/theme.ts";
import { FlowView } from "./flow.tsx";
import { HostsView } from "./hosts.tsx";
import { NewTraceView } from "./new-trace.tsx";
import { SignIn } from "./sign-in.tsx";
import { TraceView } from "./trace.tsx";
import { TracesView } from "./traces.tsx";

type Who = { readonly kind: "asking" } | { readonly kind: "nobody"; readonly before: boolean } | Known | Failed;
interface Known {
  readonly kind: "known";
  readonly identity: Identity;
}
interface Failed {
  readonly kind: "failed";
  readonly error: ApiError;
}

export function App(): ReactNode {
  const [who, setWho] = useState<Who>({ kind: "asking" });
  const ask = useCallback(() => {
    whoami().then(
      (identity) => setWho(identity === null ? { kind: "nobody", before: false } : { kind: "known", identity }),
      (error: unknown) =>
        setWho({ kind: "failed", error: error instanceof ApiError ? error : new ApiError(0, String(error)) }),
    );
  }, []);
  useEffect(() => {
    onSignedOut(() => {
      const before = token.get() !== null;
      token.clear();
      setWho({ kind: "nobody", before });
    });
    ask();
  }, [ask]);
  if (who.kind === "asking") return <Loading what="Midotrace" />;
  if (who.kind === "failed")
    return (
      <main className="page">
        <Problem alone error={who.error} what="server" retry={ask} />
      </main>
    );
  if (who.kind === "nobody") return <SignIn expired={who.before} onSignedIn={ask} />;
  const signOut = (): void => {
    token.clear();
    setWho({ kind: "nobody", before: false });
  };
  return <Shell identity={who.identity} onSignOut={signOut} />;
}

function Shell(props: { readonly identity: Identity; readonly onSignOut: () => void }): ReactNode {
  const path = usePath();
  const theme = useTheme();
  const { identity } = props;
  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <header className="top">
        <Link to="/traces" className="brand">
          <img src="/favicon.svg" alt="" width="22" height="22" />
          Midotrace
        </Link>
        <nav aria-label="Main">
          <NavLink to="/traces" path={path}>
            Traces
          </NavLink>
          {isAdmin(identity) && (
            <NavLink to="/hosts" path={path}>
              Hosts
            </NavLink>
          )}
        </nav>
        <div className="top-end">
          {identity.auth !== "none" && (
            <span className="who" title={identity.roles.join(", ")}>
              <span>{identity.userId}</span>
              {identity.tenantName !== "" && <span className="muted"> · {identity.tenantName}</span>}
            </span>
          )}
          <button
            type="button"
            className="button button-quiet"
            aria-label={theme === "dark" ? "Light colours" : "Dark colours"}
            onClick={toggleTheme}
          >
            <Icon name={theme === "dark" ? "sun" : "moon"} />
          </button>
          {identity.auth !== "none" && (
            <button type="button" className="button button-quiet" onClick={props.onSignOut}>
              Sign out
            </button>
          )}
        </div>
      </header>
      <main id="main" className="page" tabIndex={-1}>
        <View path={path} identity={identity} />
      </main>
    </>
  );
}

function NavLink(props: { readonly to: string; readonly path: string; readonly children: ReactNode }): ReactNode {
  const here = props.path === props.to || props.path.startsWith(`${props.to}/`);
  return (
    <Link to={props.to} aria-current={here ? "page" : undefined}>
      {props.children}
    </Link>
  );
}

const ID = "[0-9A-Fa-f-]{36}";
const FLOW = new RegExp(`^/traces/(${ID})/flows/(${ID})/?$`);
const TRACE = new RegExp(`^/traces/(${ID})(/paths)?/?$`);

/** The view of an address. */
function View({ path, identity }: { readonly path: string; readonly identity: Identity }): ReactNode {
  useEffect(() => {
    if (path === "/") navigate("/traces", true);
  }, [path]);
  if (path === "/" || /^\/traces\/?$/.test(path)) return <TracesView identity={identity} />;
  if (/^\/traces\/new\/?$/.test(path)) return <NewTraceView identity={identity} />;
  if (/^\/hosts\/?$/.test(path)) return <HostsView />;
  const flow = FLOW.exec(path);
  if (flow !== null)
    return <FlowView key={path} traceId={flow[1] as string} flowId={flow[2] as string} identity={identity} />;
  const trace = TRACE.exec(path);
  if (trace !== null) {
    const id = trace[1] as string;
    return <TraceView key={id} id={id} tab={trace[2] === undefined ? "flows" : "paths"} identity={identity} />;
  }
  return <Problem alone error={new ApiError(404, "")} what="such page" gone={<p>Nothing has the address {path}.</p>} />;
}
