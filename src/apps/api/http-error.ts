import { ERROR_MEDIA, stringifyExactJson } from "#core/api-contract";
import { type ErrorCode, ERRORS, MidotraceError, type Violation } from "#core/base";

export interface ErrorReply {
  readonly status: number;
  readonly media: string;
  readonly body: string;
  /** Seconds after which it may go better (RFC 9110 §10.2.3). */
  readonly retryAfterS?: number;
}

/** When to ask again, s. A store that lost its leader has another one by then. */
const RETRY_S: Readonly<Partial<Record<ErrorCode, number>>> = { STORE_UNAVAILABLE: 2, AUTH_UNAVAILABLE: 5 };

/** The one form that every failure takes on the wire. */
export function errorReply(
  code: ErrorCode,
  message: string,
  violations: readonly Violation[] = [],
  retryS: number | null = null,
): ErrorReply {
  const { status } = ERRORS[code];
  const body = { message, code: status, error: code, ...(violations.length === 0 ? {} : { violations }) };
  const reply = { status, media: ERROR_MEDIA, body: stringifyExactJson(body) };
  const retryAfterS = retryS ?? RETRY_S[code];
  return retryAfterS === undefined ? reply : { ...reply, retryAfterS };
}

/** What a thrown value looks like to the client; of a defect only that there is one. */
export function replyFor(error: unknown): ErrorReply {
  const known = toMidotraceError(error);
  if (known.code === "INTERNAL") return errorReply("INTERNAL", "a defect of the server; its log has the details");
  return errorReply(known.code, known.message, known.violations, known.retryAfterS);
}

/** Fastify's own refusals have codes of their own. */
export function toMidotraceError(error: unknown, bodyLimit?: number): MidotraceError {
  if (error instanceof MidotraceError) return error;
  const { code, statusCode } = (error ?? {}) as { readonly code?: unknown; readonly statusCode?: unknown };
  const message = error instanceof Error ? error.message : String(error);
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE")
    return new MidotraceError("TOO_LARGE", `the body is longer than ${bodyLimit ?? "the limit of"} bytes`);
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") return new MidotraceError("UNSUPPORTED_MEDIA_TYPE", message);
  if (code === "FST_ERR_BAD_URL" || code === "FST_ERR_MAX_PARAM_LENGTH")
    return new MidotraceError("NOT_FOUND", "nothing has such a path");
  if (typeof statusCode === "number" && statusCode >= 400 && statusCode < 500)
    return new MidotraceError("VALIDATION", message);
  return new MidotraceError("INTERNAL", message, [], { cause: error });
}
