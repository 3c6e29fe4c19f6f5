import type { OptionTable, OptionValues } from "#apps/cli/options";

/** Who may ask, and how that is found out. */
export const AUTH_OPTIONS = {
  auth: {
    kind: "text",
    placeholder: "KIND",
    default: "none",
    description:
      "who knows the users: none, and everybody is the administrator; static:FILE, a file of users and tokens; keystone:URL, OpenStack's identity service, as in keystone:https://keystone:5000/v3",
  },
  "admin-role": {
    kind: "text",
    placeholder: "NAME",
    default: "admin",
    description: "what Keystone calls the role that may do everything",
  },
  "tenant-admin-role": {
    kind: "text",
    placeholder: "NAME",
    default: "tenant_admin",
    description: "what Keystone calls the role that may change what is its project's",
  },
  "tenant-user-role": {
    kind: "text",
    placeholder: "NAME",
    default: "tenant_user",
    description: "what Keystone calls the role that may read what is its project's",
  },
  "keystone-user": {
    kind: "text",
    placeholder: "NAME",
    default: null,
    description: "the user by whom this server asks Keystone about tokens",
  },
  "keystone-password": {
    kind: "text",
    placeholder: "TEXT",
    default: null,
    description:
      "that user's password; everybody on this machine sees a command line, so better in the environment, the configuration file, or --keystone-password-file",
  },
  "keystone-password-file": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description: "that user's password, alone in a file that only its owner can read",
  },
  "keystone-admin-token": {
    kind: "text",
    placeholder: "TOKEN",
    default: null,
    description: "a token that never ends, in place of a user (better in the environment or the configuration file)",
  },
  "keystone-project": {
    kind: "text",
    placeholder: "NAME",
    default: null,
    description: "the project of --keystone-user, and of whoever signs in without naming one",
  },
  "keystone-domain": {
    kind: "text",
    placeholder: "ID",
    default: "default",
    description: "id of the domain that users and projects are looked for in",
  },
  "keystone-domain-name": {
    kind: "text",
    placeholder: "NAME",
    default: null,
    description: "name of that domain, in place of its id",
  },
  "keystone-ca": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description: "certificates (PEM) of the authorities to trust for Keystone, in place of the machine's",
  },
  "keystone-timeout": {
    kind: "integer",
    placeholder: "MS",
    default: 5_000n,
    min: 100n,
    max: 60_000n,
    unit: "ms",
    description: "how long an answer of Keystone's may take",
  },
  "agent-token": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description:
      "the tokens of the hosts' agents, one a line, each perhaps with the id of the only host that it is for; read again when it changes",
  },
  "collect-client-ca": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description:
      "certificates (PEM) of the authorities that sign the agents' certificates: with one, an agent needs no token at --collect; a host's id as its common name makes it good for that host only",
  },
  "tls-cert": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description: "this server's certificate (PEM), and those of who signed it: --listen and --collect are https",
  },
  "tls-key": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description: "the key of --tls-cert (PEM); both are read again when they change, and no connection is lost",
  },
} as const satisfies OptionTable;

export type AuthOptionValues = OptionValues<typeof AUTH_OPTIONS>;

export type AuthChoice =
  | { readonly kind: "none" }
  | { readonly kind: "static"; readonly file: string }
  | { readonly kind: "keystone"; readonly url: string };

/** What `--auth` says; null for anything else. */
export function parseAuth(text: string): AuthChoice | null {
  if (text === "none") return { kind: "none" };
  const [, kind, rest = ""] = /^(static|keystone):(.+)$/.exec(text) ?? [];
  if (kind === "static") return { kind, file: rest };
  return kind === "keystone" ? { kind, url: rest } : null;
}
