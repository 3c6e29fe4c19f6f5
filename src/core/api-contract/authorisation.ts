import { ROLES, type Role } from "#core/identity";
import { REFERENCES } from "./references.ts";
import type { Owner, Roles } from "./route.ts";
import { allRoutes } from "./routes.ts";

/** Who asks, as the table has it: not signed in at all (no token, or one that is not valid), a role, or a host's agent. */
export const CALLERS = ["nobody", ...ROLES, "agent"] as const;
export type Caller = (typeof CALLERS)[number];

/** `own`: what is theirs; another tenant's is answered 403, in lists it is left out. `401`, `403`: refused with that. */
export type Grant = "yes" | "own" | "401" | "403";

/** What a declaration means for a caller, where there is authentication. */
export function grantOf(roles: Roles, caller: Caller): Grant {
  if ("anonymous" in roles) return "yes";
  if ("agent" in roles) return caller === "agent" ? "yes" : "401";
  // An agent's credential is no token of a user.
  if (caller === "nobody" || caller === "agent") return "401";
  if (caller === "admin") return "yes";
  return GRANT[roles[caller satisfies Exclude<Role, "admin">]];
}

const GRANT = { all: "yes", own: "own", none: "403" } as const;

const OWNER_TEXT: Readonly<Record<Owner, string>> = {
  bridge: "the bridge",
  router: "the router",
  port: "the port's device",
  chain: "the chain",
  rule: "the rule's chain",
  route: "the route's router",
  "port-group": "the port group",
  trace: "the traced device",
  tenant: "the tenant itself",
  body: "`tenantId` of the body; left out, it is the caller's",
  "trace-device-of-body": "the device to be traced",
  "port-of-body": "the device of the port that the packet enters by",
  "each-listed": "each listed object",
};

/** The text of docs/reference/authorisation.md; a test compares the file with it, another walks a running server. */
export function authorisationReference(): string {
  const rows = allRoutes().map(([operation, { method, path, roles }]) => {
    const whose = "owner" in roles ? OWNER_TEXT[roles.owner] : "";
    const cells = CALLERS.map((caller) => grantOf(roles, caller));
    return `| \`${operation}\` | \`${method} ${path}\` | ${cells.join(" | ")} | ${whose} |`;
  });
  const references = Object.entries(REFERENCES).flatMap(([field, reference]) =>
    reference === null
      ? []
      : [`| \`${field}\` | ${reference.kind.replace("-", " ")} | ${reference.foreign === "missing" ? 404 : 403} |`],
  );
  return `${PREFACE}
| operation | route | ${CALLERS.join(" | ")} | whose tenant decides |
|---|---|${CALLERS.map(() => "---|").join("")}---|
${rows.join("\n")}

## Objects that a body names

Without the role admin, a body may name the caller's own objects only (and leave in place what is there already).

| field | names a | another tenant's is answered |
|---|---|---|
${references.join("\n")}
`;
}

const PREFACE = `# Authorisation

Printed from \`src/core/api-contract\` by \`node --conditions=source test/docs/print.ts\`; a test compares, and another walks every
route of a running server as every caller, on own, foreign and missing objects.

Roles are MidoNet's (2015.06). *nobody* has no token, or one that is not valid. *own* is what belongs to the tenant of the token:
another tenant's object is answered 403, one that does not exist 404, and lists leave out what is not the caller's. The tenant is
always the token's, never a parameter's. *agent* is a host's agent with its own credential. With \`--auth none\` everybody is
admin, and agents are not asked.
`;
