import { MidotraceError } from "#core/base";

/**
 * SQLSTATE classes (PostgreSQL manual, appendix A) in which the statement was wrong or the data: defects of ours. Everything
 * else (connection, authorisation, resources, shutdown, a transaction that lost against another) may be over soon.
 */
const DEFECTS: ReadonlySet<string> = new Set(["0A", "21", "22", "23", "25", "42"]);

/** What a failure of the database means to whoever asked the trace store. */
export function away(error: unknown): unknown {
  if (error instanceof MidotraceError || !(error instanceof Error)) return error;
  const { code } = error as { readonly code?: unknown };
  if (error instanceof TypeError || error instanceof RangeError) return error;
  if (typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && DEFECTS.has(code.slice(0, 2))) return error;
  // Several addresses of one host: the reasons stand in the parts.
  const said = error instanceof AggregateError ? error.errors.map(String).join("; ") : error.message;
  return new MidotraceError("STORE_UNAVAILABLE", `the trace store does not answer: ${said}`, [], { cause: error });
}
