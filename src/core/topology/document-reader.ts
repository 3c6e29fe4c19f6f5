import type { Violations } from "#core/base";
import { FieldChecks, isSet, show } from "./field-checks.ts";
import { didYouMean } from "#core/base";

/**
 * One mapping of a document with its path. Every read checks the type; what is wrong becomes a violation, and a
 * harmless default goes on, so that all mistakes are found in one reading.
 */
export class DocumentReader {
  readonly path: string;
  readonly violations: Violations;
  readonly checks: FieldChecks;
  private readonly fields: Readonly<Record<string, unknown>>;

  /** @param keys the keys it may have; others are refused by name. Null (nothing written) counts as empty. */
  constructor(value: unknown, path: string, keys: readonly string[], violations: Violations) {
    this.path = path;
    this.violations = violations;
    this.checks = new FieldChecks(violations, path);
    const mapping = isMapping(value);
    this.fields = mapping ? value : {};
    if (!mapping && isSet(value))
      violations.add(
        path === "" ? "document" : path,
        `must be a mapping with the keys ${keys.join(", ")}, not ${show(value)}`,
      );
    for (const key of Object.keys(this.fields))
      if (!keys.includes(key)) this.fail(key, `unknown key${didYouMean(key, keys)} (known: ${keys.join(", ")})`);
  }

  fail(field: string, message: string): void {
    this.checks.fail(field, message);
  }

  raw(field: string): unknown {
    return Object.hasOwn(this.fields, field) ? this.fields[field] : undefined;
  }

  /** Undefined when absent or wrong. */
  optionalText(field: string): string | undefined {
    const value = this.raw(field);
    if (!isSet(value)) return undefined;
    if (typeof value === "string" && value !== "") return value;
    const hint = typeof value === "string" ? "" : " (put it in quotes)";
    this.fail(field, `must be a text, not ${show(value)}${hint}`);
    return undefined;
  }

  /** Empty when absent or wrong. */
  text(field: string): string {
    if (!isSet(this.raw(field))) this.fail(field, "is missing");
    return this.optionalText(field) ?? "";
  }

  /** A name: 1..255 characters, without "/" (it parts device and port). */
  name(): string {
    const name = this.text("name");
    this.checks.text("name", name, 0, 255);
    if (name.includes("/")) this.fail("name", `must not contain "/", which stands between device and port`);
    return name;
  }

  tenant(): string {
    const value = this.raw("tenant");
    return value === "" ? "" : (this.optionalText("tenant") ?? "");
  }

  flag(field: string, fallback: boolean): boolean {
    const value = this.raw(field);
    this.checks.flag(field, value);
    return typeof value === "boolean" ? value : fallback;
  }

  integer(field: string, fallback: number, min: number, max: number): number {
    const value = this.raw(field);
    return isSet(value) && this.checks.integer(field, value, min, max) ? (value as number) : fallback;
  }

  /** @param fallback null: the field must be there (the first word stands in when it is not). */
  word<W extends string>(field: string, words: readonly [W, ...W[]], fallback: W | null): W {
    const value = this.raw(field);
    if (!isSet(value)) {
      if (fallback === null) this.fail(field, `is missing; one of ${words.join(", ")}`);
      return fallback ?? words[0];
    }
    const found = words.find((w) => w === value);
    if (found !== undefined) return found;
    this.fail(
      field,
      `must be one of ${words.join(", ")}, not ${show(value)}${typeof value === "string" ? didYouMean(value, words) : ""}`,
    );
    return words[0];
  }

  /** The items of a list with their paths; empty when absent or wrong. */
  list(field: string): { readonly value: unknown; readonly path: string }[] {
    const value = this.raw(field);
    if (!isSet(value)) return [];
    const path = this.path === "" ? field : `${this.path}.${field}`;
    if (Array.isArray(value)) return value.map((item: unknown, i) => ({ value: item, path: `${path}[${i}]` }));
    this.violations.add(path, `must be a list, not ${show(value)}`);
    return [];
  }

  texts(field: string): string[] {
    const texts: string[] = [];
    for (const { value, path } of this.list(field)) {
      if (typeof value === "string" && value !== "") texts.push(value);
      else this.violations.add(path, `must be a text, not ${show(value)}`);
    }
    return texts;
  }
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
