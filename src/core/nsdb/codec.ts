import { MidotraceError } from "#core/base";

/**
 * What a node holds: `{"data": {…}, "version": "1"}`. Properties that are not known are ignored, so that a newer writer does
 * not break an older reader. 64-bit integers are written as decimal text (JSON's numbers are doubles to most readers) and
 * read from either. Malformed data is a defect, and the error names the path.
 */
const ENVELOPE_VERSION = "1";

/** Reads a value, or throws FieldError. `at` is the name of the field, for the message. */
export type Reader<T> = (value: unknown, at: string) => T;

class FieldError extends Error {}

function wrong(at: string, expected: string): never {
  throw new FieldError(`${at}: ${expected} expected`);
}

/** A text, as whatever branded text the caller says. */
export const text =
  <T extends string = string>(): Reader<T> =>
  (value, at) =>
    typeof value === "string" ? (value as T) : wrong(at, "text");

export const bool: Reader<boolean> = (value, at) => (typeof value === "boolean" ? value : wrong(at, "true or false"));

export const int: Reader<number> = (value, at) =>
  typeof value === "number" && Number.isSafeInteger(value) ? value : wrong(at, "an integer");

/** A signed 64-bit integer; `encode` writes it as decimal text. */
export const int64: Reader<bigint> = (value, at) => {
  if (typeof value === "bigint") return value;
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  return typeof value === "string" && /^-?\d{1,19}$/.test(value) ? BigInt(value) : wrong(at, "a 64-bit integer");
};

export const oneOf =
  <const T extends string>(...words: readonly T[]): Reader<T> =>
  (value, at) =>
    words.find((word) => word === value) ?? wrong(at, `one of ${words.join(", ")}`);

/** Absent reads as null. */
export const nullable =
  <T>(read: Reader<T>): Reader<T | null> =>
  (value, at) =>
    value === null || value === undefined ? null : read(value, at);

/** Absent or null reads as `fallback`: for fields that younger versions added. */
export const optional =
  <T>(read: Reader<T>, fallback: T): Reader<T> =>
  (value, at) =>
    value === null || value === undefined ? fallback : read(value, at);

export const list =
  <T>(read: Reader<T>): Reader<T[]> =>
  (value, at) => {
    if (!Array.isArray(value)) return wrong(at, "a list");
    const items: readonly unknown[] = value;
    try {
      return items.map((item) => read(item, at));
    } catch {
      // Which one it is, is worth finding out only now.
      return items.map((item, i) => read(item, `${at}[${i}]`));
    }
  };

type Fields<T> = { readonly [K in keyof T]-?: Reader<T[K]> };

function asObject(value: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return wrong(at || "data", "an object");
  return value as Readonly<Record<string, unknown>>;
}

/** Every field of T, in the order given; what else the object has is left out. */
export function object<T>(fields: Fields<T>): Reader<T> {
  const entries = Object.entries<Reader<unknown>>(fields);
  return (value, at) => {
    const from = asObject(value, at);
    const out: Record<string, unknown> = {};
    for (const [name, read] of entries) out[name] = read(from[name], at === "" ? name : `${at}.${name}`);
    return out as T;
  };
}

/** An object whose fields may all be absent; absent and null are left out. */
export function sparse<T>(fields: { readonly [K in keyof T]-?: Reader<NonNullable<T[K]>> }): Reader<T> {
  const readers = fields as Readonly<Record<string, Reader<unknown>>>;
  return (value, at) => {
    const from = asObject(value, at);
    const out: Record<string, unknown> = {};
    for (const [name, read] of Object.entries(readers)) {
      const v = from[name];
      if (v !== undefined && v !== null) out[name] = read(v, at === "" ? name : `${at}.${name}`);
    }
    return out as T;
  };
}

/** Chooses the reader by the text in `field`. */
export function union<T>(field: string, readers: Readonly<Record<string, Reader<T>>>): Reader<T> {
  return (value, at) => {
    const tag = asObject(value, at)[field];
    const read = typeof tag === "string" && Object.hasOwn(readers, tag) ? readers[tag] : undefined;
    return (read ?? wrong(at === "" ? field : `${at}.${field}`, `one of ${Object.keys(readers).join(", ")}`))(
      value,
      at,
    );
  };
}

/**
 * The text of a node. The value goes through its reader first, so that only known fields are written, always in one order:
 * equal values are equal texts.
 * @throws MidotraceError INTERNAL when the value is not what the reader reads.
 */
export function encode<T>(read: Reader<T>, value: T, path: string): string {
  const data = guarded(path, () => read(value, ""));
  return JSON.stringify({ data, version: ENVELOPE_VERSION }, (_, v: unknown) => (typeof v === "bigint" ? `${v}` : v));
}

/** @throws MidotraceError INTERNAL, naming `path`, when the text is no envelope of such a value. */
export function decode<T>(read: Reader<T>, data: string, path: string): T {
  return guarded(path, () => read(asObject(JSON.parse(data), "")["data"], ""));
}

function guarded<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof FieldError || cause instanceof SyntaxError)) throw cause;
    throw new MidotraceError("INTERNAL", `malformed data at ${path}: ${cause.message}`, [], { cause });
  }
}
