import { parseExactJson } from "#core/api-contract";
import { type ErrorCode, ERRORS, MidotraceError, type Violation } from "#core/base";

/** Where it went wrong, as far as sentences need it. */
export interface Asked {
  /** ".../midonet-api" */
  readonly base: string;
  /** Below the base. */
  readonly path: string;
  /** With a token. */
  readonly signedIn: boolean;
}

/** Nobody answered. */
export function unreachableText(base: string, cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const code = (inner as { code?: unknown }).code;
  const reason =
    code === "ECONNREFUSED" ? "nobody listens there" : inner instanceof Error ? inner.message : String(inner);
  return `cannot reach ${base}: ${reason}. Is \`midotrace lab\` or \`midotrace api\` running? --api names another server`;
}

/** By status, where the body does not name one. */
const CODES: ReadonlyMap<number, ErrorCode> = new Map([
  [400, "VALIDATION"],
  [401, "UNAUTHENTICATED"],
  [403, "FORBIDDEN"],
  [404, "NOT_FOUND"],
  [405, "METHOD_NOT_ALLOWED"],
  [409, "CONFLICT"],
  [413, "TOO_LARGE"],
  // Like a store that is away, it may pass.
  [429, "STORE_UNAVAILABLE"],
  [502, "STORE_UNAVAILABLE"],
  [503, "STORE_UNAVAILABLE"],
  [504, "STORE_UNAVAILABLE"],
]);

/** What a server answered, in a sentence: its own words, the violations that they do not name already, and what to do. */
export function failureOf(response: Response, text: string, asked: Asked): MidotraceError {
  const { status } = response;
  let message = "";
  let violations: Violation[] = [];
  let code = CODES.get(status) ?? "INTERNAL";
  try {
    const body = parseExactJson(text) as Readonly<Record<string, unknown>> | null;
    if (typeof body?.["message"] === "string") message = body["message"];
    const named = body?.["error"];
    // USAGE is about this program's own options, not about what a server says.
    if (typeof named === "string" && Object.hasOwn(ERRORS, named) && named !== "USAGE") code = named as ErrorCode;
    if (Array.isArray(body?.["violations"])) violations = body["violations"] as Violation[];
  } catch {
    // Not of this server: a proxy's page says less than its status.
    message = /^\s*</.test(text) ? "" : (text.trim().split("\n", 1)[0] ?? "");
  }
  const untold = violations.filter((v) => !message.includes(v.message));
  const rest = untold.map((v) => `${v.property}: ${v.message}`).join("; ");
  const said = [message || `${asked.base} answered ${status}`, rest].filter((s) => s !== "").join(": ");
  return new MidotraceError(code, withHint(said, hint(response, asked)), violations);
}

function withHint(said: string, next: string): string {
  return next === "" ? said : `${said.replace(/\.$/, "")}. ${next}`;
}

function hint({ status, headers }: Response, { base, path, signedIn }: Asked): string {
  switch (status) {
    case 401:
      if (path === "/login") return "";
      return signedIn
        ? "Get a new token with `midotrace login --user NAME`, for --token or MIDOTRACE_TOKEN"
        : "Sign in with `export MIDOTRACE_TOKEN=$(midotrace login --user NAME)`, or give --token";
    case 403:
      return signedIn ? "Whoever the token belongs to may not do this" : "";
    case 429: {
      const after = headers.get("retry-after") ?? "";
      return `Too much was asked at once: try again ${/^\d+$/.test(after) ? `in ${after} s` : "in a while"}`;
    }
    case 502:
    case 504:
      return "The proxy before it does not reach the server";
    case 503:
      return `Try again in a while; ${base.replace(/\/midonet-api$/, "")}/readyz says what the server waits for`;
    default:
      return "";
  }
}
