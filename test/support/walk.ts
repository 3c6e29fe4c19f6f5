import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { agentGate, type AgentTokens } from "#apps/api";
import {
  allRoutes,
  CALLERS,
  type Caller,
  type Grant,
  type OperationId,
  PATH_OWNERS,
  type PathOwner,
  type Roles,
  type Route,
} from "#core/api-contract";
import { type Rig, startRig } from "../integration/api-support.ts";
import { FakeIdentity, identityOf } from "./fake-identity.ts";
import { PROVIDER, RED } from "./tracing-example.ts";
import { type Belongings, belongingsOf, type Common, commonObjects, missingBelongings } from "./walk-world.ts";

/*
 * The walk: every route, as every caller, on own, foreign and missing objects, against a running server; what it answers is
 * compared with the table in docs/reference/authorisation.md.
 */

export const WHOSE = ["own", "foreign", "missing"] as const;
export type Whose = (typeof WHOSE)[number];
export type Routes = readonly (readonly [OperationId, Route])[];

/** The table that is in the documentation, as people read it. */
export function documentedGrants(): ReadonlyMap<string, Readonly<Record<Caller, Grant>>> {
  const page = readFileSync(join(import.meta.dirname, "../../docs/reference/authorisation.md"), "utf8");
  const rows = [...page.matchAll(/^\| `(\w+)` \| `[A-Z]+ \/[^`]*` \| (.+) \|$/gm)];
  return new Map(
    rows.map(([, operation = "", rest = ""]) => {
      const cells = rest.split(" | ");
      return [operation, Object.fromEntries(CALLERS.map((caller, i) => [caller, cells[i]])) as Record<Caller, Grant>];
    }),
  );
}

const AGENT_TOKEN = "token-of-an-agent-0123456789";
/** Tokens that are no user's: none at all, and one that nobody has given out. */
const NOBODYS = [null, "made-up"] as const;

/** What the flow of every walk tells of others' devices and hosts. */
const OTHERS = ["provider-router", "blue-vm2", "172.16.0.2", `of ${PROVIDER}`];

export interface Step {
  readonly operation: OperationId;
  readonly route: Route;
  readonly caller: Caller;
  readonly whose: Whose;
  readonly token: string | null;
}

export interface Answered {
  readonly status: number;
  readonly text: string;
}

/** A server to walk over, and who walks. */
export class Walk {
  private readonly rig: Rig;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 8 });
  private readonly grants = documentedGrants();
  private readonly missing = missingBelongings();
  private objects: { readonly own: Belongings; readonly foreign: Belongings; readonly common: Common } | null = null;
  /** Ids and names that only the other tenant may see. */
  private secrets: readonly string[] = [];
  requests = 0;

  private constructor(rig: Rig) {
    this.rig = rig;
  }

  /** @param routes what the server serves. */
  static async start(routes: Routes): Promise<Walk> {
    const identity = new FakeIdentity({
      admin: identityOf("ops", "admin"),
      tenant_admin: identityOf(RED, "tenant_admin"),
      tenant_user: identityOf(RED, "tenant_user"),
    });
    const { createHash } = await import("node:crypto");
    const tokens: AgentTokens = new Map([[createHash("sha256").update(AGENT_TOKEN).digest("hex"), null]]);
    const agents = agentGate({ tokens: () => tokens, certificates: false });
    return new Walk(await startRig({ identity, agents, routes }));
  }

  async stop(): Promise<void> {
    this.agent.destroy();
    await this.rig.stop();
  }

  /** Every step that a route takes. */
  static stepsOf(operation: OperationId, route: Route): Step[] {
    const whose = declaredOwner(route) !== null || route.path.includes("{") ? WHOSE : (["own"] as const);
    return CALLERS.flatMap((caller) =>
      tokensOf(caller).flatMap((token) => whose.map((w) => ({ operation, route, caller, whose: w, token }))),
    );
  }

  /**
   * @param untilOne go no further than the first.
   * @returns what is not as the documentation has it, one line each; empty: all is.
   */
  async route(operation: OperationId, route: Route, untilOne = false): Promise<string[]> {
    const problems: string[] = [];
    const grants = this.grants.get(operation);
    if (grants === undefined) return [`${operation} is not in the table`];
    for (const step of Walk.stepsOf(operation, route)) {
      const answered = await this.take(step);
      const problem = wrongWith(step, grants[step.caller], answered) ?? this.leak(step, answered);
      if (problem === null) continue;
      problems.push(`${operation} as ${step.caller} (${step.token ?? "no token"}), ${step.whose}: ${problem}`);
      if (untilOne) break;
    }
    return problems;
  }

  private async take(step: Step): Promise<Answered> {
    const { route, token, whose } = step;
    const { own, foreign, common } = await this.world();
    const subject = { own, foreign, missing: this.missing }[whose];
    const body = bodyOf(route, subject, whose);
    const headers: Record<string, string> = { "content-type": "application/json" };
    if (token !== null) headers["x-auth-token"] = token;
    // Somebody who signs in says so in another way.
    if (route.path.endsWith("/login"))
      headers["authorization"] = `Basic ${Buffer.from("admin:right").toString("base64")}`;
    if (route.answer.kind === "events") headers["last-event-id"] = "0";
    const query = declaredOwner(route) === "each-listed" && whose !== "own" ? `?tenant_id=${subject.tenant}` : "";
    this.requests++;
    const answered = await this.send(route, pathOf(route, subject, common, whose) + query, headers, body);
    if (route.method !== "GET" && answered.status < 300) this.objects = null;
    return answered;
  }

  /** New ones after something was changed. */
  private async world(): Promise<NonNullable<Walk["objects"]>> {
    if (this.objects !== null) return this.objects;
    const own = await belongingsOf(this.rig, RED);
    const foreign = await belongingsOf(this.rig, PROVIDER);
    this.secrets = [...OTHERS, ...Object.values(foreign).filter((id) => id !== PROVIDER)];
    this.objects = { own, foreign, common: await commonObjects(this.rig) };
    return this.objects;
  }

  private send(route: Route, path: string, headers: Record<string, string>, body: unknown): Promise<Answered> {
    const text = body === undefined ? "{}" : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const options = {
        method: route.method,
        agent: this.agent,
        headers: { ...headers, "content-length": Buffer.byteLength(text) },
      };
      const req = request(`${this.rig.url}${path}`, options, (res) => {
        let got = "";
        const status = res.statusCode ?? 0;
        res.setEncoding("utf8");
        res.on("data", (part: string) => {
          got += part;
          if (route.answer.kind !== "events" || status !== 200) return;
          // A stream does not end by itself.
          resolve({ status, text: got });
          req.destroy();
        });
        res.on("end", () => resolve({ status, text: got }));
        res.on("error", () => resolve({ status, text: got }));
      });
      req.on("error", reject);
      req.end(text);
    });
  }

  /** Whatever is answered to somebody who is not the administrator tells nothing of another tenant but what was asked with. */
  private leak({ caller, whose, route }: Step, { status, text }: Answered): string | null {
    if (caller === "admin" || status >= 300 || "anonymous" in route.roles) return null;
    for (const secret of this.secrets)
      if (text.includes(secret)) return `tells ${JSON.stringify(secret)} of another tenant (${whose})`;
    return null;
  }
}

function tokensOf(caller: Caller): readonly (string | null)[] {
  if (caller === "nobody") return NOBODYS;
  return [caller === "agent" ? AGENT_TOKEN : caller];
}

const isPathOwner = (owner: string): owner is PathOwner => (PATH_OWNERS as readonly string[]).includes(owner);

/** Null: as it should be. */
function wrongWith({ route, whose }: Step, grant: Grant, { status }: Answered): string | null {
  const wanted = wantedOf(route, whose, grant);
  return wanted.test(status) ? null : `${status}, not ${wanted.text}`;
}

interface Wanted {
  readonly text: string;
  readonly test: (status: number) => boolean;
}

const exactly = (...statuses: number[]): Wanted => ({
  text: statuses.join(" or "),
  test: (status) => statuses.includes(status),
});
const LET_IN: Wanted = { text: "anything but 401, 403 and 5xx", test: (s) => s !== 401 && s !== 403 && s < 500 };
const FOUND: Wanted = { text: "anything but 401, 403, 404 and 5xx", test: (s) => LET_IN.test(s) && s !== 404 };

function wantedOf(route: Route, whose: Whose, grant: Grant): Wanted {
  if (grant === "401") return exactly(401);
  if (grant === "403") return exactly(403);
  if (grant === "yes") return LET_IN;
  const owner = declaredOwner(route);
  if (owner === "each-listed") return exactly(200);
  // A route that says it is about nobody's object, while the table says the opposite.
  if (owner === null) return exactly();
  if (whose === "own") return /\{(?!id\})/.test(route.path) ? LET_IN : FOUND;
  if (whose === "foreign") return exactly(403);
  if (owner === "body") return LET_IN;
  if (owner === "tenant") return exactly(403);
  const quiet = route.method === "DELETE" && !route.errors.includes("NOT_FOUND");
  return exactly(quiet ? 204 : 404);
}

/** By the contract, whatever the server that is walked over has. */
function declaredOwner(route: Route): string | null {
  const declared = allRoutes().find(([, r]) => r.method === route.method && r.path === route.path)?.[1].roles;
  return declared !== undefined && "owner" in declared ? declared.owner : null;
}

const COLLECTION: Readonly<Record<string, keyof Belongings | keyof Common>> = {
  bridges: "bridge",
  routers: "router",
  ports: "port",
  chains: "chain",
  rules: "rule",
  routes: "route",
  port_groups: "portGroup",
  traces: "trace",
  tenants: "tenant",
  hosts: "host",
  tunnel_zones: "zone",
  ip_addr_groups: "ipGroup",
};

function pathOf(route: Route, subject: Belongings, common: Common, whose: Whose): string {
  const [, , collection = ""] = route.path.split("/");
  const kind = COLLECTION[collection];
  const objects: Readonly<Record<string, string>> = { ...subject, ...common };
  const none = "00000000-0000-4000-8000-0000000000ff";
  const id = kind === undefined || (whose === "missing" && kind in common) ? none : (objects[kind] ?? none);
  const values: Readonly<Record<string, string>> = {
    id,
    portId: subject.port,
    hostId: common.host,
    flowTraceId: subject.flow,
    name: "eth0",
    version: "4",
    addr: "10.0.0.1",
    vlan: "0",
    vlanId: "0",
  };
  return route.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? none));
}

function bodyOf(route: Route, subject: Belongings, whose: Whose): unknown {
  if ("agent" in route.roles || route.path.endsWith("/trace-segments"))
    return { hostId: "00000000-0000-4000-8000-0000000000aa", bootId: "walk", sequence: 1, segments: [], lost: [] };
  const owner = declaredOwner(route);
  if (owner === "body")
    return { name: "made by the walk", ...(whose === "missing" ? {} : { tenantId: subject.tenant }) };
  if (owner === "trace-device-of-body")
    return { name: "made by the walk", deviceType: "BRIDGE", deviceId: subject.bridge, condition: {} };
  return owner === "port-of-body" ? { port: subject.port, packet: "icmp 10.0.1.10 > 10.0.1.1" } : undefined;
}

/** Other declarations than the right one, each of which somebody could have written by mistake. */
export function mutantsOf(roles: Roles): readonly Roles[] {
  const adminOnly: Roles = { admin: true, tenant_admin: "none", tenant_user: "none" };
  const everybody: Roles = { admin: true, tenant_admin: "all", tenant_user: "all" };
  const administrators: Roles = { admin: true, tenant_admin: "all", tenant_user: "none" };
  const anonymous: Roles = { anonymous: true };
  const agent: Roles = { agent: true };
  if ("anonymous" in roles) return [everybody, adminOnly, agent];
  if ("agent" in roles) return [everybody, adminOnly, anonymous];
  if (!("owner" in roles))
    return [
      anonymous,
      agent,
      ...(roles.tenant_user === "all" ? [administrators] : [everybody]),
      ...(roles.tenant_admin === "all" ? [adminOnly] : [administrators]),
    ];
  const { owner } = roles;
  const otherOwner = isPathOwner(owner) ? (owner === "port" ? "chain" : "port") : "tenant";
  return [
    anonymous,
    agent,
    everybody,
    adminOnly,
    { ...roles, tenant_user: roles.tenant_user === "own" ? "none" : "own" },
    { ...roles, owner: otherOwner },
  ];
}
