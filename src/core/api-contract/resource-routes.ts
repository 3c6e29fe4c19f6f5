import type { ErrorCode } from "#core/base";
import * as z from "zod";
import { pageShape } from "./fields.ts";
import { collectionMedia, itemMedia, type ResourceName } from "./media.ts";
import { type Answer, type NoQuery, type Paging, type Roles, route, type Route } from "./route.ts";

/** The few shapes that nearly all routes of MidoNet's resources have. */
export interface Resource {
  readonly media: ResourceName | readonly ResourceName[];
  /** As the summary names one. */
  readonly noun: string;
  readonly schema: z.ZodType;
}

const names = (r: Resource): readonly ResourceName[] => (typeof r.media === "string" ? [r.media] : r.media);

/** @param query what the list is filtered by; `limit` and `marker` every list has. */
export function listRoute<const P extends string, Q extends z.ZodObject = NoQuery>(
  path: P,
  r: Resource,
  roles: Roles,
  query?: Q,
  paging: Paging = "by-id",
): Route<P, z.ZodUndefined, Q> {
  const answer: Answer = { kind: "body", media: collectionMedia(...names(r)), schema: z.array(r.schema) };
  const errors: ErrorCode[] = ["VALIDATION", ...(path.includes("{") ? (["NOT_FOUND"] as const) : []), "NOT_ACCEPTABLE"];
  // Handlers see their filters; the pages are cut behind them.
  const whole = z.object({ ...query?.shape, ...pageShape }) as unknown as Q;
  const base = { method: "GET", path, tag: r.noun, summary: `List: ${r.noun}`, roles, answer, errors, paging } as const;
  return route<P, z.ZodUndefined, Q>({ ...base, query: whole });
}

export function getRoute<const P extends string>(
  path: P,
  r: Resource,
  roles: Roles,
  more: readonly ErrorCode[] = [],
): Route<P, z.ZodUndefined> {
  const answer: Answer = { kind: "body", media: itemMedia(...names(r)), schema: r.schema };
  const errors: ErrorCode[] = path.includes("{") ? [...more, "NOT_FOUND", "NOT_ACCEPTABLE"] : ["NOT_ACCEPTABLE"];
  return route({ method: "GET", path, tag: r.noun, summary: `Show: ${r.noun}`, roles, answer, errors });
}

const BODY_ERRORS: readonly ErrorCode[] = [
  "VALIDATION",
  "MALFORMED_JSON",
  "NOT_FOUND",
  "CONFLICT",
  "TOO_LARGE",
  "UNSUPPORTED_MEDIA_TYPE",
];

export function createRoute<const P extends string, B extends z.ZodType>(
  path: P,
  r: Resource,
  schema: B,
  roles: Roles,
  errors: readonly ErrorCode[] = [],
): Route<P, B> {
  return route({
    method: "POST",
    path,
    tag: r.noun,
    summary: `Create: ${r.noun}`,
    roles,
    body: { media: itemMedia(...names(r)), schema },
    answer: { kind: "created" },
    errors: [...BODY_ERRORS, "ALREADY_EXISTS", ...errors],
  });
}

export function updateRoute<const P extends string, B extends z.ZodType>(
  path: P,
  r: Resource,
  schema: B,
  roles: Roles,
  errors: readonly ErrorCode[] = [],
  status: 200 | 204 = 204,
): Route<P, B> {
  return route({
    method: "PUT",
    path,
    tag: r.noun,
    summary: `Change: ${r.noun}`,
    roles,
    body: { media: itemMedia(...names(r)), schema },
    answer: { kind: "empty", status },
    errors: [...BODY_ERRORS, ...errors],
  });
}

export function deleteRoute<const P extends string>(
  path: P,
  r: Resource,
  roles: Roles,
  errors: readonly ErrorCode[] = ["NOT_FOUND", "CONFLICT"],
  status: 200 | 204 = 204,
): Route<P, z.ZodUndefined> {
  const answer: Answer = { kind: "empty", status };
  return route({ method: "DELETE", path, tag: r.noun, summary: `Delete: ${r.noun}`, roles, answer, errors });
}
