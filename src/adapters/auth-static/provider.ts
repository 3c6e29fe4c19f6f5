import { createHash } from "node:crypto";
import { Followed, type ProcessLog, readSecretFile } from "#adapters/platform";
import { type Clock, MidotraceError, type Scheduler } from "#core/base";
import type { Credentials, Identity, IdentityProvider, IssuedToken, KnownTenant } from "#core/identity";
import { hashPassword, verifyPassword } from "./password.ts";
import { isSigned, readToken, signToken } from "./signed-token.ts";
import { type FileToken, type FileUser, parseUsersFile, type Project, type UsersFile } from "./users-file.ts";

export interface StaticIdentitiesOptions {
  readonly file: string;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly log: ProcessLog;
}

/** Passwords that are tried at once, 96 MiB together; and how many may wait for that. */
const MAX_TRIED = 3;
const MAX_WAITING = 60;

/** The file as it counts, made for looking up. */
interface Known {
  readonly users: ReadonlyMap<string, FileUser>;
  readonly tokens: ReadonlyMap<string, FileToken>;
  readonly lifetimeMs: number;
}

/**
 * Users and tokens of a file, which is followed: what is changed there counts a second later. A file that is not right (or that
 * others can read) changes nothing, and the log says so.
 */
export class StaticIdentities implements IdentityProvider {
  readonly kind = "static";
  private readonly options: StaticIdentitiesOptions;
  private readonly followed: Followed<Known>;
  private tried = 0;
  private readonly waiting: (() => void)[] = [];
  /** Of a password that nobody has: trying to guess a user takes as long as trying to guess a password. */
  private nobody: Promise<string> | null = null;

  constructor(options: StaticIdentitiesOptions) {
    this.options = options;
    const { file, scheduler, log } = options;
    this.followed = new Followed({ paths: [file], read: () => readKnown(file), scheduler, log });
  }

  /** @throws MidotraceError USAGE when the file cannot be read, others can read it, or it is not right. */
  start(): Promise<void> {
    this.followed.start();
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.followed.stop();
    return Promise.resolve();
  }

  async identify(token: string | null): Promise<Identity> {
    if (token === null) throw refused("there is no token: sign in at /midonet-api/login, and send X-Auth-Token");
    const found = this.known.tokens.get(sha256(token)) ?? null;
    if (found !== null) return Promise.resolve(identityOf(found.user, found.project, null));
    const claims = readToken(token);
    const user = claims === null ? undefined : this.known.users.get(claims.user);
    const project = user?.projects.find((p) => p.id === claims?.projectId);
    if (claims === null || user === undefined || project === undefined || !isSigned(token, user.password))
      throw refused("nobody knows this token");
    if (claims.expiresAtMs <= this.options.clock.nowMs()) throw refused("the token has ended: sign in again");
    return identityOf(user.name, project, claims.expiresAtMs);
  }

  async login({ user: name, password, project: wanted }: Credentials): Promise<IssuedToken> {
    const user = this.known.users.get(name);
    const right = await this.oneOfFew(async () =>
      verifyPassword(password, user?.password ?? (await (this.nobody ??= hashPassword("nobody has it")))),
    );
    // The file may have changed while the password was tried.
    const now = this.known.users.get(name);
    if (!right || user === undefined || now?.password !== user.password)
      throw refused("user and password do not belong together");
    const project = projectOf(now, wanted);
    const expiresAtMs = this.options.clock.nowMs() + this.known.lifetimeMs;
    const token = signToken({ user: name, projectId: project.id, expiresAtMs }, now.password);
    return { token, expiresAtMs, identity: identityOf(name, project, expiresAtMs) };
  }

  tenants(): Promise<readonly KnownTenant[]> {
    const { users, tokens } = this.known;
    const projects = [...[...users.values()].flatMap((u) => u.projects), ...[...tokens.values()].map((t) => t.project)];
    const byId = new Map(projects.map(({ id, name }) => [id, { id, name, description: "", enabled: true }]));
    return Promise.resolve([...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1)));
  }

  private get known(): Known {
    return this.followed.value;
  }

  /** Few passwords are tried at once, so that guessing does not take the machine. @throws MidotraceError AUTH_UNAVAILABLE */
  private async oneOfFew<T>(work: () => Promise<T>): Promise<T> {
    if (this.tried >= MAX_TRIED) {
      if (this.waiting.length >= MAX_WAITING)
        throw new MidotraceError("AUTH_UNAVAILABLE", "too many are signing in at once: try again in a moment");
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    } else this.tried++;
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.tried--;
      else next();
    }
  }
}

/** @throws MidotraceError USAGE */
function readKnown(path: string): Known {
  const option = `--auth static:${path}`;
  const file = parsed(readSecretFile(path, option), option);
  return {
    users: new Map(file.users.map((u) => [u.name, u])),
    tokens: new Map(file.tokens.map((t) => [t.sha256, t])),
    lifetimeMs: file.tokenLifetimeS * 1000,
  };
}

function parsed(text: string, option: string): UsersFile {
  try {
    return parseUsersFile(text, sha256);
  } catch (error) {
    if (!(error instanceof MidotraceError)) throw error;
    throw new MidotraceError("USAGE", `${option}: ${error.message}`, error.violations);
  }
}

/** By id or name; without, the only one. @throws MidotraceError UNAUTHENTICATED */
function projectOf(user: FileUser, wanted: string | null): Project {
  if (wanted === null) {
    const [only, ...more] = user.projects;
    if (only !== undefined && more.length === 0) return only;
    throw refused("there are several projects: name one in X-Auth-Project");
  }
  const found = user.projects.find((p) => p.id === wanted) ?? user.projects.find((p) => p.name === wanted);
  if (found === undefined) throw refused("the user has no such project");
  return found;
}

function identityOf(userId: string, project: Project, expiresAtMs: number | null): Identity {
  const { id: tenantId, name: tenantName, roles } = project;
  return { userId, tenantId, tenantName, roles, admin: roles.includes("admin"), expiresAtMs };
}

const sha256 = (token: string): string => createHash("sha256").update(token).digest("hex");
const refused = (why: string): MidotraceError => new MidotraceError("UNAUTHENTICATED", `not signed in: ${why}`);
