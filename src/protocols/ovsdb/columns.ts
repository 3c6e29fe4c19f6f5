import { field, type JsonObject, Malformed, preview, within } from "./malformed.ts";

declare const brand: unique symbol;
/** A row's UUID, lower case with dashes. */
export type RowId = string & { readonly [brand]: "RowId" };

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** How a column's value looks on the wire (RFC 7047 §5.1) and here. */
export interface Column<T> {
  decode(json: unknown): T | Malformed;
}

/** One <atom>. */
export interface Atom<T> extends Column<T> {
  readonly atom: true;
}

function atom<T>(what: string, accept: (json: unknown) => T | null): Atom<T> {
  return {
    atom: true,
    decode: (json) => {
      const value = accept(json);
      return value === null ? new Malformed(`${preview(json)} is not ${what}`) : value;
    },
  };
}

export const text: Atom<string> = atom("a string", (json) => (typeof json === "string" ? json : null));
export const flag: Atom<boolean> = atom("a boolean", (json) => (typeof json === "boolean" ? json : null));
/** Integers beyond 2^53 are refused: they are not what was sent any more. */
export const integer: Atom<number> = atom("an integer", (json) =>
  Number.isSafeInteger(json) ? (json as number) : null,
);
export const rowId: Atom<RowId> = atom("a UUID", (json) => {
  if (!Array.isArray(json) || json.length !== 2 || json[0] !== "uuid") return null;
  return typeof json[1] === "string" && isRowId(json[1]) ? json[1] : null;
});

export function isRowId(value: string): value is RowId {
  return UUID.test(value);
}

/** Any number of atoms. One alone may stand without `["set", …]`. */
export function setOf<T>(of: Atom<T>): Column<readonly T[]> {
  return {
    decode: (json) => {
      if (!Array.isArray(json) || json[0] !== "set") {
        const one = of.decode(json);
        return one instanceof Malformed ? one : [one];
      }
      if (json.length !== 2 || !Array.isArray(json[1])) return new Malformed("a set is not an array");
      const values: T[] = [];
      for (const item of json[1]) {
        const value = of.decode(item);
        if (value instanceof Malformed) return within("in a set", value);
        values.push(value);
      }
      return values;
    },
  };
}

/** None or one; null is none. */
export function optional<T>(of: Atom<T>): Column<T | null> {
  const set = setOf(of);
  return {
    decode: (json) => {
      const values = set.decode(json);
      if (values instanceof Malformed) return values;
      return values.length > 1 ? new Malformed(`${values.length} values where one is allowed`) : (values[0] ?? null);
    },
  };
}

export function mapOf<K, V>(key: Atom<K>, value: Atom<V>): Column<ReadonlyMap<K, V>> {
  return {
    decode: (json) => {
      if (!Array.isArray(json) || json.length !== 2 || json[0] !== "map" || !Array.isArray(json[1]))
        return new Malformed(`${preview(json)} is not a map`);
      const map = new Map<K, V>();
      for (const pair of json[1]) {
        if (!Array.isArray(pair) || pair.length !== 2) return new Malformed(`${preview(pair)} is not a pair of a map`);
        const k = key.decode(pair[0]);
        if (k instanceof Malformed) return within("key of a map", k);
        const v = value.decode(pair[1]);
        if (v instanceof Malformed) return within("value of a map", v);
        map.set(k, v);
      }
      return map;
    },
  };
}

/** The columns of a table that a client wants to know. */
export type Columns = Readonly<Record<string, Column<unknown>>>;
export type RowOf<C extends Columns> = { readonly [K in keyof C]: C[K] extends Column<infer T> ? T : never };

/** A whole row; columns that were not asked for are not looked at. */
export function decodeRow<C extends Columns>(columns: C, json: JsonObject): RowOf<C> | Malformed {
  const row: Record<string, unknown> = {};
  for (const [name, column] of Object.entries(columns)) {
    const value = field(json, name);
    if (value === undefined) return new Malformed(`column ${name} is missing`);
    const decoded = column.decode(value);
    if (decoded instanceof Malformed) return within(`column ${name}`, decoded);
    row[name] = decoded;
  }
  return row as RowOf<C>;
}

/** A value as it is sent. */
export type WireValue = string | number | boolean | readonly [string, string | readonly unknown[]];

export const wire = {
  uuid: (id: RowId): WireValue => ["uuid", id],
  /** A row that an operation of the same transaction inserts under this name. */
  named: (name: string): WireValue => ["named-uuid", name],
  set: (values: readonly WireValue[]): WireValue => ["set", values],
  map: (entries: Iterable<readonly [string, string]>): WireValue => ["map", [...entries]],
};
