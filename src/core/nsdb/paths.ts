/**
 * Where everything stands in the store, below its root (`/midonet/v1` in ZooKeeper). The names are MidoNet's where the
 * same thing exists there. `PATHS` is the reference table; a test compares it with what a full topology really creates.
 */
import type { BridgeId, ChainId, HostId, IpAddrGroupId, PortGroupId, PortId, RouterId, TunnelZoneId } from "#core/base";
import type { DeviceType } from "#core/topology";

/** P: persistent. E: ephemeral, gone with the session of the agent that made it. */
export type NodeType = "P" | "E";

export interface PathRow {
  /** `<x>` stands for one path element. */
  readonly pattern: string;
  readonly type: NodeType;
  readonly content: string;
}

const row = (pattern: string, type: NodeType, content: string): PathRow => ({ pattern, type, content });

export const PATHS: readonly PathRow[] = [
  row("/bridges/<id>", "P", "bridge record"),
  row("/bridges/<id>/ports/<portId>", "P", "empty: a port of the bridge"),
  row("/bridges/<id>/traces/<traceId>", "P", "empty: a trace request on the bridge"),
  row("/bridges/<id>/mac_ports/<mac>,<portId>", "E", "empty: a learned MAC, untagged; of one MAC the newest wins"),
  row("/bridges/<id>/vlans/<vlan>/mac_ports/<mac>,<portId>", "E", "empty: a learned MAC of that VLAN"),
  row(
    "/bridges/<id>/static_macs/<vlan>,<mac>",
    "P",
    "{portId}: a MAC that is behind the port for good; VLAN 0: untagged",
  ),
  row("/bridges/<id>/ip4_mac_map/<ip>,<mac>", "P", "empty: the MAC of an IP address, as an administrator says"),
  row("/routers/<id>", "P", "router record"),
  row("/routers/<id>/ports/<portId>", "P", "empty: a port of the router"),
  row("/routers/<id>/routes/<routeId>", "P", "empty: a route of the router"),
  row("/routers/<id>/traces/<traceId>", "P", "empty: a trace request on the router"),
  row("/routers/<id>/arp_table/<ip>", "E", "what the router knows of that neighbour: {mac, times}"),
  row("/ports/<id>", "P", "port record"),
  row("/ports/<id>/active/<hostId>", "E", "empty: the port's interface is up on that host"),
  row("/ports/<id>/routes/<routeId>", "P", "empty: a route that leaves by the port"),
  row("/ports/<id>/port_groups/<groupId>", "P", "empty: a group that the port is in"),
  row("/ports/<id>/traces/<traceId>", "P", "empty: a trace request on the port"),
  row("/chains/<id>", "P", "chain record"),
  row("/chains/<id>/rules", "P", "{ruleList: [ruleId…]}: the order of the rules, compare-and-set by version"),
  row("/chains/<id>/refs/<type>:<id>", "P", "empty: a bridge, router or port that filters by it, or a jump rule to it"),
  row("/chains/<id>/auto", "P", "{requestId}: enabling made the chain; it goes when its last rule goes"),
  row("/rules/<id>", "P", "rule record"),
  row("/routes/<id>", "P", "route record"),
  row("/port_groups/<id>", "P", "port group record"),
  row("/port_groups/<id>/ports/<portId>", "P", "empty: a member"),
  row("/ip_addr_groups/<id>", "P", "IP address group record"),
  row("/ip_addr_groups/<id>/addrs/<ip>", "P", "empty: an address of the group"),
  row("/hosts/<id>", "P", "host record"),
  row("/hosts/<id>/alive", "E", "empty: the host's agent is running"),
  row("/hosts/<id>/interfaces/<name>", "E", "interface record; the name is percent-encoded"),
  row("/hosts/<id>/vrnMappings/ports/<portId>", "P", "{virtualPortId, localDeviceName}: a binding"),
  row("/hosts/<id>/tunnel_zones/<tunnelZoneId>", "P", "empty: a zone that the host is in"),
  row("/tunnel_zones/<id>", "P", "tunnel zone record"),
  row("/tunnel_zones/<id>/memberships/<hostId>", "P", "member record: the host's address in the zone"),
  row("/tunnel_keys", "P", "{last}: the key given out last"),
  row("/tunnel_keys/<key>", "P", "{ownerId}: the port that has the key"),
  row("/traces/<id>", "P", "trace request record"),
  row(
    "/tenants/<tenant>/traces/<traceId>",
    "P",
    "empty: a trace request on a device of the tenant, or on a port of one",
  ),
  row("/collectors/<id>", "E", "{url}: an API server that takes trace segments, and where agents reach it"),
  row("/locks/<name>", "P", "empty: its version orders changes that no single object orders"),
  row("/system_state", "P", "{state, availability, writeVersion}: set by administrators; absent until then"),
  row("/store", "P", "{id, version}: which store this is, and the layout of its nodes; an import sets it again"),
  row("/import", "P", "{documentId, storeId, startedAtMs}: an import is not finished; agents and servers keep away"),
  row("/import/running", "E", "empty: the process that imports is alive"),
];

/** Made once, by `initialize`. */
export const TOP_DIRECTORIES: readonly string[] = [
  "/bridges",
  "/routers",
  "/ports",
  "/chains",
  "/rules",
  "/routes",
  "/port_groups",
  "/ip_addr_groups",
  "/hosts",
  "/tunnel_zones",
  "/tunnel_keys",
  "/traces",
  "/tenants",
  "/collectors",
  "/locks",
  "/locks/apply",
  "/locks/zone_names",
];

export const APPLY_LOCK = "/locks/apply";
export const ZONE_NAMES_LOCK = "/locks/zone_names";
export const TUNNEL_KEYS = "/tunnel_keys";
export const TENANTS = "/tenants";
export const COLLECTORS = "/collectors";
export const SYSTEM_STATE = "/system_state";
export const STORE_PATH = "/store";
export const IMPORT_PATH = "/import";
export const IMPORT_RUNNING_PATH = "/import/running";

/** Any text as one element of a path. */
function pathElement(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(/^\.+$/, (dots) => "%2E".repeat(dots.length));
}

const DEVICE_DIRECTORY: Readonly<Record<DeviceType, string>> = {
  BRIDGE: "/bridges",
  ROUTER: "/routers",
  PORT: "/ports",
};

export const devicePath = (type: DeviceType, id: string): string => `${DEVICE_DIRECTORY[type]}/${id}`;
export const devicePortsPath = (type: "BRIDGE" | "ROUTER", id: string): string => `${devicePath(type, id)}/ports`;
export const deviceTracesPath = (type: DeviceType, id: string): string => `${devicePath(type, id)}/traces`;
export const routerRoutesPath = (id: RouterId): string => `/routers/${id}/routes`;
export const routerArpPath = (id: RouterId): string => `/routers/${id}/arp_table`;
export const portActivePath = (id: PortId): string => `/ports/${id}/active`;
export const portRoutesPath = (id: PortId): string => `/ports/${id}/routes`;
export const portGroupsOfPath = (id: PortId): string => `/ports/${id}/port_groups`;
export const chainRulesPath = (id: ChainId): string => `/chains/${id}/rules`;
export const chainRefsPath = (id: ChainId): string => `/chains/${id}/refs`;
export const chainAutoPath = (id: ChainId): string => `/chains/${id}/auto`;
export const portGroupPortsPath = (id: PortGroupId): string => `/port_groups/${id}/ports`;
export const groupAddressesPath = (id: IpAddrGroupId): string => `/ip_addr_groups/${id}/addrs`;
export const hostAlivePath = (id: HostId): string => `/hosts/${id}/alive`;
export const hostInterfacesPath = (id: HostId): string => `/hosts/${id}/interfaces`;
export const hostInterfacePath = (id: HostId, name: string): string => `${hostInterfacesPath(id)}/${pathElement(name)}`;
export const hostBindingsPath = (id: HostId): string => `/hosts/${id}/vrnMappings/ports`;
export const hostZonesPath = (id: HostId): string => `/hosts/${id}/tunnel_zones`;
export const zoneMembersPath = (id: TunnelZoneId): string => `/tunnel_zones/${id}/memberships`;
/** Percent-encoded; "%" alone stands for devices that have no tenant. */
export const tenantPath = (tenant: string): string => `${TENANTS}/${tenant === "" ? "%" : pathElement(tenant)}`;
export const tenantTracesPath = (tenant: string): string => `${tenantPath(tenant)}/traces`;
export const collectorPath = (id: string): string => `${COLLECTORS}/${id}`;
export const tunnelKeyPath = (key: number): string => `${TUNNEL_KEYS}/${key}`;

/** `vlan` 0: untagged. */
export function macTablePath(bridge: BridgeId, vlan: number): string {
  return vlan === 0 ? `/bridges/${bridge}/mac_ports` : `/bridges/${bridge}/vlans/${vlan}/mac_ports`;
}

export const staticMacsPath = (bridge: BridgeId): string => `/bridges/${bridge}/static_macs`;
export const staticMacPath = (bridge: BridgeId, vlan: number, mac: string): string =>
  `${staticMacsPath(bridge)}/${vlan},${mac}`;
export const arpSeedsPath = (bridge: BridgeId): string => `/bridges/${bridge}/ip4_mac_map`;
export const bridgeVlansPath = (bridge: BridgeId): string => `/bridges/${bridge}/vlans`;

export type ChainRefType = "bridge" | "router" | "port" | "rule";

export interface ChainRef {
  readonly type: ChainRefType;
  readonly id: string;
}

export const chainRefPath = (chain: ChainId, ref: ChainRef): string => `${chainRefsPath(chain)}/${ref.type}:${ref.id}`;

/** @returns null for a name that is no reference. */
export function parseChainRef(name: string): ChainRef | null {
  const m = /^(bridge|router|port|rule):(.+)$/.exec(name);
  return m === null ? null : { type: m[1] as ChainRefType, id: m[2] as string };
}

/** The elements of a path: "/a/b" → ["a", "b"]. What a watcher looks at to learn which object an event is about. */
export function pathElements(path: string): string[] {
  return path.split("/").filter((part) => part !== "");
}

/** The pattern of `PATHS` that a path follows, or null (a directory, or unknown). */
export function patternOf(path: string): string | null {
  return PATTERNS.find((p) => p.test.test(path))?.pattern ?? null;
}

/** Whether the path is a directory above rows of `PATHS`: a persistent node without data. */
export function isDirectory(path: string): boolean {
  return DIRECTORIES.some((test) => test.test(path));
}

/** The row of `PATHS` that a path follows, or null. */
export function rowOf(path: string): PathRow | null {
  const pattern = patternOf(path);
  return PATHS.find((r) => r.pattern === pattern) ?? null;
}

const regexOf = (pattern: string): RegExp => new RegExp(`^${pattern.replace(/<[^>]+>/g, "[^/]+")}$`);
const PATTERNS = PATHS.map(({ pattern }) => ({ pattern, test: regexOf(pattern) }));
const DIRECTORIES = PATHS.map(({ pattern }) => pattern.split("/"))
  .flatMap((parts) => parts.slice(2).map((_, i) => parts.slice(0, i + 2).join("/")))
  .filter((path, i, all) => all.indexOf(path) === i)
  .map(regexOf);
