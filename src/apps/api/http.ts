import { type Cancel, MidotraceError, type Scheduler } from "#core/base";
import {
  allRoutes,
  ANONYMOUS,
  changesNetwork,
  EVENT_STREAM_MEDIA,
  type OperationId,
  type Route,
  ROUTES,
  statusOf,
  stringifyExactJson,
} from "#core/api-contract";
import { type Identity, type IdentityProvider, NOBODY } from "#core/identity";

import type { RequestListener, Server } from "node:http";
import { fastify, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { type Access, admit, type Asked } from "./access.ts";
import type { Handlers, PlainResult, Result, StreamSink } from "./call.ts";
import { type AgentGate, needHost, tokenOf } from "./caller.ts";
import type { Audit } from "./audit.ts";
import { connectionOptions, limitConnections, needShortUrl } from "./connections.ts";
import { errorReply, type ErrorReply, replyFor, toMidotraceError } from "./http-error.ts";
import { paged } from "./paging.ts";
import type { ServerTls } from "./server-tls.ts";
import type { ServerLimits } from "./limits.ts";
import type { Rates } from "./rates.ts";
import { watchAccess } from "./watch-access.ts";
import { bodyOf, linksOf, mediaOf, paramsOf, queryOf } from "./request.ts";
import { serveSite, type WebSite } from "./web-site.ts";

const CORS = {
  "access-control-allow-origin": "*",
  "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS",
  "access-control-expose-headers": "Location, Link",
} as const;
/** The two blanks are MidoNet's. */
const CHALLENGE = 'Basic  realm="BASIC_AUTH_REALM"';
const LOGIN_PATH = ROUTES.login.path;
const CORS_REQUEST_HEADERS = "Origin, X-Auth-Token, X-Auth-Project, Content-Type, Accept, Authorization";

/** Interface names may have 255 characters, each percent-encoded. */
const MAX_PARAM_LENGTH = 1024;

export interface HttpOptions {
  readonly handlers: Handlers;
  readonly identity: IdentityProvider;
  readonly agents: AgentGate;
  readonly access: Access;
  readonly scheduler: Scheduler;
  /** Origin for URIs when the request has no usable Host. */
  readonly origin: () => string;
  readonly onAnswer: (operation: OperationId | null, status: number, tookMs: number) => void;
  /** A defect: what the client is not told. */
  readonly onDefect: (error: Error) => void;
  /** Whether the system is set to read only. Asked before anything is changed. */
  readonly readOnly: () => Promise<boolean>;
  /** Null: plain http. */
  readonly tls: ServerTls | null;
  /** Default: the contract's. */
  readonly routes?: readonly (readonly [OperationId, Route])[] | undefined;
  /** Serve these and nothing else. Default: everything. */
  readonly only?: ReadonlySet<OperationId>;
  /** Ask nobody who they are for these. Default: for what the contract says. */
  readonly open?: ReadonlySet<OperationId>;
  readonly limits: ServerLimits;
  readonly rates: Rates;
  /** Null: nobody wants to know. */
  readonly audit: Audit | null;
  /** The web UI, instead of the page that says what this is. */
  readonly site?: WebSite | null;
}

/** The HTTP side of the contract: every route is served, everything else is 404 or 405, and nothing but the contract decides. */
export function buildHttp(options: HttpOptions): FastifyInstance {
  const { tls, limits, rates } = options;
  const app = fastify({
    ...(tls === null
      ? {}
      : { serverFactory: (listener: RequestListener) => tls.createServer(listener, limits) as Server }),
    bodyLimit: limits.bodyBytes,
    ...connectionOptions(limits),
    // Whoever closes it ends the connections, when their requests are answered.
    forceCloseConnections: false,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: MAX_PARAM_LENGTH },
    frameworkErrors: (error, _request, reply) => void send(reply, replyFor(error)),
  });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  app.addHook("onRequest", async (request, reply) => {
    reply.headers(CORS);
    needShortUrl(request.url, limits);
    ignoreUnaskedBody(request);
    if (isCounted(request)) rates.arrived(request.ip);
    if (request.method !== "OPTIONS") return;
    reply.header("access-control-allow-headers", CORS_REQUEST_HEADERS);
    await reply.code(200).send();
  });
  app.addHook("onResponse", async (request, reply) => {
    const { operation } = request.routeOptions.config as { readonly operation?: OperationId };
    if (reply.statusCode === 401) rates.refusedTo(request.ip);
    options.audit?.answered(request, reply, operation ?? null, operation === undefined ? null : ROUTES[operation]);
    options.onAnswer(operation ?? null, reply.statusCode, reply.elapsedTime);
  });
  app.setErrorHandler((error, request, reply) => {
    const known = toMidotraceError(error, request.routeOptions.bodyLimit);
    if (known.code === "UNAUTHENTICATED" && isChallenged(request)) reply.header("www-authenticate", CHALLENGE);
    if (known.code === "INTERNAL") options.onDefect(known);
    options.audit?.failed(request, known.code);
    return send(reply, replyFor(known));
  });
  const site = options.only === undefined ? (options.site ?? null) : null;
  const routes = (options.routes ?? allRoutes()).filter(([operation]) => options.only?.has(operation) ?? true);
  const paths = pathsOf(routes.map(([, route]) => route));
  app.setNotFoundHandler((request, reply) => notFound(paths, request, reply));
  if (site !== null) serveSite(app, site);
  for (const [operation, declared] of routes) {
    if (site !== null && operation === "getHome") continue;
    const route = options.open?.has(operation) === true ? { ...declared, roles: ANONYMOUS } : declared;
    app.route({
      method: route.method,
      url: route.path.replaceAll(/\{(\w+)\}/g, ":$1"),
      config: {
        operation,
        bodyless: route.body === null,
        endless: route.answer.kind === "events",
        counted: !("agent" in route.roles),
      },
      bodyLimit: Math.min(route.body?.maxBytes ?? limits.bodyBytes, limits.bodyBytes),
      handler: (request, reply) => serve(options, operation, route, request, reply),
    });
  }
  limitConnections(app.server, limits);
  return app;
}

/** Clients send bodies where none is asked for, of any type, also of one that is none: they are not looked at. */
function ignoreUnaskedBody(request: FastifyRequest): void {
  const { bodyless } = request.routeOptions.config as { readonly bodyless?: boolean };
  if (bodyless === true && request.headers["content-type"] !== undefined)
    request.headers["content-type"] = "application/octet-stream";
}

/** Agents deliver as much as there is; what the browser's page is made of is no request of anybody. */
function isCounted(request: FastifyRequest): boolean {
  const { counted } = request.routeOptions.config as { readonly counted?: boolean };
  return counted ?? request.is404;
}

async function serve(
  options: HttpOptions,
  operation: OperationId,
  route: Route,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { viewer, hostId } = await callerOf(options, route, request);
  options.audit?.identified(request, viewer);
  if (viewer !== NOBODY) options.rates.identified(viewer);
  const own = admit(route.roles, viewer);
  const media = mediaOf(request, route);
  const params = paramsOf(request);
  const object = own === null ? { stored: null } : await options.access.object(route, own, viewer, params);
  if ("answer" in object) return answer(object.answer, route, media, reply);
  let asked: Asked = { params, query: queryOf(request, route), body: bodyOf(request, route, options.limits) };
  needHost(hostId, asked.body);
  if (own !== null) {
    const decision = await options.access.decide(route, own, viewer, asked, object.stored);
    if (decision.kind === "answer") return answer(decision.result, route, media, reply);
    ({ asked } = decision);
  }
  const call = {
    ...asked,
    links: linksOf(request, options.origin()),
    media,
    viewer,
    header: (name: string) => {
      const value = request.headers[name];
      return typeof value === "string" ? value : value?.[0];
    },
  };
  // The contract gives each operation its own types; here they are all alike.
  if (changesNetwork(route) && (await options.readOnly()))
    throw new MidotraceError("READ_ONLY", "the system state is READONLY: nothing can be changed");
  const handler = options.handlers[operation] as unknown as (call: unknown) => Promise<Result> | Result;
  const result = paged(
    await (options.audit === null ? handler(call) : options.audit.during(request, () => handler(call))),
    route,
    asked.query,
    request.url,
    call.links,
  );
  if (result.kind === "json" && result.viewer !== undefined) options.audit?.identified(request, result.viewer);
  if (result.kind !== "events") return answer(result, route, media, reply);
  const again = async (): Promise<void> => {
    const now = await callerOf(options, route, request);
    if (now.viewer.tenantId !== viewer.tenantId || now.viewer.admin !== viewer.admin)
      throw new MidotraceError("UNAUTHENTICATED", "the token stands for somebody else now");
    const left = admit(route.roles, now.viewer);
    if (left !== null) await options.access.object(route, left, now.viewer, params);
  };
  return stream(result, request, reply, (end) => watchAccess(options.scheduler, again, end));
}

/** As MidoNet has it: after a login that failed, and for a token that nobody knows; not where there is none. */
function isChallenged(request: FastifyRequest): boolean {
  return request.url.startsWith(LOGIN_PATH) || tokenOf(request) !== null;
}

interface Caller {
  readonly viewer: Identity;
  /** The host that an agent speaks for; null where any will do. */
  readonly hostId: string | null;
}

/** @throws MidotraceError UNAUTHENTICATED, AUTH_UNAVAILABLE */
async function callerOf(options: HttpOptions, route: Route, request: FastifyRequest): Promise<Caller> {
  if ("anonymous" in route.roles) return { viewer: NOBODY, hostId: null };
  if ("agent" in route.roles) return { viewer: NOBODY, hostId: options.agents.hostOf(request) };
  return { viewer: await options.identity.identify(tokenOf(request)), hostId: null };
}

function answer(result: PlainResult, route: Route, media: string, reply: FastifyReply): FastifyReply {
  switch (result.kind) {
    case "json":
      return reply
        .code(result.status ?? statusOf(route.answer))
        .headers(result.headers ?? {})
        .header("content-type", media)
        .send(bytes(stringifyExactJson(result.value)));
    case "created":
      reply.code(201).header("location", result.location);
      if (result.value === undefined) return reply.send();
      return reply.header("content-type", "application/json").send(bytes(stringifyExactJson(result.value)));
    case "empty":
      return reply.code(statusOf(route.answer)).send();
    case "text":
      return reply.code(200).header("content-type", media).send(result.text);
    case "binary":
      return reply
        .code(200)
        .headers({ "content-type": media, "content-disposition": `attachment; filename="${result.fileName}"` })
        .send(Buffer.from(result.bytes.buffer, result.bytes.byteOffset, result.bytes.length));
  }
}

function stream(
  result: Extract<Result, { readonly kind: "events" }>,
  request: FastifyRequest,
  reply: FastifyReply,
  watch: (end: (reason: string) => void) => Cancel,
): FastifyReply {
  const headers = { "content-type": EVENT_STREAM_MEDIA, "cache-control": "no-cache", "x-accel-buffering": "no" };
  if (request.method === "HEAD") return reply.code(200).headers(headers).send();
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, { ...CORS, ...headers });
  const sink: StreamSink = {
    write: (text) => raw.write(text),
    onDrain: (listener) => void raw.once("drain", listener),
    onClose: (listener) => void raw.once("close", listener),
    end: () => void raw.end(),
    destroy: () => void raw.destroy(),
  };
  const guard = watch(result.open(sink));
  raw.once("close", () => guard.cancel());
  return reply;
}

/** Of a text Fastify would rewrite the media type (lower case, a charset), and MidoNet's clients compare it. */
const bytes = (text: string): Buffer => Buffer.from(text);

function send(reply: FastifyReply, error: ErrorReply): FastifyReply {
  if (error.retryAfterS !== undefined) reply.header("retry-after", String(error.retryAfterS));
  return reply.code(error.status).header("content-type", error.media).send(bytes(error.body));
}

interface ServedPath {
  readonly test: RegExp;
  readonly methods: readonly string[];
}

function pathsOf(routes: readonly Route[]): readonly ServedPath[] {
  return [...Map.groupBy(routes, (route) => route.path)].map(([path, same]) => ({
    test: new RegExp(`^${path.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}/?$`),
    methods: same.map((route) => route.method),
  }));
}

/** 405 with Allow where the path is one of ours; else 404 that names what is not known. */
function notFound(paths: readonly ServedPath[], request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const path = request.url.split("?", 1)[0] ?? "";
  const methods = paths.filter((p) => p.test.test(path)).flatMap((p) => p.methods);
  if (methods.length === 0)
    return send(reply, errorReply("NOT_FOUND", `nothing is served at ${decodeURIComponentSafely(path)}`));
  const allow = [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"].join(", ");
  reply.header("allow", allow);
  return send(reply, errorReply("METHOD_NOT_ALLOWED", `${request.method} is not offered here, but ${allow}`));
}

function decodeURIComponentSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
