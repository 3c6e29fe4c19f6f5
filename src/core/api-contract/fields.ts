import * as z from "zod";

/*
 * The fields of a resource, each declared once: how it looks in answers, and how it is read from requests. Requests are
 * read as MidoNet's clients write them: numbers may come as decimal texts, null means the default, read-only and unknown
 * fields are ignored. What is wrong becomes a violation with the path of the field.
 */
export interface Field<Out extends z.ZodType, In extends z.ZodType | null> {
  readonly out: Out;
  readonly in: In;
}

type AnyFields = Readonly<Record<string, Field<z.ZodType, z.ZodType | null>>>;
type Outputs<F extends AnyFields> = { [K in keyof F]: F[K]["out"] };
type Inputs<F extends AnyFields> = {
  [K in keyof F as F[K]["in"] extends z.ZodType ? K : never]: Extract<F[K]["in"], z.ZodType>;
};

/** Schema of an answer: every field is there, nulls included. */
export function answerOf<F extends AnyFields>(fields: F): z.ZodObject<Outputs<F>> {
  const shape = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.out]));
  return z.object(shape) as unknown as z.ZodObject<Outputs<F>>;
}

/** Schema of a request body: read-only fields are not looked at. */
export function bodyOf<F extends AnyFields>(fields: F): z.ZodObject<Inputs<F>> {
  const entries = Object.entries(fields).flatMap(([name, field]) => (field.in === null ? [] : [[name, field.in]]));
  return z.object(Object.fromEntries(entries)) as unknown as z.ZodObject<Inputs<F>>;
}

class WrongValue {
  readonly message: string;
  constructor(expected: string, value: unknown) {
    this.message = `must be ${expected}, not ${shown(value)}`;
  }
}

function shown(value: unknown): string {
  const text = typeof value === "bigint" ? value.toString() : (JSON.stringify(value) ?? typeof value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** A request value; `read` gets anything but null and undefined, which stand for the default. */
export function reading<T, D>(
  schema: Readonly<Record<string, unknown>>,
  read: (value: unknown) => T | WrongValue,
  absent: D,
): z.ZodType<T | D> {
  return z
    .unknown()
    .meta(schema)
    .optional()
    .transform((value, ctx): T | D => {
      if (value === undefined || value === null) return absent;
      const result = read(value);
      if (!(result instanceof WrongValue)) return result;
      ctx.addIssue({ code: "custom", message: result.message });
      return z.NEVER;
    });
}

const DECIMAL = /^\s*[+-]?\d{1,40}\s*$/;

function readText(value: unknown): string | WrongValue {
  return typeof value === "string" ? value : new WrongValue("a text", value);
}

function readBool(value: unknown): boolean | WrongValue {
  if (typeof value === "boolean") return value;
  if (value === "true") return true;
  return value === "false" ? false : new WrongValue("true or false", value);
}

function readInt(value: unknown): number | WrongValue {
  const number = typeof value === "string" && DECIMAL.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) ? number : new WrongValue("an integer", value);
}

function readInt64(value: unknown): bigint | WrongValue {
  if (typeof value === "bigint") return value;
  if (typeof value === "string" && DECIMAL.test(value)) return BigInt(value.trim().replace(/^\+/, ""));
  return typeof value === "number" && Number.isSafeInteger(value)
    ? BigInt(value)
    : new WrongValue("a 64-bit integer", value);
}

function readUuid(value: unknown): string | WrongValue {
  return typeof value === "string" ? value.toLowerCase() : new WrongValue("a UUID", value);
}

function readList<T>(value: unknown, item: (v: unknown) => T | WrongValue): T[] | WrongValue {
  if (!Array.isArray(value)) return new WrongValue("a list", value);
  const out: T[] = [];
  for (const v of value) {
    const one = item(v);
    if (one instanceof WrongValue) return one;
    out.push(one);
  }
  return out;
}

/** A range of L4 ports; a bound that is left out is open. */
export interface RangeText {
  readonly start: number | null;
  readonly end: number | null;
}

function readRange(value: unknown): RangeText | WrongValue {
  if (typeof value !== "object" || Array.isArray(value)) return new WrongValue('{"start": n, "end": n}', value);
  const { start, end } = value as { readonly start?: unknown; readonly end?: unknown };
  const from = (start ?? null) === null ? null : readInt(start);
  const to = (end ?? null) === null ? null : readInt(end);
  if (from instanceof WrongValue) return from;
  return to instanceof WrongValue ? to : { start: from, end: to };
}

const UUID_SCHEMA = { type: "string", format: "uuid" };
const INT64_SCHEMA = { type: "integer", format: "int64" };
const nullable = <S extends z.ZodType>(schema: S): z.ZodNullable<S> => z.nullable(schema);

/** Readers of request values: what the value is when it is absent or null is the argument. */
export const read = {
  text: <D>(absent: D) => reading<string, D>({ type: "string" }, readText, absent),
  bool: <D>(absent: D) => reading<boolean, D>({ type: "boolean" }, readBool, absent),
  int: <D>(absent: D) => reading<number, D>({ type: "integer" }, readInt, absent),
  int64: <D>(absent: D) => reading<bigint, D>(INT64_SCHEMA, readInt64, absent),
  uuid: <D>(absent: D) => reading<string, D>(UUID_SCHEMA, readUuid, absent),
  uuids: <D>(absent: D) =>
    reading<string[], D>({ type: "array", items: UUID_SCHEMA }, (v) => readList(v, readUuid), absent),
  texts: <D>(absent: D) =>
    reading<string[], D>({ type: "array", items: { type: "string" } }, (v) => readList(v, readText), absent),
  range: <D>(absent: D) =>
    reading<RangeText, D>(
      { type: "object", properties: { start: { type: "integer" }, end: { type: "integer" } } },
      readRange,
      absent,
    ),
  oneOf: <const W extends string, D>(words: readonly W[], absent: D) =>
    reading<W, D>(
      { type: "string", enum: [...words] },
      (v) => words.find((w) => w === v) ?? new WrongValue(`one of ${words.join(", ")}`, v),
      absent,
    ),
} as const;

/** Most objects of one page. */
export const MAX_PAGE = 10_000;

function readPageSize(value: unknown): number | WrongValue {
  const size = readInt(value);
  if (size instanceof WrongValue || (size >= 1 && size <= MAX_PAGE)) return size;
  return new WrongValue(`an integer from 1 to ${MAX_PAGE}`, value);
}

/** What every list can be asked for: see `Paging`. */
export const pageShape = {
  limit: reading<number, undefined>({ type: "integer", minimum: 1, maximum: MAX_PAGE }, readPageSize, undefined),
  marker: read.text(undefined),
} as const;

const int64 = z.bigint().meta(INT64_SCHEMA);
const uuid = z.string().meta({ format: "uuid" });
const uri = z.string().meta({ format: "uri" });

function field<Out extends z.ZodType, In extends z.ZodType | null>(out: Out, input: In): Field<Out, In> {
  return { out, in: input };
}

/** Fields set by the server. */
export const ro = {
  uri: field(uri, null),
  uriOrNull: field(nullable(uri), null),
  text: field(z.string(), null),
  textOrNull: field(nullable(z.string()), null),
  texts: field(z.array(z.string()), null),
  bool: field(z.boolean(), null),
  int: field(z.int(), null),
  int64: field(int64, null),
  uuid: field(uuid, null),
  uuidOrNull: field(nullable(uuid), null),
  uuids: field(z.array(uuid), null),
  /** Parts of MidoNet that we do not have: always null, so that clients find the key. */
  nothing: field(z.null(), null),
  of: <S extends z.ZodType>(schema: S) => field(schema, null),
} as const;

/** Fields that requests may carry. The argument is the default. */
export const rw = {
  id: field(uuid, read.uuid(null)),
  text: <D extends string | null>(absent: D) =>
    field(absent === null ? nullable(z.string()) : z.string(), read.text(absent)),
  bool: (absent: boolean) => field(z.boolean(), read.bool(absent)),
  int: (absent: number) => field(z.int(), read.int(absent)),
  intOrNull: field(nullable(z.int()), read.int(null)),
  uuidOrNull: field(nullable(uuid), read.uuid(null)),
  oneOf: <const W extends string>(words: readonly W[]) => field(z.enum(words), read.oneOf(words, null)),
  rangeOrNull: field(nullable(z.object({ start: nullable(z.int()), end: nullable(z.int()) })), read.range(null)),
  uuidsOrNull: field(nullable(z.array(uuid)), read.uuids(null)),
  of: field,
} as const;
