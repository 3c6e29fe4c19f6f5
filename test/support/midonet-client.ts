/**
 * What python-midonetclient and midonet-cli do on the wire (midonet-rest sections 1, 8 and 9): which requests a command makes,
 * in which order, with which header lines and bodies.
 */
import { exchange, pythonJson, type WireReply } from "./midonet-wire.ts";

export type Resource = Readonly<Record<string, unknown>>;

const ITEM = "application/vnd.org.midonet.";
const COLLECTION = "application/vnd.org.midonet.collection.";
/** The versions that HEAD's client sends (section 3). */
export const VERSIONS = {
  Application: 5,
  Tenant: 2,
  Router: 3,
  Bridge: 4,
  Port: 3,
  PortLink: 1,
  Host: 3,
  Interface: 1,
  HostInterfacePort: 1,
  Chain: 1,
  Route: 1,
  PortGroup: 1,
  PortGroupPort: 1,
  Rule: 2,
  TunnelZone: 1,
  TunnelZoneHost: 1,
  GreTunnelZoneHost: 1,
  IpAddrGroup: 1,
  IpAddrGroupAddr: 1,
  SystemState: 2,
  TraceRequest: 1,
} as const;
export type Kind = keyof typeof VERSIONS;
export const itemType = (kind: Kind): string => `${ITEM}${kind}-v${VERSIONS[kind]}+json`;
export const listType = (kind: Kind): string => `${COLLECTION}${kind}-v${VERSIONS[kind]}+json`;

/** The client maps the status to an exception by number, and knows no others. */
const KNOWN_STATUS = new Set([
  ...Array.from({ length: 18 }, (_, i) => 400 + i),
  422,
  423,
  424,
  428,
  429,
  431,
  451,
  500,
  501,
  502,
  503,
  504,
  505,
  507,
  511,
]);

export class ClientError extends Error {
  readonly status: number;
  readonly text: string;

  constructor(status: number, text: string) {
    super(`${status} ${text}`);
    this.status = status;
    this.text = text;
  }
}

export interface Credentials {
  readonly user: string;
  readonly password: string;
  readonly project?: string;
}

export class MidonetClient {
  /** "GET /midonet-api 200" …, in order. */
  readonly log: string[] = [];
  /** What `sett` says: filters lists and is written into what is created. */
  tenant: string | null = null;
  private readonly base: string;
  private readonly credentials: Credentials | null;
  private token: string | null = null;
  private application: Resource = {};

  constructor(base: string, credentials: Credentials | null = null) {
    this.base = base.replace(/\/$/, "");
    this.credentials = credentials;
  }

  /** What every process of the CLI begins with. @throws Error when the system state lacks what the CLI looks for. */
  async start(): Promise<void> {
    this.application = await this.item(this.base, "Application", false);
    const state = await this.item(String(this.application["systemState"]), "SystemState");
    if (!("information" in state)) throw new Error("the server does not respond normally");
  }

  list(uri: string, kind: Kind): Promise<readonly Resource[]> {
    return this.read(uri, [["Accept", listType(kind)]]) as Promise<readonly Resource[]>;
  }

  /** A top collection, by its key in the root document. */
  all(key: string, kind: Kind): Promise<readonly Resource[]> {
    const uri = this.uriOf(key);
    return this.list(this.tenant === null ? uri : `${uri}?tenant_id=${this.tenant}`, kind);
  }

  item(uri: string, kind: Kind, typed = true): Promise<Resource> {
    const type = itemType(kind);
    const headers = [...(typed ? ([["Content-Type", type]] as const) : []), ["Accept", type] as const];
    return this.read(uri, headers) as Promise<Resource>;
  }

  /** By template: the text `{id}` is replaced. */
  byId(template: string, id: string, kind: Kind): Promise<Resource> {
    const uri = this.uriOf(template);
    if (!uri.includes("{id}")) throw new Error(`${template} has no literal {id}: ${uri}`);
    return this.item(uri.replace("{id}", id), kind);
  }

  /** POST, then GET of its Location. */
  async create(uri: string, kind: Kind, object: Resource): Promise<Resource> {
    const reply = await this.send("POST", uri, [["Content-Type", itemType(kind)]], pythonJson(object));
    const location = reply.headers.get("location") ?? "";
    if (!/^https?:\/\//.test(location)) throw new Error(`Only absolute URIs are allowed. uri = ${location}`);
    return this.item(location, kind);
  }

  /** The whole object as it was received, with the changes, to its own URI; then that is read. */
  async update(object: Resource, kind: Kind, changes: Resource): Promise<Resource> {
    const uri = String(object["uri"]);
    await this.send("PUT", uri, [["Content-Type", itemType(kind)]], pythonJson({ ...object, ...changes }));
    return this.item(uri, kind);
  }

  async delete(object: Resource): Promise<void> {
    await this.send("DELETE", String(object["uri"]), []);
  }

  /** `set peer`: the whole port with `peerId`, then GET, PUT and GET. */
  async link(port: Resource, peerId: string): Promise<Resource> {
    const body = pythonJson({ ...port, peerId });
    await this.send("POST", String(port["link"]), [["Content-Type", itemType("PortLink")]], body);
    return this.update(await this.item(String(port["uri"]), "Port"), "Port", {});
  }

  async unlink(port: Resource): Promise<Resource> {
    await this.send("DELETE", String(port["link"]), []);
    return this.update(await this.item(String(port["uri"]), "Port"), "Port", {});
  }

  /** How the CLI finds out whose a port is: it asks whether the device is a router, and then a bridge. */
  async deviceOf(portId: string): Promise<Resource> {
    const port = await this.byId("portTemplate", portId, "Port");
    try {
      return await this.byId("routerTemplate", String(port["deviceId"]), "Router");
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      return this.byId("bridgeTemplate", String(port["deviceId"]), "Bridge");
    }
  }

  uriOf(key: string): string {
    const uri = this.application[key];
    if (typeof uri !== "string") throw new Error(`KeyError: ${key}`);
    return uri;
  }

  private async read(uri: string, headers: readonly (readonly [string, string])[]): Promise<unknown> {
    const reply = await this.send("GET", uri, headers);
    return reply.json ?? [];
  }

  private async send(
    method: string,
    uri: string,
    headers: readonly (readonly [string, string])[],
    body = "{}",
  ): Promise<WireReply> {
    if (this.credentials !== null && this.token === null) await this.login(this.credentials);
    let reply = await this.exchange(method, uri, headers, body);
    if (reply.status === 401 && this.credentials !== null) {
      await this.login(this.credentials);
      reply = await this.exchange(method, uri, headers, body);
    }
    if (reply.status <= 300) return reply;
    if (!KNOWN_STATUS.has(reply.status)) throw new Error(`KeyError: ${reply.status}`);
    throw new ClientError(reply.status, reply.text);
  }

  private async exchange(
    method: string,
    uri: string,
    headers: readonly (readonly [string, string])[],
    body: string,
  ): Promise<WireReply> {
    const token = this.token === null ? [] : ([["X-Auth-Token", this.token]] as const);
    const reply = await exchange({ method, uri, headers: [...headers, ...token], body });
    this.log.push(`${method} ${uri.slice(this.base.length)} ${reply.status}`);
    return reply;
  }

  private async login({ user, password, project }: Credentials): Promise<void> {
    const headers: (readonly [string, string])[] = [
      ["Authorization", `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`],
    ];
    if (project !== undefined) headers.push(["X-Auth-Project", project]);
    const reply = await exchange({ method: "POST", uri: `${this.base}/login`, headers, body: "{}" });
    this.log.push(`POST /login ${reply.status}`);
    if (reply.status !== 200) throw new ClientError(reply.status, reply.text);
    // Up to the first semicolon, after the first equals sign.
    const cookie = reply.headers.get("set-cookie") ?? "";
    this.token = (cookie.split(";", 1)[0] as string).split("=").slice(1).join("=");
  }
}
