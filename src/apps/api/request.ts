import { isUtf8 } from "node:buffer";
import {
  BASE_PATH,
  checkJsonShape,
  Links,
  parseExactJson,
  parsePlainJson,
  pathText,
  type Route,
} from "#core/api-contract";
import { acceptsBody, JSON_MEDIA, negotiate } from "#core/api-contract";
import { isUuid, MidotraceError } from "#core/base";
import type { FastifyRequest } from "fastify";
import type * as z from "zod";
import type { ServerLimits } from "./limits.ts";

/** Characters of a host name, address and port; anything else in a header is not echoed into URIs. */
const AUTHORITY = /^[A-Za-z0-9.\-_[\]:]+$/;

function single(value: string | readonly string[] | undefined): string | undefined {
  const text = typeof value === "string" ? value : value?.[0];
  return text?.split(",", 1)[0]?.trim();
}

/** The origin that the client used, proxies respected (X-Forwarded-Proto, -Host), as MidoNet does it. */
export function linksOf(request: FastifyRequest, fallback: string): Links {
  const forwarded = single(request.headers["x-forwarded-host"]);
  const host = forwarded ?? request.headers.host ?? "";
  const own = fallback.startsWith("https:") ? "https" : "http";
  const proto = single(request.headers["x-forwarded-proto"]) ?? own;
  const usable = AUTHORITY.test(host) && (proto === "http" || proto === "https");
  return new Links(`${usable ? `${proto}://${host}` : fallback}${BASE_PATH}`);
}

/** Path parameters; UUIDs in lower case, as they are stored. */
export function paramsOf(request: FastifyRequest): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.params as Readonly<Record<string, string>>)) {
    const lower = value.toLowerCase();
    out[name] = isUuid(lower) ? lower : value;
  }
  return out;
}

/** @throws MidotraceError VALIDATION */
export function queryOf(request: FastifyRequest, route: Route): unknown {
  return check(route.query, request.query ?? {}, "the query");
}

/**
 * The body as the route's schema reads it; undefined for routes without one, whatever was sent.
 * @throws MidotraceError UNSUPPORTED_MEDIA_TYPE, TOO_LARGE, MALFORMED_JSON, VALIDATION
 */
export function bodyOf(request: FastifyRequest, route: Route, limits: ServerLimits): unknown {
  if (route.body === null) return undefined;
  const contentType = request.headers["content-type"];
  const accepted = [...route.body.media, JSON_MEDIA];
  if (!acceptsBody(contentType, accepted))
    throw new MidotraceError("UNSUPPORTED_MEDIA_TYPE", `${contentType} is not one of ${route.body.media.join(", ")}`);
  const bytes = request.body instanceof Uint8Array ? request.body : new Uint8Array(0);
  const parse = route.body.plainNumbers === true ? parsePlainJson : parseExactJson;
  const text = decodeUtf8(bytes);
  checkJsonShape(text, { depth: limits.jsonDepth, values: limits.jsonValues });
  return check(route.body.schema, parse(text), "the body");
}

/** @throws MidotraceError NOT_ACCEPTABLE. @returns the media type to answer with. */
export function mediaOf(request: FastifyRequest, route: Route): string {
  if (!("media" in route.answer)) return JSON_MEDIA;
  const { media } = route.answer;
  const chosen = negotiate(request.headers.accept, media);
  if (chosen === null)
    throw new MidotraceError("NOT_ACCEPTABLE", `served are ${media.join(", ")}, not ${request.headers.accept}`);
  return chosen;
}

const BYTE_ORDER_MARK = "\uFEFF";

function decodeUtf8(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new MidotraceError("MALFORMED_JSON", "the body is not UTF-8");
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
}

function check(schema: z.ZodType, value: unknown, what: string): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const violations = parsed.error.issues.map(({ path, message }) => ({ property: pathText(path), message }));
  const text = violations.map((v) => (v.property === "" ? v.message : `${v.property}: ${v.message}`)).join("; ");
  throw new MidotraceError("VALIDATION", `${what} is not valid: ${text}`, violations);
}
