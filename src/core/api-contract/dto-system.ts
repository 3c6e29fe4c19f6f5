import { Violations } from "#core/base";
import type { KnownTenant } from "#core/identity";
import * as z from "zod";
import { answerOf, bodyOf, read, ro, rw } from "./fields.ts";
import type { Links } from "./links.ts";

/** Version strings that MidoNet's clients look at: HEAD's. */
export const API_VERSION = "v5.0";
const SYSTEM_VERSION = "5.0.0";

/** Collection key, template key and path below the base (midonet-rest section 2): the union of all versions. */
const APPLICATION: readonly (readonly [collection: string | null, template: string | null, path: string])[] = [
  ["bridges", "bridgeTemplate", "bridges"],
  ["routers", "routerTemplate", "routers"],
  ["ports", "portTemplate", "ports"],
  ["chains", "chainTemplate", "chains"],
  [null, "ruleTemplate", "rules"],
  [null, "routeTemplate", "routes"],
  ["hosts", "hostTemplate", "hosts"],
  ["tunnelZones", "tunnelZoneTemplate", "tunnel_zones"],
  ["portGroups", "portGroupTemplate", "port_groups"],
  ["ipAddrGroups", "ipAddrGroupTemplate", "ip_addr_groups"],
  ["tenants", "tenantTemplate", "tenants"],
  ["systemState", null, "system_state"],
  ["traceRequests", "traceRequestTemplate", "traces"],
  ["mirrors", "mirrorTemplate", "mirrors"],
  ["qosPolicies", "qosPolicyTemplate", "qos_policies"],
  [null, "qosDscpRuleTemplate", "qos_dscp_rules"],
  [null, "qosBwLimitRuleTemplate", "qos_bw_limit_rules"],
  ["loadBalancers", "loadBalancerTemplate", "load_balancers"],
  ["healthMonitors", "healthMonitorTemplate", "health_monitors"],
  ["pools", "poolTemplate", "pools"],
  ["poolMembers", "poolMemberTemplate", "pool_members"],
  ["vips", "vipTemplate", "vips"],
  [null, "bgpNetworkTemplate", "bgp_networks"],
  [null, "bgpPeerTemplate", "bgp_peers"],
  ["vteps", "vtepTemplate", "vteps"],
  ["l2insertions", "l2InsertionTemplate", "l2insertions"],
  ["serviceContainers", "serviceContainerTemplate", "service_containers"],
  ["serviceContainerGroups", "serviceContainerGroupTemplate", "service_container_groups"],
  ["neutron", null, "neutron"],
  ["writeVersion", null, "write_version"],
  ["hostVersions", null, "versions"],
  // Ours.
  ["simulations", null, "simulations"],
  ["agents", null, "agents"],
  ["topology", null, "topology"],
];

export const applicationAnswer = z.record(z.string(), z.string());

/** The root document. Templates have literal braces; keys of what is not served lead to 404, as a client expects. */
export function applicationDto(links: Links): Record<string, string> {
  const out: Record<string, string> = { uri: links.base, version: API_VERSION };
  for (const [collection, template, path] of APPLICATION) {
    if (collection !== null) out[collection] = links.to(path);
    if (template !== null) out[template] = `${links.to(path)}/{id}`;
  }
  return out;
}

const STATES = ["ACTIVE", "UPGRADE"] as const;
const AVAILABILITIES = ["READWRITE", "READONLY"] as const;

/** midonet-rest 6.15: the union of both versions. */
const systemStateFields = {
  state: rw.oneOf(STATES),
  availability: rw.oneOf(AVAILABILITIES),
  version: ro.text,
  writeVersion: ro.text,
  information: ro.textOrNull,
  uri: ro.uri,
} as const;
export const systemStateBody = bodyOf(systemStateFields);
export const systemStateAnswer = answerOf(systemStateFields);

export interface SystemStateRecord {
  readonly state: (typeof STATES)[number];
  readonly availability: (typeof AVAILABILITIES)[number];
  /** Null: this server's. */
  readonly writeVersion: string | null;
}

export function systemStateDto(s: SystemStateRecord, links: Links): z.output<typeof systemStateAnswer> {
  return {
    state: s.state,
    availability: s.availability,
    version: SYSTEM_VERSION,
    writeVersion: s.writeVersion ?? API_VERSION,
    information: null,
    uri: links.to("system_state"),
  };
}

/** @throws MidotraceError VALIDATION */
export function systemStateFromBody(
  body: z.output<typeof systemStateBody>,
): Pick<SystemStateRecord, "state" | "availability"> {
  const { state, availability } = body;
  const violations = new Violations();
  if (state === null) violations.add("state", "may not be null");
  if (availability === null) violations.add("availability", "may not be null");
  violations.throwIfAny("system state");
  return { state: state ?? "ACTIVE", availability: availability ?? "READWRITE" };
}

const writeVersionFields = { version: rw.of(z.string(), read.text(null)), uri: ro.uri } as const;
export const writeVersionBody = bodyOf(writeVersionFields);
export const writeVersionAnswer = answerOf(writeVersionFields);

export function writeVersionDto(version: string | null, links: Links): z.output<typeof writeVersionAnswer> {
  return { version: version ?? API_VERSION, uri: links.to("write_version") };
}

/** @throws MidotraceError VALIDATION */
export function writeVersionFromBody(body: z.output<typeof writeVersionBody>): string {
  const violations = new Violations();
  if (body.version === null) violations.add("version", "may not be null");
  else if (!/^[\w.-]{1,64}$/.test(body.version))
    violations.add("version", "must be 1 to 64 letters, digits, dots, dashes and underscores");
  violations.throwIfAny("write version");
  return body.version ?? "";
}

export const hostVersionAnswer = answerOf({ version: ro.text, hostId: ro.uuid, host: ro.uri });

/** The layout of the store is the version that a host writes: one that knew another would keep away from this store. */
export function hostVersionDto(hostId: string, links: Links): z.output<typeof hostVersionAnswer> {
  return { version: API_VERSION, hostId, host: links.to("hosts", hostId) };
}

/** midonet-rest 6.13 */
export const tenantAnswer = answerOf({
  id: ro.text,
  name: ro.text,
  description: ro.text,
  enabled: ro.bool,
  uri: ro.uri,
  routers: ro.uri,
  bridges: ro.uri,
  chains: ro.uri,
  portGroups: ro.uri,
});
export type TenantDto = z.output<typeof tenantAnswer>;

/** @param tenant as the identity service knows it; where there is none, an id stands for all of it, as MidoNet's mock has it. */
export function tenantDto(tenant: KnownTenant | string, links: Links): TenantDto {
  const known = typeof tenant === "string" ? { id: tenant, name: tenant, description: tenant, enabled: true } : tenant;
  const { id, name, description, enabled } = known;
  const listed = (collection: string): string => `${links.to(collection)}?tenant_id=${encodeURIComponent(id)}`;
  return {
    id,
    name,
    description,
    enabled,
    uri: links.to("tenants", id),
    routers: listed("routers"),
    bridges: listed("bridges"),
    chains: listed("chains"),
    portGroups: listed("port_groups"),
  };
}
