import type { ErrorCode } from "#core/base";
import * as z from "zod";

/**
 * Who may use a route. `own`: objects of the identity's tenant only; `owner` says whose object that is. Every route has
 * to say it: one that declares none does not compile. Enforced for every route alike, before its handler runs
 * (apps/api/access.ts), and printed as docs/reference/authorisation.md.
 */
export type Roles =
  | { readonly admin: true; readonly tenant_admin: "all" | "none"; readonly tenant_user: "all" | "none" }
  | {
      readonly admin: true;
      readonly tenant_admin: "own";
      readonly tenant_user: "own" | "none";
      readonly owner: Owner;
    }
  /** Asked by machines and browsers without credentials; shows nothing of any tenant. */
  | { readonly anonymous: true }
  /** Hosts' agents, by a credential of their own; nobody else, whatever their role. Without authentication, everybody. */
  | { readonly agent: true };

/** The object whose id is the path parameter `id`. */
export const PATH_OWNERS = [
  "bridge",
  "router",
  "port",
  "chain",
  "rule",
  "route",
  "port-group",
  "trace",
  "tenant",
] as const;
export type PathOwner = (typeof PATH_OWNERS)[number];

/** Whose tenant decides. */
export type Owner =
  | PathOwner
  /** `tenantId` of the body; where it is left out, it is the identity's tenant. */
  | "body"
  /** The device that a new trace request is for. */
  | "trace-device-of-body"
  /** The port that a simulated packet enters by. */
  | "port-of-body"
  /** Each listed object: the answer has no other. A query parameter `tenant_id` of another tenant gives an empty list. */
  | "each-listed";

export const ADMIN_ONLY: Roles = { admin: true, tenant_admin: "none", tenant_user: "none" };
export const EVERYBODY: Roles = { admin: true, tenant_admin: "all", tenant_user: "all" };
export const ANONYMOUS: Roles = { anonymous: true };
export const AGENTS_ONLY: Roles = { agent: true };
/** Tenants read their own. */
export const ownRead = (owner: Owner): Roles => ({ admin: true, tenant_admin: "own", tenant_user: "own", owner });
/** Tenant administrators change their own. */
export const ownWrite = (owner: Owner): Roles => ({ admin: true, tenant_admin: "own", tenant_user: "none", owner });

export type Method = "GET" | "POST" | "PUT" | "DELETE";

/** What comes back when all is well. */
export type Answer =
  /** 200 with a body. */
  | { readonly kind: "body"; readonly media: readonly string[]; readonly schema: z.ZodType }
  /** 201, empty, with the URI of the new object in `Location`. */
  | { readonly kind: "created" }
  /** 201 without Location, 200 or 204, empty. */
  | { readonly kind: "empty"; readonly status: 200 | 201 | 204 }
  /** 200, a text that is no JSON, a file of bytes, or a stream of server-sent events. */
  | { readonly kind: "text" | "binary" | "events"; readonly media: readonly string[] };

/** The order of the pages of a list: that of the ids, or the list's own. */
export type Paging = "by-id" | "as-listed";

export interface RouteBody<B extends z.ZodType = z.ZodType> {
  readonly media: readonly string[];
  readonly schema: B;
  /** Where the limit of every route (16 MiB) is too much. */
  readonly maxBytes?: number;
  /** No 64-bit integers in it: read as plain JSON, which is eight times faster. */
  readonly plainNumbers?: true;
}

/** One route; `P` keeps the literal path, so that handlers know its parameters. */
export interface Route<P extends string = string, B extends z.ZodType = z.ZodType, Q extends z.ZodType = z.ZodType> {
  readonly method: Method;
  /** Absolute on the server, with parameters in braces. */
  readonly path: P;
  readonly tag: string;
  readonly summary: string;
  readonly roles: Roles;
  readonly query: Q;
  readonly body: RouteBody<B> | null;
  readonly answer: Answer;
  /** Beyond those of every route (`COMMON_ERRORS`). */
  readonly errors: readonly ErrorCode[];
  /** A list that comes in pages when `limit` or `marker` say so. */
  readonly paging?: Paging;
  /** Not a GET, and served all the same while the system is read only: it changes nothing of the virtual network. */
  readonly evenReadOnly?: true;
}

/** What any route may answer. */
export const COMMON_ERRORS: readonly ErrorCode[] = ["RATE_LIMITED", "INTERNAL", "STORE_UNAVAILABLE"];
/** What a route that is not for everybody may answer, too. */
export const ACCESS_ERRORS: readonly ErrorCode[] = ["UNAUTHENTICATED", "FORBIDDEN", "AUTH_UNAVAILABLE"];

/** Whether the route is refused while the system is read only. */
export const changesNetwork = (r: Route): boolean => r.method !== "GET" && r.evenReadOnly !== true;

const noQuery = z.object({});
export type NoQuery = typeof noQuery;

type Draft<P extends string, B extends z.ZodType, Q extends z.ZodType> = Omit<Route<P, B, Q>, "query" | "body"> & {
  readonly query?: Q;
  readonly body?: RouteBody<B>;
};

export function route<const P extends string, B extends z.ZodType = z.ZodUndefined, Q extends z.ZodType = NoQuery>(
  draft: Draft<P, B, Q>,
): Route<P, B, Q> {
  return { ...draft, query: draft.query ?? (noQuery as unknown as Q), body: draft.body ?? null };
}

/** The names between braces in a path. */
export type ParamNames<P extends string> = P extends `${string}{${infer Name}}${infer Rest}`
  ? Name | ParamNames<Rest>
  : never;
export type Params<R extends Route> = { readonly [N in ParamNames<R["path"]>]: string };
export type Body<R> = R extends Route<string, infer B> ? z.output<B> : never;
export type Query<R> = R extends Route<string, z.ZodType, infer Q> ? z.output<Q> : never;
