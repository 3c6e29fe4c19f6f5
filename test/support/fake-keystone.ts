import { randomBytes, randomUUID } from "node:crypto";
import { createServer as createHttp, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo } from "node:net";
import type { Clock } from "#core/base";

/*
 * Keystone's Identity API v3, as far as we use it, answering as its API reference has it
 * (https://docs.openstack.org/api-ref/identity/v3/, "Authentication and token management", "List projects"):
 *
 *   POST /v3/auth/tokens    201, X-Subject-Token; 401 for a wrong user, password or project; 400 for another body
 *   GET  /v3/auth/tokens    X-Auth-Token, X-Subject-Token: 200; 401 asker not valid; 403 asker not allowed; 404 subject not valid
 *   GET  /v3/projects       X-Auth-Token: 200, 401
 *
 * Errors are {"error": {"code", "title", "message"}}; times are ISO 8601 in UTC with microseconds.
 */

export interface KeystoneUser {
  readonly name: string;
  password: string;
  enabled: boolean;
  /** Role names by project name. */
  readonly roles: Map<string, string[]>;
}

interface Token {
  readonly value: string;
  readonly user: KeystoneUser;
  readonly project: string;
  readonly expiresAtMs: number;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly subject: string | null;
}

export interface FakeKeystoneOptions {
  readonly clock: Clock;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Of tokens. Default an hour, Keystone's own. */
  readonly lifetimeMs?: number;
}

/** Who may ask about others' tokens. */
const SERVICE_ROLE = "service";

export class FakeKeystone {
  readonly users = new Map<string, KeystoneUser>();
  readonly projects = new Map<string, string>();
  readonly seen: SeenRequest[] = [];
  /** `hang`: takes requests and does not answer. A number: answers every request with that status and nothing of use. */
  mood: "well" | "hang" | number = "well";
  url = "";
  private readonly options: FakeKeystoneOptions;
  private readonly tokens = new Map<string, Token>();
  private readonly held: (() => void)[] = [];
  private server: Server | null = null;
  private holding = false;

  constructor(options: FakeKeystoneOptions) {
    this.options = options;
  }

  async start(port = 0): Promise<void> {
    const { tls } = this.options;
    const listener = (req: IncomingMessage, res: ServerResponse): void => void this.answer(req, res);
    const server = tls === undefined ? createHttp(listener) : (createHttps(tls, listener) as unknown as Server);
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    this.server = server;
    this.url = `${tls === undefined ? "http" : "https"}://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  async stop(): Promise<void> {
    const { server } = this;
    this.server = null;
    server?.closeAllConnections();
    await new Promise<void>((resolve) => (server === null ? resolve() : server.close(() => resolve())));
  }

  user(name: string, password: string, roles: Readonly<Record<string, readonly string[]>>): KeystoneUser {
    for (const project of Object.keys(roles))
      if (!this.projects.has(project)) this.projects.set(project, randomUUID().replaceAll("-", ""));
    const user = { name, password, enabled: true, roles: new Map(Object.entries(roles).map(([p, r]) => [p, [...r]])) };
    this.users.set(name, user);
    return user;
  }

  /** A token as somebody would have got it elsewhere. */
  issue(userName: string, project: string): string {
    const user = this.users.get(userName);
    if (user === undefined) throw new Error(`no user ${userName}`);
    return this.make(user, project).value;
  }

  revoke(token: string): void {
    this.tokens.delete(token);
  }

  revokeAllOf(userName: string): void {
    for (const [value, token] of this.tokens) if (token.user.name === userName) this.tokens.delete(value);
  }

  /** From now on requests wait; @returns what lets them go on. */
  hold(): () => void {
    this.holding = true;
    return () => {
      this.holding = false;
      for (const go of this.held.splice(0)) go();
    };
  }

  /** How often somebody asked about this token. */
  validationsOf(token: string): number {
    return this.seen.filter((r) => r.method === "GET" && r.subject === token).length;
  }

  get logins(): number {
    return this.seen.filter((r) => r.method === "POST").length;
  }

  private async answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk);
    const path = (req.url ?? "").split("?", 1)[0] ?? "";
    const subject = headerOf(req, "x-subject-token");
    this.seen.push({ method: req.method ?? "", path, subject });
    if (this.holding) await new Promise<void>((resolve) => this.held.push(resolve));
    if (this.mood === "hang") return;
    if (typeof this.mood === "number") return error(res, this.mood, "not well");
    const asked = `${req.method} ${path}`;
    if (asked === "POST /v3/auth/tokens") return this.login(Buffer.concat(chunks).toString("utf8"), res);
    const asker = this.valid(headerOf(req, "x-auth-token"));
    if (asker === null) return error(res, 401, "The request you have made requires authentication.");
    if (asked === "GET /v3/projects") return json(res, 200, { links: {}, projects: this.listed() });
    if (asked !== "GET /v3/auth/tokens") return error(res, 404, "The resource could not be found.");
    const token = this.valid(subject);
    if (!asker.user.roles.get(asker.project)?.includes(SERVICE_ROLE) && asker.value !== subject)
      return error(res, 403, "You are not authorized to perform the requested action: identity:validate_token.");
    if (token === null) return error(res, 404, `Could not recognize Fernet token`);
    res.setHeader("X-Subject-Token", token.value);
    return json(res, 200, { token: this.described(token) });
  }

  private login(text: string, res: ServerResponse): void {
    interface Asked {
      readonly auth?: {
        readonly identity?: {
          readonly methods?: readonly string[];
          readonly password?: {
            readonly user?: {
              readonly name?: string;
              readonly password?: string;
              readonly domain?: { readonly id?: string; readonly name?: string };
            };
          };
        };
        readonly scope?: { readonly project?: { readonly name?: string; readonly domain?: { readonly id?: string } } };
      };
    }
    let asked: Asked;
    try {
      asked = JSON.parse(text) as Asked;
    } catch {
      return error(res, 400, "Expecting to find valid JSON in request body.");
    }
    const wanted = asked.auth?.identity?.password?.user;
    const project = asked.auth?.scope?.project;
    if (
      asked.auth?.identity?.methods?.[0] !== "password" ||
      wanted?.domain === undefined ||
      project?.domain === undefined
    )
      return error(res, 400, "Expecting to find password authentication with a scope in auth.");
    const user = this.users.get(wanted.name ?? "");
    const ok = user?.enabled === true && user.password === wanted.password && user.roles.has(project.name ?? "");
    if (!ok || (wanted.domain.id ?? wanted.domain.name) !== (wanted.domain.id === undefined ? "Default" : "default"))
      return error(res, 401, "The request you have made requires authentication.");
    const token = this.make(user, project.name ?? "");
    res.setHeader("X-Subject-Token", token.value);
    return json(res, 201, { token: this.described(token) });
  }

  private make(user: KeystoneUser, project: string): Token {
    const expiresAtMs = this.options.clock.nowMs() + (this.options.lifetimeMs ?? 3_600_000);
    // Fernet tokens begin like this.
    const token = { value: `gAAAAAB${randomBytes(32).toString("base64url")}`, user, project, expiresAtMs };
    this.tokens.set(token.value, token);
    return token;
  }

  /** Null for an unknown, revoked or expired one, and one of a user who is disabled: Keystone tells them not apart. */
  private valid(value: string | null): Token | null {
    const token = this.tokens.get(value ?? "");
    return token !== undefined && token.user.enabled && token.expiresAtMs > this.options.clock.nowMs() ? token : null;
  }

  private described({ user, project, expiresAtMs }: Token): object {
    const domain = { id: "default", name: "Default" };
    return {
      methods: ["password"],
      user: { domain, id: `id-of-${user.name}`, name: user.name, password_expires_at: null },
      audit_ids: [randomBytes(16).toString("base64url")],
      expires_at: new Date(expiresAtMs).toISOString().replace(/Z$/, "000Z"),
      issued_at: new Date(this.options.clock.nowMs()).toISOString().replace(/Z$/, "000Z"),
      ...(project === "" ? {} : { project: { domain, id: this.projects.get(project), name: project } }),
      is_domain: false,
      roles: (user.roles.get(project) ?? []).map((name) => ({ id: `id-of-${name}`, name })),
    };
  }

  private listed(): object[] {
    return [...this.projects].map(([name, id]) => ({
      id,
      name,
      description: `The ${name}`,
      enabled: true,
      domain_id: "default",
      is_domain: false,
      parent_id: "default",
      links: { self: `${this.url}/v3/projects/${id}` },
      tags: [],
      options: {},
    }));
  }
}

function headerOf(req: IncomingMessage, name: string): string | null {
  const value = req.headers[name];
  return typeof value === "string" ? value : null;
}

function json(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { "content-type": "application/json", vary: "X-Auth-Token" });
  res.end(JSON.stringify(body));
}

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
};

function error(res: ServerResponse, code: number, message: string): void {
  json(res, code, { error: { code, message, title: TITLES[code] ?? "Error" } });
}
