/**
 * The error table: every failure a user can meet has one row here, and one page row in docs/reference/errors.md (a test
 * compares the two). `MidotraceError` is the only error class that crosses a room's front door.
 */
export const ERRORS = {
  VALIDATION: { status: 400, summary: "a field of the request is wrong; `violations` names each" },
  MALFORMED_JSON: { status: 400, summary: "the body is not JSON" },
  MALFORMED_REQUEST: { status: 400, summary: "what came over the connection is no HTTP/1.1 request" },
  BAD_EXPRESSION: { status: 400, summary: "a filter or packet expression does not parse; `position` says where" },
  UNAUTHENTICATED: { status: 401, summary: "nobody is signed in: no token, or one that is not valid, or not any more" },
  FORBIDDEN: { status: 403, summary: "the caller is known but may not do this" },
  NOT_FOUND: { status: 404, summary: "the named object does not exist" },
  METHOD_NOT_ALLOWED: { status: 405, summary: "this resource does not offer the method" },
  NOT_ACCEPTABLE: { status: 406, summary: "none of the media types in Accept is served here" },
  REQUEST_TIMEOUT: { status: 408, summary: "the request did not come in time" },
  CONFLICT: { status: 409, summary: "the request contradicts the stored state" },
  ALREADY_EXISTS: { status: 409, summary: "an object with this id or name exists" },
  LIMIT_EXCEEDED: { status: 409, summary: "a limit of the tenant is reached; the message names it and its value" },
  TOO_LARGE: { status: 413, summary: "the body is larger, deeper or fuller than the limit" },
  URI_TOO_LONG: { status: 414, summary: "path and query are longer than the limit" },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, summary: "the body's media type is not understood here" },
  RATE_LIMITED: { status: 429, summary: "too many requests; `Retry-After` says when to come back" },
  HEADERS_TOO_LARGE: { status: 431, summary: "the headers are larger than the limit" },
  INTERNAL: { status: 500, summary: "a defect of ours; the log has the details" },
  READ_ONLY: {
    status: 503,
    summary: "the system is set to read only: nothing can be changed until an administrator ends that",
  },
  STORE_UNAVAILABLE: {
    status: 503,
    summary: "the network state database, or the store of flow traces, does not answer",
  },
  AUTH_UNAVAILABLE: { status: 503, summary: "the identity service does not answer, so nobody is let in" },
  TUNNEL_KEYS_EXHAUSTED: { status: 503, summary: "all 2^20 tunnel keys are in use" },
  USAGE: { status: 400, summary: "a command-line option is wrong" },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** One wrong field: `property` is the path of the JSON field (`condition.nwSrcAddress`), `message` what was expected. */
export interface Violation {
  readonly property: string;
  readonly message: string;
}

export class MidotraceError extends Error {
  readonly code: ErrorCode;
  readonly violations: readonly Violation[];
  /** When it may go better, s; null: not known. */
  readonly retryAfterS: number | null;

  constructor(
    code: ErrorCode,
    message: string,
    violations: readonly Violation[] = [],
    options?: { readonly cause?: unknown; readonly retryAfterS?: number },
  ) {
    super(message, options);
    this.name = "MidotraceError";
    this.code = code;
    this.violations = violations;
    this.retryAfterS = options?.retryAfterS ?? null;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}

/** Collects violations so that a user sees all wrong fields at once. */
export class Violations {
  readonly list: Violation[] = [];

  add(property: string, message: string): void {
    this.list.push({ property, message });
  }

  /** @throws MidotraceError VALIDATION when anything was added. */
  throwIfAny(what: string): void {
    if (this.list.length === 0) return;
    const text = this.list.map((v) => `${v.property}: ${v.message}`).join("; ");
    throw new MidotraceError("VALIDATION", `${what} is not valid: ${text}`, this.list);
  }
}

/** For the `default` of a switch over a union: the compiler refuses the call while a case is missing. */
export function unreachable(value: never): never {
  throw new MidotraceError("INTERNAL", `unexpected value ${String(value)}`);
}
