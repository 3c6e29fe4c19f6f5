import {
  deviceOfTrace,
  type NamedObject,
  type Owner,
  PATH_OWNERS,
  type PathOwner,
  type ReferenceKind,
  referencesOf,
  type Roles,
  type Route,
  type TraceBody,
} from "#core/api-contract";
import { isUuid, MidotraceError } from "#core/base";
import type { Identity } from "#core/identity";
import { EMPTY, json, type PlainResult } from "./call.ts";
import { type Owned, Ownership } from "./ownership.ts";

/** A request, read; what of it a handler may see. */
export interface Asked {
  readonly params: Readonly<Record<string, string>>;
  readonly query: unknown;
  readonly body: unknown;
}

export type Decision =
  | { readonly kind: "go"; readonly asked: Asked }
  /** There is nothing to be done, and this is said. */
  | { readonly kind: "answer"; readonly result: PlainResult };

/** Those of a route that says whose object it is about. */
type OwnRoles = Extract<Roles, { readonly owner: Owner }>;

/**
 * Whether the role alone lets somebody use a route, before anything of the request is read.
 * @returns the roles of a route on which ownership is still to be looked at; null where it is not.
 * @throws MidotraceError FORBIDDEN
 */
export function admit(roles: Roles, who: Identity): OwnRoles | null {
  if ("anonymous" in roles || "agent" in roles || who.admin) return null;
  const granted = new Set(who.roles.flatMap((role) => (role === "admin" ? [] : [roles[role]])));
  if (granted.has("all")) return null;
  if (granted.has("own") && "owner" in roles) return roles;
  const has = who.roles.length === 0 ? "no role that the API knows" : `only the role ${who.roles.join(", ")}`;
  throw forbidden(`${who.userId} has ${has} here, and may not do this`);
}

/**
 * Decides for every route alike what somebody may do who is not the administrator: by the route's declaration, the tenant of
 * the token, and the tenants of the objects that the request is about or names.
 */
export class Access {
  private readonly owners: Ownership;

  constructor(owners: Ownership) {
    this.owners = owners;
  }

  /**
   * Before the body is looked at: the object of the path.
   * @returns it; null where the path names none that has an owner; an answer where there is nothing to be done.
   * @throws MidotraceError FORBIDDEN when it is another tenant's; NOT_FOUND; STORE_UNAVAILABLE.
   */
  async object(
    route: Route,
    { owner }: OwnRoles,
    who: Identity,
    params: Asked["params"],
  ): Promise<{ readonly stored: Owned | null } | { readonly answer: PlainResult }> {
    if (!isPathOwner(owner)) return { stored: null };
    const id = params["id"] ?? "";
    const stored = await this.find(owner, id);
    if (stored === null) return { answer: missing(route, owner, id) };
    needOwn(who, owner, id, stored);
    return { stored };
  }

  /**
   * @param stored the object of the path.
   * @throws MidotraceError FORBIDDEN for what is others'; NOT_FOUND for what is not there, and for what nobody may find out
   *   to be there; BAD_EXPRESSION; STORE_UNAVAILABLE.
   */
  async decide(
    route: Route,
    { owner }: OwnRoles,
    who: Identity,
    asked: Asked,
    stored: Owned | null,
  ): Promise<Decision> {
    if (owner === "each-listed") return listed(who, asked);
    if (owner === "trace-device-of-body") await this.needDevice(who, asked.body as TraceBody);
    if (owner === "port-of-body") await this.needPort(who, asked.body);
    const body = owned(route, who, asked.body);
    // Of a trace request nothing but `enabled` can be changed.
    if (route.method !== "GET" && owner !== "trace") await this.needReferences(who, body, stored?.record ?? null);
    return { kind: "go", asked: { ...asked, body } };
  }

  private find(owner: PathOwner, id: string): Promise<Owned | null> {
    return owner === "tenant" ? Promise.resolve({ tenantId: id, record: {} }) : this.owners.find(owner, id);
  }

  private async needDevice(who: Identity, body: TraceBody): Promise<void> {
    const { deviceType, deviceId } = deviceOfTrace(body);
    // What the body lacks, the handler says.
    if (deviceType === undefined || deviceId === undefined) return;
    const kind = ({ BRIDGE: "bridge", ROUTER: "router", PORT: "port" } as const)[deviceType];
    await this.needOne(who, kind, deviceId);
  }

  /** By its UUID. A name is looked for among the tenant's own ports by the handler. */
  private async needPort(who: Identity, body: unknown): Promise<void> {
    const { port } = body as { readonly port: string | null };
    if (port !== null && isUuid(port.toLowerCase())) await this.needOne(who, "port", port.toLowerCase());
  }

  private async needOne(who: Identity, kind: "bridge" | "router" | "port", id: string): Promise<void> {
    const found = await this.owners.find(kind, id);
    if (found === null) throw notFound(kind, id);
    needOwn(who, kind, id, found);
  }

  /** @param stored the object as it is: what it names already, a body may name again. */
  private async needReferences(
    who: Identity,
    body: unknown,
    stored: Readonly<Record<string, unknown>> | null,
  ): Promise<void> {
    for (const named of referencesOf(body)) {
      if (stored?.[named.property] === named.id) continue;
      await this.needReference(who, named);
    }
  }

  private async needReference(who: Identity, { kind, id, foreign, property }: NamedObject): Promise<void> {
    const found = await this.findReferenced(kind, id);
    if (found !== null && found.tenantId === who.tenantId && who.tenantId !== "") return;
    if (found !== null && foreign === "forbidden") throw forbidden(`${property}: ${kind} ${id} is another tenant's`);
    const message = `no ${kind} ${id}`;
    throw new MidotraceError("NOT_FOUND", `${property}: ${message}`, [{ property, message }]);
  }

  private async findReferenced(kind: ReferenceKind, id: string): Promise<Owned | null> {
    if (kind !== "device") return this.owners.find(kind, id);
    const kinds = ["bridge", "router", "port"] as const;
    return (await Promise.all(kinds.map((k) => this.owners.find(k, id)))).find((o) => o !== null) ?? null;
  }
}

/** The filter by tenant is set, whatever the request says; another tenant's objects are none. */
function listed(who: Identity, asked: Asked): Decision {
  const query = asked.query as Readonly<Record<string, unknown>>;
  const wanted = query["tenant_id"];
  if (who.tenantId === "" || (typeof wanted === "string" && wanted !== "" && wanted !== who.tenantId))
    return { kind: "answer", result: json([]) };
  return { kind: "go", asked: { ...asked, query: { ...query, tenant_id: who.tenantId } } };
}

/** As MidoNet has it: what is not there cannot be deleted, which some of its resources call done. */
function missing(route: Route, kind: string, id: string): PlainResult {
  if (route.method === "DELETE" && !route.errors.includes("NOT_FOUND")) return EMPTY;
  throw notFound(kind, id);
}

function isPathOwner(owner: Owner): owner is PathOwner {
  return (PATH_OWNERS as readonly string[]).includes(owner);
}

function needOwn(who: Identity, kind: string, id: string, { tenantId }: Owned): void {
  if (who.tenantId === "" || tenantId !== who.tenantId) throw forbidden(`${kind} ${id} is another tenant's`);
}

/**
 * The tenant of what is made or changed is the token's: a body may leave it out, and may not say another.
 * @throws MidotraceError FORBIDDEN
 */
function owned(route: Route, who: Identity, body: unknown): unknown {
  if (route.body === null || typeof body !== "object" || body === null || !("tenantId" in body)) return body;
  const said = body.tenantId;
  if (who.tenantId === "" || (said !== null && said !== "" && said !== who.tenantId))
    throw forbidden("tenantId: it is the tenant of the token, and no other");
  return { ...body, tenantId: who.tenantId };
}

const forbidden = (message: string): MidotraceError => new MidotraceError("FORBIDDEN", message);
const notFound = (kind: string, id: string): MidotraceError => new MidotraceError("NOT_FOUND", `no ${kind} ${id}`);
