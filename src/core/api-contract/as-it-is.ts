import type * as z from "zod";

/*
 * Zod builds a copy of what it reads. What comes in great numbers is nearly always right, and is taken as it is after one
 * look: a guard made from the schema says whether zod would give back the same. Where it says no, zod has the word.
 */

/** Whether the schema takes the value and makes an equal one of it. False also where that is not known. */
export type Guard = (value: unknown) => boolean;

type Def = z.ZodType["def"] & Readonly<Record<string, unknown>>;
type Check = { readonly _zod: { readonly def: Readonly<Record<string, unknown>> } };

/**
 * @param known guards of schemas that cannot be looked into
 * @throws Error for a schema of a kind that this does not know
 */
export function guardOf(schema: z.ZodType, known: ReadonlyMap<z.ZodType, Guard> = new Map()): Guard {
  const given = known.get(schema);
  if (given !== undefined) return given;
  const def = schema.def as Def;
  const inner = (name: string): Guard => guardOf(def[name] as z.ZodType, known);
  switch (def.type as string) {
    case "string":
      return checked(isString, def);
    case "number":
      return checked(def["format"] === "safeint" ? Number.isSafeInteger : Number.isFinite, def);
    case "boolean":
      return (value) => typeof value === "boolean";
    case "literal":
      return oneOf(def["values"] as readonly unknown[]);
    case "enum":
      return oneOf(Object.values(def["entries"] as object));
    case "nullable": {
      const some = inner("innerType");
      return (value) => value === null || some(value);
    }
    // What is absent is filled in: that is not the same any more.
    case "default":
    case "optional":
      return inner("innerType");
    case "array": {
      const element = inner("element");
      return checked((value) => Array.isArray(value) && value.every((x) => element(x)), def);
    }
    case "object":
      return object(def["shape"] as Readonly<Record<string, z.ZodType>>, known);
    default:
      throw new Error(`no guard for ${def.type}`);
  }
}

const isString: Guard = (value) => typeof value === "string";

function oneOf(values: readonly unknown[]): Guard {
  if (values.length === 1) return (value) => value === values[0];
  const set = new Set(values);
  return (value) => set.has(value);
}

/** With the checks of the schema, of which the most usual are put together. */
function checked(base: Guard, def: Def): Guard {
  let [atLeast, atMost, minLength, maxLength] = [-Infinity, Infinity, 0, Infinity];
  const others: Guard[] = [];
  for (const check of (def["checks"] ?? []) as readonly unknown[] as readonly Check[]) {
    const c = check._zod.def;
    if (c["check"] === "greater_than" && c["inclusive"] === true) atLeast = Math.max(atLeast, Number(c["value"]));
    else if (c["check"] === "less_than" && c["inclusive"] === true) atMost = Math.min(atMost, Number(c["value"]));
    else if (c["check"] === "min_length") minLength = Math.max(minLength, Number(c["minimum"]));
    else if (c["check"] === "max_length") maxLength = Math.min(maxLength, Number(c["maximum"]));
    else if (c["check"] === "custom") others.push(c["fn"] as Guard);
    else if (c["check"] !== "number_format") throw new Error(`no guard for the check ${String(c["check"])}`);
  }
  const inRange: Guard =
    def.type === "number"
      ? (value) => base(value) && (value as number) >= atLeast && (value as number) <= atMost
      : (value) =>
          base(value) && (value as string).length <= maxLength && (value as { length: number }).length >= minLength;
  return others.length === 0 ? inRange : (value) => inRange(value) && others.every((other) => other(value));
}

/** With all that has to be there and nothing that is not known: that would be left out. */
function object(shape: Readonly<Record<string, z.ZodType>>, known: ReadonlyMap<z.ZodType, Guard>): Guard {
  const fields = Object.entries(shape).map(([name, schema]) => ({
    name,
    guard: guardOf(schema, known),
    optional: schema.def.type === "optional",
  }));
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    let there = 0;
    for (const _ in value) there++;
    for (const { name, guard, optional } of fields) {
      const member = (value as Readonly<Record<string, unknown>>)[name];
      if (member === undefined) {
        if (!optional) return false;
        continue;
      }
      if (!guard(member)) return false;
      there--;
    }
    return there === 0;
  };
}
