import { KeystoneIdentities, type KeystoneOptions, keystoneUrl } from "#adapters/auth-keystone";
import { StaticIdentities } from "#adapters/auth-static";
import {
  Followed,
  type ProcessLog,
  readCaFile,
  readSecretFile,
  readTlsFiles,
  systemClock,
  systemScheduler,
  type TlsMaterial,
} from "#adapters/platform";
import { usage } from "#apps/cli/options";
import type { Lifecycle } from "#core/base";
import { type IdentityProvider, NoAuthentication } from "#core/identity";
import { agentGate, type AgentTokens, parseAgentTokens } from "./agent-gate.ts";
import { type AuthOptionValues, parseAuth } from "./auth-options.ts";
import { type AgentGate, CLOSED_GATE, OPEN_GATE } from "./caller.ts";
import type { TlsSource } from "./server-tls.ts";

/** Who may come in, and by which door: composed from the options, started before the server and stopped after it. */
export interface Doors extends Lifecycle {
  readonly identity: IdentityProvider;
  readonly agents: AgentGate;
  readonly tls: TlsSource | null;
  /** PEM of the authorities that sign agents' certificates. */
  readonly clientCa: string | null;
}

/** @throws MidotraceError USAGE, also for files that cannot be read; what can be wrong with one is looked at again by `start`. */
export function composeDoors(options: AuthOptionValues, log: ProcessLog): Doors {
  const identity = providerOf(options, log);
  const tls = tlsOf(options, log);
  const clientCaFile = options["collect-client-ca"];
  if (clientCaFile !== null && tls === null)
    throw usage("--collect-client-ca needs --tls-cert and --tls-key: certificates are shown on encrypted connections");
  const clientCa = clientCaFile === null ? null : readCaFile(clientCaFile, "--collect-client-ca");
  const tokens = tokensOf(options["agent-token"], log);
  const asked = tokens !== null || clientCa !== null;
  const otherwise = identity.kind === "none" ? OPEN_GATE : CLOSED_GATE;
  return {
    identity,
    agents: asked ? agentGate({ tokens: () => tokens?.value ?? null, certificates: clientCa !== null }) : otherwise,
    tls: tls === null ? null : { material: () => tls.value, onChange: (listener) => tls.onChange(listener) },
    clientCa,
    start: async () => {
      tls?.start();
      tokens?.start();
      await identity.start();
    },
    stop: async () => {
      await identity.stop();
      tokens?.stop();
      tls?.stop();
    },
  };
}

function providerOf(options: AuthOptionValues, log: ProcessLog): IdentityProvider {
  const choice = parseAuth(options.auth);
  switch (choice?.kind) {
    case undefined:
      throw usage(`--auth is none, static:FILE or keystone:URL, not ${JSON.stringify(options.auth)}`);
    case "none":
      return new NoAuthentication();
    case "static":
      return new StaticIdentities({ file: choice.file, clock: systemClock, scheduler: systemScheduler, log });
    case "keystone":
      return new KeystoneIdentities({
        url: keystoneUrl(choice.url),
        service: serviceOf(options),
        domain:
          options["keystone-domain-name"] === null
            ? { id: options["keystone-domain"] }
            : { name: options["keystone-domain-name"] },
        defaultProject: options["keystone-project"],
        roles: {
          admin: options["admin-role"],
          tenant_admin: options["tenant-admin-role"],
          tenant_user: options["tenant-user-role"],
        },
        ca: options["keystone-ca"] === null ? null : readCaFile(options["keystone-ca"], "--keystone-ca"),
        timeoutMs: Number(options["keystone-timeout"]),
        clock: systemClock,
        scheduler: systemScheduler,
        log,
      });
  }
}

/** What this server itself asks Keystone with. */
function serviceOf(options: AuthOptionValues): KeystoneOptions["service"] {
  const adminToken = options["keystone-admin-token"];
  if (adminToken !== null) return { adminToken };
  const user = options["keystone-user"];
  const project = options["keystone-project"];
  const file = options["keystone-password-file"];
  const password =
    options["keystone-password"] ??
    (file === null ? null : readSecretFile(file, "--keystone-password-file").replace(/\r?\n$/, ""));
  if (user === null || project === null || password === null)
    throw usage(
      "--auth keystone:URL needs --keystone-user, --keystone-project and --keystone-password-file (or the password in MIDOTRACE_KEYSTONE_PASSWORD), or else --keystone-admin-token: this server asks Keystone whose a token is",
    );
  return { user, password, project };
}

function tlsOf(options: AuthOptionValues, log: ProcessLog): Followed<TlsMaterial> | null {
  const { "tls-cert": cert, "tls-key": key } = options;
  if (cert === null && key === null) return null;
  if (cert === null || key === null) throw usage("--tls-cert and --tls-key go together");
  const names = { cert: "--tls-cert", key: "--tls-key" };
  const read = (): TlsMaterial => readTlsFiles(cert, key, names, systemClock.nowMs());
  read();
  return new Followed({ paths: [cert, key], read, scheduler: systemScheduler, log });
}

function tokensOf(path: string | null, log: ProcessLog): Followed<AgentTokens> | null {
  if (path === null) return null;
  const read = (): AgentTokens => parseAgentTokens(readSecretFile(path, "--agent-token"), "--agent-token");
  read();
  return new Followed({ paths: [path], read, scheduler: systemScheduler, log });
}
