import { MidotraceError, Violations } from "#core/base";
import { parseIpv4, parseIpv4Prefix, parseMac } from "#core/packets";
import type { Deed, Errand } from "./traffic.ts";
import type { VmConfig } from "./vm.ts";

/** A VM and the virtual port it stands behind. */
export interface VmSpec extends VmConfig {
  /** "device/port", or a port's id. */
  readonly port: string;
}

export interface VmTable {
  readonly vms: readonly VmSpec[];
  readonly traffic: readonly Errand[];
}

type Row = Readonly<Record<string, unknown>>;

/**
 * Reads the lab's table of VMs and of what they do:
 * `vms: [{name, port, mac, ip: a.b.c.d/n, gateway?, listen?}]`, `traffic: [{from, to, do: ping|udp-echo|tcp, port?}]`.
 * @throws MidotraceError VALIDATION that names every wrong field.
 */
export function parseVmTable(content: unknown): VmTable {
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw new MidotraceError("VALIDATION", "the table of VMs is not an object with `vms` and `traffic`");
  }
  const wrong = new Violations();
  const { vms, traffic, ...rest } = content as Row;
  for (const key of Object.keys(rest)) wrong.add(key, "is not known; known are vms and traffic");
  const specs = rows(vms, "vms", wrong).map((row, i) => parseVm(row, `vms[${i}]`, wrong));
  const names = new Set(specs.map((vm) => vm.name));
  if (names.size < specs.length) wrong.add("vms", "two VMs have the same name");
  const errands = rows(traffic, "traffic", wrong).map((row, i) => parseErrand(row, `traffic[${i}]`, names, wrong));
  wrong.throwIfAny("the table of VMs");
  return { vms: specs, traffic: errands };
}

function parseVm(row: Row, at: string, wrong: Violations): VmSpec {
  const text = (key: string): string => {
    const value = row[key];
    if (typeof value === "string" && value !== "") return value;
    wrong.add(`${at}.${key}`, "is missing or not a text");
    return "";
  };
  const read = <T>(key: string, parse: (text: string) => T | null, what: string): T | null => {
    if (row[key] === undefined && key === "gateway") return null;
    const value = parse(text(key));
    if (value === null && typeof row[key] === "string") wrong.add(`${at}.${key}`, `is not ${what}`);
    return value;
  };
  const known = new Set(["name", "port", "mac", "ip", "gateway", "listen"]);
  for (const key of Object.keys(row)) if (!known.has(key)) wrong.add(`${at}.${key}`, "is not known");
  const prefix = read("ip", parseIpv4Prefix, "an address with its prefix length, as 10.0.1.10/24");
  const { listen } = row;
  if (listen !== undefined && !isPortList(listen)) wrong.add(`${at}.listen`, "is not a list of TCP ports");
  return {
    name: text("name"),
    port: text("port"),
    mac: read("mac", parseMac, "a MAC address") ?? (0 as VmSpec["mac"]),
    ip: prefix?.address ?? (0 as VmSpec["ip"]),
    prefixLength: prefix?.length ?? 32,
    gateway: read("gateway", parseIpv4, "an IPv4 address"),
    ...(isPortList(listen) ? { listen } : {}),
  };
}

const DEEDS: readonly Deed[] = ["ping", "udp-echo", "tcp"];

function parseErrand(row: Row, at: string, names: ReadonlySet<string>, wrong: Violations): Errand {
  const vm = (key: string): string => {
    const value = row[key];
    if (typeof value === "string" && names.has(value)) return value;
    wrong.add(`${at}.${key}`, "is not the name of a VM");
    return "";
  };
  const deed = DEEDS.find((d) => row["do"] === d);
  if (deed === undefined) wrong.add(`${at}.do`, `is not one of ${DEEDS.join(", ")}`);
  const { port } = row;
  if (port !== undefined && !isL4Port(port)) wrong.add(`${at}.port`, "is not a TCP port");
  return { from: vm("from"), to: vm("to"), deed: deed ?? "ping", ...(isL4Port(port) ? { port } : {}) };
}

function rows(value: unknown, at: string, wrong: Violations): readonly Row[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value) && value.every((v) => typeof v === "object" && v !== null)) return value as Row[];
  wrong.add(at, "is not a list of objects");
  return [];
}

function isL4Port(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff;
}

function isPortList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isL4Port);
}
