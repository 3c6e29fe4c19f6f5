/** Why something that came from the database server is not what it should be. A value, never thrown. */
export class Malformed {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** The reason with where it was found in front. */
export function within(where: string, malformed: Malformed): Malformed {
  return new Malformed(`${where}: ${malformed.reason}`);
}

/** A value of JSON, short enough for a message. Never goes deep: what a peer sent may be nested without end. */
export function preview(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (!isObject(value)) return value === null ? "null" : typeof value;
  return `an object with ${Object.keys(value).slice(0, 4).map(preview).join(", ") || "nothing"}`;
}

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Own fields only: a peer may name a field like one of Object.prototype. */
export function field(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
