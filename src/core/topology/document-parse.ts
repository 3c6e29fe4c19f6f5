import { isUuid, MidotraceError, Violations } from "#core/base";
import { formatIpv4, isMulticastIpv4, parseIpv4Prefix, prefixMask } from "#core/packets";
import type { Condition } from "./condition.ts";
import { CONDITION_FIELDS, CONDITION_KEYS } from "./condition-fields.ts";
import type {
  BridgePortSpec,
  BridgeSpec,
  ChainSpec,
  HostSpec,
  RouterPortSpec,
  RouterSpec,
  RouteSpec,
  RuleSpec,
  TopologyDocument,
} from "./document.ts";
import { DocumentReader, isMapping } from "./document-reader.ts";
import { checkReferences } from "./document-references.ts";
import { parseExpression } from "./expression.ts";
import { isSet, show } from "./field-checks.ts";
import { normalizeCondition } from "./normalize.ts";
import { validateCondition } from "./validate-condition.ts";

const KINDS = ["hosts", "tunnelZones", "ipAddrGroups", "portGroups", "chains", "bridges", "routers"] as const;

/**
 * Reads a topology document from the plain object that a YAML or JSON parser gives. Defaults: `tenant` "" (nobody's),
 * `up` true, `stateful` false, `vlan` 0, zone type vxlan, route `type` Normal, `src` 0.0.0.0/0 and `weight` 100.
 *
 * @throws MidotraceError VALIDATION with every mistake at once: unknown keys, wrong values, duplicate names, references
 * to what the document does not define; paths are as in `bridges[0].ports[2].bind.host`.
 */
export function parseTopologyDocument(value: unknown): TopologyDocument {
  const violations = new Violations();
  const root = new DocumentReader(value, "", KINDS, violations);
  const all = <T>(kind: (typeof KINDS)[number], keys: readonly string[], read: (r: DocumentReader) => T): T[] =>
    root.list(kind).map((item) => read(new DocumentReader(item.value ?? {}, item.path, keys, violations)));
  const document: TopologyDocument = {
    hosts: all("hosts", ["name", "id"], readHost),
    tunnelZones: all("tunnelZones", ["name", "type", "hosts"], (r) => ({
      name: r.name(),
      type: r.word("type", ["vxlan", "gre", "vtep"], "vxlan"),
      hosts: readZoneHosts(r),
    })),
    ipAddrGroups: all("ipAddrGroups", ["name", "addresses"], (r) => ({ name: r.name(), addresses: readAddresses(r) })),
    portGroups: all("portGroups", ["name", "tenant", "stateful", "ports"], (r) => ({
      name: r.name(),
      tenant: r.tenant(),
      stateful: r.flag("stateful", false),
      ports: r.texts("ports"),
    })),
    chains: all("chains", ["name", "tenant", "rules"], readChain),
    bridges: all("bridges", [...DEVICE_KEYS, "ports"], readBridge),
    routers: all("routers", [...DEVICE_KEYS, "ports", "routes"], readRouter),
  };
  checkReferences(document, violations);
  violations.throwIfAny("the topology document");
  return document;
}

const DEVICE_KEYS = ["name", "tenant", "up", "inFilter", "outFilter"];
const PORT_KEYS = ["name", "up", "inFilter", "outFilter", "bind", "link"];

function readHost(r: DocumentReader): HostSpec {
  const id = r.optionalText("id")?.toLowerCase();
  if (id !== undefined && !isUuid(id)) r.fail("id", `must be a UUID, not ${show(id)}`);
  return { name: r.name(), ...(id === undefined ? {} : { id }) };
}

function readZoneHosts(r: DocumentReader): Record<string, string> {
  const value = r.raw("hosts");
  if (!isSet(value)) return {};
  if (!isMapping(value)) {
    r.fail("hosts", `must be a mapping of host names to tunnel addresses, not ${show(value)}`);
    return {};
  }
  const entries = Object.entries(value);
  for (const [host, ip] of entries) {
    if (r.checks.required(`hosts.${host}`, ip)) r.checks.ipv4(`hosts.${host}`, ip);
  }
  return Object.fromEntries(entries.map(([host, ip]) => [host, typeof ip === "string" ? ip : ""]));
}

function readAddresses(r: DocumentReader): string[] {
  const texts = r.texts("addresses");
  r.list("addresses").forEach(({ value }, i) => {
    if (typeof value === "string" && value !== "") r.checks.ip(`addresses[${i}]`, value);
  });
  return texts;
}

function readChain(r: DocumentReader): ChainSpec {
  const rules = r
    .list("rules")
    .map((item) =>
      readRule(new DocumentReader(item.value, item.path, ["type", "jump", "match", "condition"], r.violations)),
    );
  return { name: r.name(), tenant: r.tenant(), rules };
}

function readRule(r: DocumentReader): RuleSpec {
  const type = r.word("type", ["accept", "drop", "reject", "return", "jump"], null);
  const jump = r.optionalText("jump");
  if (type === "jump" && !isSet(r.raw("jump"))) r.fail("jump", "is missing: the name of the chain to jump to");
  if (type !== "jump" && jump !== undefined) r.fail("jump", `belongs to rules of type jump only, not ${type}`);
  return { type, ...(jump === undefined ? {} : { jump }), condition: readMatch(r) };
}

function readMatch(r: DocumentReader): Condition {
  const match = r.optionalText("match");
  const condition = r.raw("condition");
  if (match !== undefined && isSet(condition)) r.fail("match", "write either `match` or `condition`, not both");
  if (match !== undefined) {
    try {
      return parseExpression(match);
    } catch (error) {
      if (!(error instanceof MidotraceError) || error.code !== "BAD_EXPRESSION") throw error;
      r.fail("match", error.message);
      return {};
    }
  }
  return isSet(condition) ? readCondition(condition, `${r.path}.condition`, r.violations) : {};
}

/** Fields that name a group: in a document by its name, not by its id. */
export const GROUP_FIELDS = ["portGroup", "inPortGroup", "outPortGroup", "ipAddrGroupSrc", "ipAddrGroupDst"] as const;

function readCondition(value: unknown, path: string, violations: Violations): Condition {
  const r = new DocumentReader(value, path, CONDITION_KEYS, violations);
  if (!isMapping(value)) return {};
  const groups: Record<string, string> = {};
  for (const field of GROUP_FIELDS) {
    const name = r.optionalText(field);
    if (name !== undefined) groups[field] = name;
  }
  const rest = Object.fromEntries(
    CONDITION_KEYS.filter((k) => !GROUP_FIELDS.some((g) => g === k)).map((k) => [k, r.raw(k)] as const),
  ) as Condition;
  const before = violations.list.length;
  validateCondition(rest, path, violations);
  if (violations.list.length > before) return {};
  // Names keep their case: only the rest is normalized.
  const inversions = CONDITION_FIELDS.filter((f) => groups[f.name] !== undefined && f.inversion !== undefined)
    .filter((f) => r.raw(f.inversion as string) === true)
    .map((f) => [f.inversion, true] as const);
  return { ...normalizeCondition(rest), ...groups, ...Object.fromEntries(inversions) };
}

function readDevice(r: DocumentReader): Pick<BridgeSpec, "name" | "tenant" | "up" | "inFilter" | "outFilter"> {
  return { name: r.name(), tenant: r.tenant(), up: r.flag("up", true), ...readFilters(r) };
}

function readFilters(r: DocumentReader): { inFilter?: string; outFilter?: string } {
  const inFilter = r.optionalText("inFilter");
  const outFilter = r.optionalText("outFilter");
  return { ...(inFilter === undefined ? {} : { inFilter }), ...(outFilter === undefined ? {} : { outFilter }) };
}

function readBridge(r: DocumentReader): BridgeSpec {
  const ports = r.list("ports").map((item) => {
    const port = new DocumentReader(item.value ?? {}, item.path, [...PORT_KEYS, "vlan"], r.violations);
    return { ...readPort(port), vlan: port.integer("vlan", 0, 0, 4094) };
  });
  return { ...readDevice(r), ports };
}

function readRouter(r: DocumentReader): RouterSpec {
  const ports = r.list("ports").map((item): RouterPortSpec => {
    const port = new DocumentReader(item.value ?? {}, item.path, [...PORT_KEYS, "address", "mac"], r.violations);
    const address = readPortAddress(port);
    const mac = port.optionalText("mac");
    port.checks.unicastMac("mac", mac);
    return { ...readPort(port), ...(address === undefined ? {} : { address }), ...(mac === undefined ? {} : { mac }) };
  });
  const keys = ["type", "src", "dst", "port", "gateway", "weight"];
  const routes = r
    .list("routes")
    .map((item) => readRoute(new DocumentReader(item.value ?? {}, item.path, keys, r.violations)));
  return { ...readDevice(r), ports, routes };
}

function readPort(r: DocumentReader): Omit<BridgePortSpec, "vlan"> {
  const link = r.optionalText("link");
  const bindValue = r.raw("bind");
  const port = { name: r.name(), up: r.flag("up", true), ...readFilters(r), ...(link === undefined ? {} : { link }) };
  if (!isSet(bindValue)) return port;
  if (link !== undefined) r.fail("link", "a port is bound to a host or linked to a port, not both");
  const bind = new DocumentReader(bindValue, `${r.path}.bind`, ["host", "interface"], r.violations);
  return { ...port, bind: { host: bind.text("host"), interface: bind.text("interface") } };
}

function readPortAddress(r: DocumentReader): string | undefined {
  const text = r.optionalText("address");
  if (text === undefined) return undefined;
  const prefix = parseIpv4Prefix(text);
  if (prefix === null || !text.includes("/")) {
    r.fail("address", `must be an address with its prefix length such as 10.0.1.1/24, not ${show(text)}`);
    return undefined;
  }
  const { address, length } = prefix;
  const host = ~prefixMask(length) >>> 0;
  const special = length <= 30 && ((address & host) >>> 0 === 0 || (address & host) >>> 0 === host);
  if (special || address === 0 || isMulticastIpv4(address))
    r.fail("address", `must be the address of one interface inside its network, not ${show(text)}`);
  return text;
}

function readRoute(r: DocumentReader): RouteSpec {
  const type = r.word("type", ["Normal", "BlackHole", "Reject"], "Normal");
  const port = r.optionalText("port");
  const gateway = r.optionalText("gateway");
  r.checks.ipv4("gateway", gateway);
  if (type === "Normal" && !isSet(r.raw("port"))) r.fail("port", "is missing: the name of a port of this router");
  if (type !== "Normal" && (port !== undefined || gateway !== undefined))
    r.fail(port === undefined ? "gateway" : "port", `belongs to routes of type Normal only, not ${type}`);
  return {
    type,
    src: readNetwork(r, "src", "0.0.0.0/0"),
    dst: readNetwork(r, "dst", null),
    ...(port === undefined ? {} : { port }),
    ...(gateway === undefined ? {} : { gateway }),
    weight: r.integer("weight", 100, 0, 0x7fff_ffff),
  };
}

function readNetwork(r: DocumentReader, field: string, fallback: string | null): string {
  const text = fallback === null ? r.text(field) : (r.optionalText(field) ?? fallback);
  if (text === "") return "0.0.0.0/0";
  const prefix = parseIpv4Prefix(text);
  if (prefix === null) {
    r.fail(field, `must be a network such as 10.0.1.0/24, not ${show(text)}`);
    return "0.0.0.0/0";
  }
  const network = `${formatIpv4((prefix.address & prefixMask(prefix.length)) >>> 0)}/${prefix.length}`;
  if (network !== `${formatIpv4(prefix.address)}/${prefix.length}`)
    r.fail(field, `has bits set behind its prefix: write ${network}, not ${text}`);
  return network;
}
