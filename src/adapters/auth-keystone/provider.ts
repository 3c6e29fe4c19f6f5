import { type Clock, MidotraceError, type Scheduler } from "#core/base";
import type { Credentials, Identity, IdentityProvider, IssuedToken, KnownTenant } from "#core/identity";
import { readProjects, readToken, type RoleNames } from "./answers.ts";
import { type Made, ServiceToken } from "./service-token.ts";
import { TokenCache } from "./token-cache.ts";
import { type KeystoneReply, type KeystoneRequest, KeystoneTransport, unavailable } from "./transport.ts";

export interface KeystoneOptions {
  /** See `keystoneUrl`. */
  readonly url: string;
  /** With what the server itself asks: a token that never changes, or a user. */
  readonly service:
    | { readonly adminToken: string }
    | { readonly user: string; readonly password: string; readonly project: string };
  /** Of the service's user, and of everybody who signs in. */
  readonly domain: { readonly id: string } | { readonly name: string };
  /** For who does not say one when signing in; null: everybody has to. */
  readonly defaultProject: string | null;
  readonly roles: RoleNames;
  /** PEM of the authorities to trust, instead of the system's. */
  readonly ca: string | null;
  /** An answer takes at most this long. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly log: (level: "info" | "warn", message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

/** How long a valid token is not asked about again: what is revoked is refused after that. */
export const REMEMBERED_MS = 10_000;
/** A token that Keystone does not know, ms: so that somebody who sends nonsense does not become Keystone's problem. */
const UNKNOWN_MS = 2_000;
const MAX_REMEMBERED = 10_000;
/** Longer is no token (Fernet tokens have some 200 characters); others would break the header they go into. */
const TOKEN = /^[\x21-\x7e]{1,8192}$/;

/** Users of Keystone. */
export class KeystoneIdentities implements IdentityProvider {
  readonly kind = "keystone";
  private readonly options: KeystoneOptions;
  private readonly transport: KeystoneTransport;
  private readonly cache: TokenCache<Identity | null>;
  private readonly service: ServiceToken;
  /** What went wrong last, so that the log has it once. */
  private trouble = "";

  constructor(options: KeystoneOptions) {
    const { url, ca, timeoutMs, scheduler, clock } = options;
    this.options = options;
    this.transport = new KeystoneTransport({ url, ca, timeoutMs, scheduler });
    this.cache = new TokenCache(clock, MAX_REMEMBERED);
    this.service = new ServiceToken(clock, () => this.serviceToken());
  }

  /** Asks nothing: Keystone may come later. */
  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.transport.close();
    return Promise.resolve();
  }

  async identify(token: string | null): Promise<Identity> {
    if (token === null) throw refused("there is no token: sign in at /midonet-api/login, and send X-Auth-Token");
    if (!TOKEN.test(token)) throw refused("this is no token of Keystone's");
    const found = await this.cache.get(
      token,
      () => this.telling(() => this.validate(token)),
      (identity) => (identity === null ? UNKNOWN_MS : REMEMBERED_MS),
    );
    if (found === null)
      throw refused("Keystone does not know this token, or does not any more, or it is for no project");
    if (found.expiresAtMs !== null && found.expiresAtMs <= this.options.clock.nowMs())
      throw refused("the token has ended: sign in again");
    return found;
  }

  async login({ user, password, project }: Credentials): Promise<IssuedToken> {
    const scope = project ?? this.options.defaultProject;
    if (scope === null) throw refused("name a project in X-Auth-Project");
    return this.telling(async () => {
      const made = await this.issue(user, password, scope);
      if (made === null) throw refused("Keystone does not let this user in with this password and project");
      return made;
    });
  }

  tenants(): Promise<readonly KnownTenant[]> {
    return this.telling(async () => {
      const reply = await this.asService({ method: "GET", path: "/projects" });
      const projects = reply.status === 200 ? readProjects(reply.body) : null;
      if (projects === null) throw unavailable(`it answered ${reply.status} to the question for projects`);
      return projects;
    });
  }

  /** Null: no valid token of somebody in a project. @throws MidotraceError AUTH_UNAVAILABLE */
  private async validate(token: string): Promise<Identity | null> {
    const reply = await this.asService({
      method: "GET",
      path: "/auth/tokens?nocatalog",
      headers: { "x-subject-token": token },
    });
    if (reply.status === 404) return null;
    if (reply.status !== 200) throw unavailable(`it answered ${reply.status} to the question for a token`);
    const described = readToken(reply.body, this.options.roles);
    if (described === null) throw unavailable("its answer to the question for a token describes none");
    return described.identity;
  }

  /** With the service's token; once more with a new one, when that is not taken. @throws MidotraceError AUTH_UNAVAILABLE */
  private async asService(asked: KeystoneRequest): Promise<KeystoneReply> {
    for (let again = false; ; again = true) {
      const token = await this.service.get();
      const reply = await this.transport.send({ ...asked, headers: { ...asked.headers, "x-auth-token": token } });
      if (reply.status !== 401) return reply;
      this.service.refused(token);
      if (again || "adminToken" in this.options.service)
        throw unavailable("it does not take the token that this server asks with (see the --keystone options)");
    }
  }

  private async serviceToken(): Promise<Made> {
    const { service } = this.options;
    if ("adminToken" in service) return { token: service.adminToken, expiresAtMs: null };
    const made = await this.issue(service.user, service.password, service.project);
    if (made === null) throw unavailable("it does not let this server in (see the --keystone options)");
    return made;
  }

  /** A token for a user in a project; null: refused. @throws MidotraceError AUTH_UNAVAILABLE */
  private async issue(user: string, password: string, project: string): Promise<IssuedToken | null> {
    const { domain, roles } = this.options;
    const reply = await this.transport.send({
      method: "POST",
      path: "/auth/tokens?nocatalog",
      body: {
        auth: {
          identity: { methods: ["password"], password: { user: { name: user, password, domain } } },
          scope: { project: { name: project, domain } },
        },
      },
    });
    // 401 for a wrong user, password or project; 403 for a locked or disabled one.
    if (reply.status === 401 || reply.status === 403) return null;
    const described = reply.status === 201 || reply.status === 200 ? readToken(reply.body, roles) : null;
    if (described === null || reply.subjectToken === null || !TOKEN.test(reply.subjectToken))
      throw unavailable(`it answered ${reply.status}, and no token, to somebody who signs in`);
    return { token: reply.subjectToken, expiresAtMs: described.expiresAtMs, identity: described.identity };
  }

  /** The log hears when Keystone goes away and when it is back, not of every request meanwhile. */
  private async telling<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      this.heard("");
      return result;
    } catch (error) {
      if (!(error instanceof MidotraceError) || error.code !== "AUTH_UNAVAILABLE") this.heard("");
      else this.heard(error.message);
      throw error;
    }
  }

  private heard(trouble: string): void {
    if (trouble === this.trouble) return;
    const { log, url } = this.options;
    if (trouble !== "") log("warn", trouble, { url });
    else log("info", "the identity service (Keystone) answers again", { url });
    this.trouble = trouble;
  }
}

const refused = (why: string): MidotraceError => new MidotraceError("UNAUTHENTICATED", `not signed in: ${why}`);
