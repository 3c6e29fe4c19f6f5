import { AsyncLocalStorage } from "node:async_hooks";
import { type OperationId, parseExactJson, type Route } from "#core/api-contract";
import type { Clock } from "#core/base";
import { type Identity, NOBODY } from "#core/identity";
import type { NodeChange } from "#core/nsdb";
import type { FastifyReply, FastifyRequest } from "fastify";

/** One record of the store, as a request found it and left it. */
export interface AuditedChange {
  readonly node: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** One line of the audit log: somebody changed something, or was not let. Holds no token and no password. */
export interface AuditEntry {
  /** ISO 8601. */
  readonly time: string;
  /** Null: nobody knows. */
  readonly user: string | null;
  readonly tenant: string | null;
  readonly roles: readonly string[];
  readonly address: string;
  /** As in rest-api.md; null: no operation has this path. */
  readonly operation: string | null;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly status: number;
  /** Code of errors.md; null: done. */
  readonly error: string | null;
  /** Of what was made. */
  readonly location: string | null;
  readonly changes: readonly AuditedChange[];
  /** Changes that are not listed: there were too many. */
  readonly more: number;
}

/** Records of one change that a line lists; a whole topology has thousands. */
const MAX_CHANGES = 100;
/** Change nothing though they are no GET, or are no user's. */
const NOT_AUDITED: ReadonlySet<OperationId> = new Set<OperationId>(["simulate", "deliverSegments"]);

interface Context {
  viewer: Identity;
  error: string | null;
  readonly changes: AuditedChange[];
  more: number;
}

/** Who changed what. Before and after are of the transactions themselves. */
export class Audit {
  private readonly clock: Clock;
  private readonly write: (entry: AuditEntry) => void;
  private readonly contexts = new WeakMap<FastifyRequest, Context>();
  private readonly current = new AsyncLocalStorage<Context>();

  constructor(clock: Clock, write: (entry: AuditEntry) => void) {
    this.clock = clock;
    this.write = write;
  }

  identified(request: FastifyRequest, viewer: Identity): void {
    this.of(request).viewer = viewer;
  }

  failed(request: FastifyRequest, code: string): void {
    this.of(request).error = code;
  }

  /** What is committed meanwhile is the request's. */
  during<T>(request: FastifyRequest, work: () => T): T {
    return this.current.run(this.of(request), work);
  }

  /** For the store's transactions. */
  readonly committed = (changes: readonly NodeChange[]): void => {
    const context = this.current.getStore();
    if (context === undefined) return;
    for (const { path, before, after } of changes) {
      if (isDirectory(before) && isDirectory(after)) continue;
      if (context.changes.length >= MAX_CHANGES) context.more++;
      else context.changes.push({ node: path, before: valueOf(before), after: valueOf(after) });
    }
  };

  answered(request: FastifyRequest, reply: FastifyReply, operation: OperationId | null, route: Route | null): void {
    const { viewer, error, changes, more } = this.of(request);
    const status = reply.statusCode;
    const refused = status === 401 || status === 403;
    const changing = request.method !== "GET" && request.method !== "HEAD" && request.method !== "OPTIONS";
    if (!refused && (!changing || route === null || (operation !== null && NOT_AUDITED.has(operation)))) return;
    const known = viewer !== NOBODY;
    const location = reply.getHeader("location");
    this.write({
      time: new Date(this.clock.nowMs()).toISOString(),
      user: known ? viewer.userId : null,
      tenant: known ? viewer.tenantId : null,
      roles: viewer.roles,
      address: request.ip,
      operation,
      method: request.method,
      path: request.url.split("?", 1)[0] ?? "",
      status,
      error,
      location: typeof location === "string" ? location : null,
      changes,
      more,
    });
  }

  private of(request: FastifyRequest): Context {
    let context = this.contexts.get(request);
    if (context === undefined) {
      context = { viewer: NOBODY, error: null, changes: [], more: 0 };
      this.contexts.set(request, context);
    }
    return context;
  }
}

/** Nodes of indexes say what is where, and nothing else. */
const isDirectory = (data: string | null): boolean => data === null || data === "" || data === "{}";

function valueOf(data: string | null): unknown {
  if (data === null) return null;
  try {
    const node = parseExactJson(data) as { readonly data?: unknown } | null;
    // Records stand in an envelope with the version of their form.
    return typeof node === "object" && node?.data !== undefined ? node.data : node;
  } catch {
    return data;
  }
}
