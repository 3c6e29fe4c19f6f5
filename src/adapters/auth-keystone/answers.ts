import type { Identity, KnownTenant, Role } from "#core/identity";

/** What the roles are called in Keystone; compared without regard to case. */
export type RoleNames = Readonly<Record<Role, string>>;

type Json = Readonly<Record<string, unknown>>;

const tableOf = (value: unknown): Json | null =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : null;
const textOf = (value: unknown): string | null => (typeof value === "string" && value !== "" ? value : null);

/** What a token's description says. */
export interface DescribedToken {
  /** Null for a token that is for no project: it is nobody's here. */
  readonly identity: Identity | null;
  readonly expiresAtMs: number | null;
}

/** @returns null for a body that describes no token. */
export function readToken(body: unknown, names: RoleNames): DescribedToken | null {
  const token = tableOf(tableOf(body)?.["token"]);
  const user = tableOf(token?.["user"]);
  const userId = textOf(user?.["id"]);
  const expiresAtMs = token === null ? undefined : readTime(token["expires_at"]);
  if (token === null || userId === null || expiresAtMs === undefined) return null;
  const project = tableOf(token["project"]);
  const tenantId = textOf(project?.["id"]);
  if (tenantId === null) return { identity: null, expiresAtMs };
  const tenantName = textOf(project?.["name"]) ?? tenantId;
  const roles = rolesOf(token["roles"], names);
  return {
    identity: { userId, tenantId, tenantName, roles, admin: roles.includes("admin"), expiresAtMs },
    expiresAtMs,
  };
}

/** Roles that the API does not know count for nothing. */
function rolesOf(value: unknown, names: RoleNames): Role[] {
  const has = new Set(
    (Array.isArray(value) ? value : []).flatMap((role) => textOf(tableOf(role)?.["name"])?.toLowerCase() ?? []),
  );
  return (Object.entries(names) as [Role, string][]).flatMap(([role, name]) =>
    name !== "" && has.has(name.toLowerCase()) ? [role] : [],
  );
}

/** ISO 8601; without a zone it is UTC. Null: never. @returns undefined for what is no time. */
function readTime(value: unknown): number | null | undefined {
  if (value === null) return null;
  if (typeof value !== "string") return undefined;
  const ms = Date.parse(/(?:Z|[+-]\d\d:?\d\d)$/i.test(value) ? value : `${value}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** @returns null for a body that lists no projects. */
export function readProjects(body: unknown): KnownTenant[] | null {
  const projects = tableOf(body)?.["projects"];
  if (!Array.isArray(projects)) return null;
  return projects.flatMap((value): KnownTenant[] => {
    const project = tableOf(value);
    const id = textOf(project?.["id"]);
    if (project === null || id === null) return [];
    const description = textOf(project["description"]) ?? "";
    return [{ id, name: textOf(project["name"]) ?? id, description, enabled: project["enabled"] !== false }];
  });
}
