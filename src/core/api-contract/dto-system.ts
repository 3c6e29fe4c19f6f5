import * as z from "zod";
import { answerOf, ro } from "./fields.ts";
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

export const systemStateAnswer = answerOf({
  state: ro.of(z.enum(["ACTIVE", "UPGRADE"])),
  availability: ro.of(z.enum(["READWRITE", "READONLY"])),
  version: ro.text,
  writeVersion: ro.text,
  information: ro.textOrNull,
  uri: ro.uri,
});

export function systemStateDto(links: Links): z.output<typeof systemStateAnswer> {
  return {
    state: "ACTIVE",
    availability: "READWRITE",
    version: SYSTEM_VERSION,
    writeVersion: API_VERSION,
    information: null,
    uri: links.to("system_state"),
  };
}

export const writeVersionAnswer = answerOf({ version: ro.text, uri: ro.uri });

export function writeVersionDto(links: Links): z.output<typeof writeVersionAnswer> {
  return { version: API_VERSION, uri: links.to("write_version") };
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

export function tenantDto(id: string, links: Links): TenantDto {
  const listed = (collection: string): string => `${links.to(collection)}?tenant_id=${encodeURIComponent(id)}`;
  return {
    id,
    name: id,
    description: id,
    enabled: true,
    uri: links.to("tenants", id),
    routers: listed("routers"),
    bridges: listed("bridges"),
    chains: listed("chains"),
    portGroups: listed("port_groups"),
  };
}
