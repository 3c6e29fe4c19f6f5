import { MidotraceError, type Violation, Violations } from "#core/base";
import { isRole, type Role, ROLES } from "#core/identity";
import { parse } from "yaml";
import { isPasswordHash } from "./password.ts";

export interface Project {
  readonly id: string;
  readonly name: string;
  readonly roles: readonly Role[];
}

export interface FileUser {
  readonly name: string;
  /** See `hashPassword`. */
  readonly password: string;
  /** At least one. */
  readonly projects: readonly Project[];
}

export interface FileToken {
  /** SHA-256 of the token, lower-case hex digits. */
  readonly sha256: string;
  readonly user: string;
  readonly project: Project;
}

export interface UsersFile {
  readonly users: readonly FileUser[];
  readonly tokens: readonly FileToken[];
  /** Of tokens that are got by signing in. */
  readonly tokenLifetimeS: number;
}

/** Eight hours: a working day. */
const DEFAULT_LIFETIME_S = 8 * 3600;
const MAX_LIFETIME_S = 30 * 24 * 3600;
/** Fewer can be guessed, or are a word. */
const MIN_TOKEN_LENGTH = 20;

/**
 * Reads what `--auth static:FILE` names: YAML, or JSON, which is YAML too.
 * @param sha256 digest of a token, in hex digits.
 * @throws MidotraceError VALIDATION naming every wrong place; no secret stands in the message.
 */
export function parseUsersFile(text: string, sha256: (token: string) => string): UsersFile {
  const v = new Violations();
  const root = table(yaml(text), "", ["users", "tokens", "tokenLifetimeS"], v);
  const users = list(root["users"], "users", v).map((u, i) => userOf(u, `users[${i}]`, v));
  const tokens = list(root["tokens"], "tokens", v).map((t, i) => tokenOf(t, `tokens[${i}]`, sha256, v));
  const lifetime = root["tokenLifetimeS"] ?? DEFAULT_LIFETIME_S;
  if (typeof lifetime !== "number" || !Number.isInteger(lifetime) || lifetime < 60 || lifetime > MAX_LIFETIME_S)
    v.add("tokenLifetimeS", `must be a whole number of seconds from 60 to ${MAX_LIFETIME_S}`);
  twice(
    users.map((u) => u.name),
    "users",
    "name",
    v,
  );
  twice(
    tokens.map((t) => t.sha256),
    "tokens",
    "token",
    v,
  );
  if (users.length + tokens.length === 0) v.add("users", "there are neither users nor tokens, so nobody could come in");
  v.throwIfAny("the file of users");
  return { users, tokens, tokenLifetimeS: lifetime as number };
}

function yaml(text: string): unknown {
  try {
    return parse(text) as unknown;
  } catch (cause) {
    // The first line says what and where; the others quote the file.
    const [line = ""] = (cause as Error).message.split("\n");
    const at: Violation = { property: "", message: line.replace(/:$/, "") };
    throw new MidotraceError("VALIDATION", `the file of users is no YAML: ${at.message}`, [at]);
  }
}

type Table = Readonly<Record<string, unknown>>;

function table(value: unknown, path: string, keys: readonly string[], v: Violations): Table {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    v.add(path, `must be a table with ${keys.join(", ")}`);
    return {};
  }
  for (const key of Object.keys(value))
    if (!keys.includes(key)) v.add(below(path, key), `is not one of ${keys.join(", ")}`);
  return value as Table;
}

function list(value: unknown, path: string, v: Violations): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  v.add(path, "must be a list");
  return [];
}

function textOf(value: unknown, path: string, v: Violations): string {
  if (typeof value === "string" && value !== "") return value;
  v.add(path, "must be a text that is not empty");
  return "";
}

function projectOf(value: unknown, path: string, v: Violations): Project {
  const t = table(value, path, ["id", "name", "roles"], v);
  const id = textOf(t["id"], below(path, "id"), v);
  const name = t["name"] === undefined ? id : textOf(t["name"], below(path, "name"), v);
  return { id, name, roles: rolesOf(t["roles"], below(path, "roles"), v) };
}

function rolesOf(value: unknown, path: string, v: Violations): Role[] {
  const roles = list(value, path, v);
  if (roles.length === 0) v.add(path, `must name at least one of ${ROLES.join(", ")}`);
  return [...new Set(roles)].filter((role): role is Role => {
    const known = typeof role === "string" && isRole(role);
    if (!known) v.add(path, `${JSON.stringify(role)} is not one of ${ROLES.join(", ")}`);
    return known;
  });
}

function userOf(value: unknown, path: string, v: Violations): FileUser {
  const t = table(value, path, ["name", "password", "projects"], v);
  const name = textOf(t["name"], below(path, "name"), v);
  // Basic authentication divides there.
  if (name.includes(":")) v.add(below(path, "name"), "may not have a colon in it");
  const password = textOf(t["password"], below(path, "password"), v);
  if (password !== "" && !isPasswordHash(password))
    v.add(below(path, "password"), "must be a hash as `midotrace auth hash` prints it, not a password");
  const projects = list(t["projects"], below(path, "projects"), v).map((p, i) =>
    projectOf(p, `${below(path, "projects")}[${i}]`, v),
  );
  if (projects.length === 0) v.add(below(path, "projects"), "must name at least one project");
  twice(
    projects.map((p) => p.id),
    below(path, "projects"),
    "id",
    v,
  );
  return { name, password, projects };
}

function tokenOf(value: unknown, path: string, sha256: (token: string) => string, v: Violations): FileToken {
  const t = table(value, path, ["token", "sha256", "user", "project"], v);
  const user = textOf(t["user"], below(path, "user"), v);
  const project = projectOf(t["project"], below(path, "project"), v);
  if ((t["token"] === undefined) === (t["sha256"] === undefined)) {
    v.add(below(path, "token"), "must be there, or sha256 in its place");
    return { sha256: "", user, project };
  }
  if (t["sha256"] !== undefined) {
    const digest = textOf(t["sha256"], below(path, "sha256"), v).toLowerCase();
    if (!/^[0-9a-f]{64}$/.test(digest)) v.add(below(path, "sha256"), "must be 64 hex digits");
    return { sha256: digest, user, project };
  }
  const token = textOf(t["token"], below(path, "token"), v);
  if (!/^[\x21-\x3a\x3c-\x7e]*$/.test(token))
    v.add(below(path, "token"), "must be printable ASCII without blanks and semicolons");
  else if (token.length < MIN_TOKEN_LENGTH)
    v.add(
      below(path, "token"),
      `must have at least ${MIN_TOKEN_LENGTH} characters (\`openssl rand -hex 32\` makes one)`,
    );
  return { sha256: sha256(token), user, project };
}

function twice(keys: readonly string[], path: string, field: string, v: Violations): void {
  const seen = new Set<string>();
  for (const [i, key] of keys.entries()) {
    if (key !== "" && seen.has(key)) v.add(`${path}[${i}].${field}`, "stands there twice");
    seen.add(key);
  }
}

const below = (path: string, key: string): string => (path === "" ? key : `${path}.${key}`);
