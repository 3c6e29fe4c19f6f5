import { MidotraceError } from "#core/base";

/*
 * JSON whose integers are exact: JavaScript's numbers are doubles, the default limit of a trace request is 2^63-1. Uses
 * the source text access of JSON.parse and JSON.rawJSON (ECMAScript 2026), which TypeScript's library does not name yet.
 */
const json = JSON as unknown as {
  parse(
    text: string,
    reviver: (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): object;
};

/** More digits than this are no number anybody means. */
const INTEGER = /^-?\d{1,40}$/;

/**
 * Parses JSON; an integer that a double cannot hold becomes a bigint, all other numbers stay numbers.
 * @throws MidotraceError MALFORMED_JSON
 */
export function parseExactJson(text: string): unknown {
  try {
    return json.parse(text, (_key, value, context) => {
      if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
      return context.source !== undefined && INTEGER.test(context.source) ? BigInt(context.source) : value;
    });
  } catch (cause) {
    throw notJson(cause);
  }
}

/** Parses JSON, numbers as doubles. @throws MidotraceError MALFORMED_JSON */
export function parsePlainJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw notJson(cause);
  }
}

function notJson(cause: unknown): MidotraceError {
  const reason = cause instanceof Error ? cause.message : "unreadable";
  return new MidotraceError("MALFORMED_JSON", `the body is not JSON: ${reason}`, [], { cause });
}

/** JSON text in which a bigint stands as an integer, digit by digit. Undefined properties are left out. */
export function stringifyExactJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, (_key, v: unknown) => (typeof v === "bigint" ? json.rawJSON(v.toString()) : v), indent);
}
