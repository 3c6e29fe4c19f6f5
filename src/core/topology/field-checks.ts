import { isUuid, type Violations } from "#core/base";
import { isMulticastMac, parseIpv4, parseIpv6, parseMac } from "#core/packets";

/**
 * Checks of single fields: each adds a violation that says what was expected and what came. Values are `unknown` because
 * shaped input (JSON, YAML) may still carry a wrong type. Null and undefined pass unless `required` says otherwise.
 */
export class FieldChecks {
  readonly violations: Violations;
  /** Put before each field's name with a dot, unless empty. */
  readonly prefix: string;

  constructor(violations: Violations, prefix = "") {
    this.violations = violations;
    this.prefix = prefix;
  }

  fail(field: string, message: string): void {
    this.violations.add(this.prefix === "" ? field : `${this.prefix}.${field}`, message);
  }

  /** @returns whether the value is there; adds MidoNet's "may not be null" when it is not. */
  required(field: string, value: unknown): boolean {
    if (isSet(value)) return true;
    this.fail(field, "may not be null");
    return false;
  }

  /** Inclusive bounds. */
  integer(field: string, value: unknown, min: number, max: number): boolean {
    if (!isSet(value)) return true;
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return true;
    this.fail(field, `must be an integer from ${min} to ${max}, not ${show(value)}`);
    return false;
  }

  bigint(field: string, value: unknown, min: bigint, max: bigint): void {
    if (!isSet(value) || (typeof value === "bigint" && value >= min && value <= max)) return;
    this.fail(field, `must be an integer from ${min} to ${max}, not ${show(value)}`);
  }

  flag(field: string, value: unknown): void {
    if (isSet(value) && typeof value !== "boolean") this.fail(field, `must be true or false, not ${show(value)}`);
  }

  oneOf(field: string, value: unknown, words: readonly string[]): boolean {
    if (!isSet(value) || words.includes(value as string)) return true;
    this.fail(field, `must be one of ${words.join(", ")}, not ${show(value)}`);
    return false;
  }

  /** Length in characters. */
  text(field: string, value: unknown, min: number, max: number): void {
    if (!isSet(value)) return;
    if (typeof value === "string" && !value.isWellFormed()) return this.fail(field, "must be whole Unicode text");
    if (typeof value === "string" && value.length >= min && value.length <= max) return;
    const got = typeof value === "string" ? `${value.length}` : show(value);
    this.fail(field, `must be a text of ${min} to ${max} characters, not ${got}`);
  }

  uuid(field: string, value: unknown): void {
    if (!isSet(value) || (typeof value === "string" && isUuid(value.toLowerCase()))) return;
    this.fail(field, `must be a UUID, not ${show(value)}`);
  }

  uuids(field: string, value: unknown): void {
    if (!isSet(value)) return;
    if (!Array.isArray(value)) return this.fail(field, `must be a list of UUIDs, not ${show(value)}`);
    value.forEach((id: unknown, i) => {
      if (this.required(`${field}[${i}]`, id)) this.uuid(`${field}[${i}]`, id);
    });
  }

  /** @returns the address as u32, or null when it is absent or malformed. */
  ipv4(field: string, value: unknown): number | null {
    if (!isSet(value)) return null;
    const ip = typeof value === "string" ? parseIpv4(value) : null;
    if (ip === null) this.fail(field, `must be an IPv4 address such as 10.0.1.10, not ${show(value)}`);
    return ip;
  }

  ip(field: string, value: unknown): void {
    if (!isSet(value)) return;
    if (typeof value === "string" && (parseIpv4(value) !== null || parseIpv6(value) !== null)) return;
    this.fail(field, `must be an IPv4 or IPv6 address, not ${show(value)}`);
  }

  mac(field: string, value: unknown): number | null {
    if (!isSet(value)) return null;
    const mac = typeof value === "string" ? parseMac(value) : null;
    if (mac === null) this.fail(field, `must be a MAC address such as 02:00:00:00:00:01, not ${show(value)}`);
    return mac;
  }

  /** A MAC that a port can have. */
  unicastMac(field: string, value: unknown): void {
    const mac = this.mac(field, value);
    if (mac !== null && (mac === 0 || isMulticastMac(mac)))
      this.fail(field, `must be the MAC address of one interface, not ${show(value)}`);
  }
}

export function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** A value as a message shows it: short, texts in quotes. Lists and mappings (YAML's may even be cyclic) by kind only. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "a mapping";
  if (typeof value !== "string") return String(value);
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
}
