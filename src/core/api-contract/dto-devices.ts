import { type BridgeId, type ChainId, type RouterId, type TenantId, Violations } from "#core/base";
import { type BridgeRecord, type RouterRecord, validateBridge, validateRouter } from "#core/topology";
import * as z from "zod";
import { answerOf, bodyOf, read, ro, rw } from "./fields.ts";
import type { Links } from "./links.ts";

const common = {
  id: rw.id,
  tenantId: rw.text(""),
  name: rw.text(""),
  adminStateUp: rw.bool(true),
  inboundFilterId: rw.uuidOrNull,
  outboundFilterId: rw.uuidOrNull,
  inboundMirrorIds: ro.uuids,
  outboundMirrorIds: ro.uuids,
  uri: ro.uri,
  inboundFilter: ro.uriOrNull,
  outboundFilter: ro.uriOrNull,
  ports: ro.uri,
  peerPorts: ro.uri,
} as const;

/** midonet-rest 6.3 */
export const bridgeFields = {
  ...common,
  vxLanPortIds: rw.of(z.array(z.string()), read.uuids(null)),
  qosPolicyId: ro.nothing,
  vxLanPorts: ro.uri,
  macTable: ro.uri,
  arpTable: ro.uri,
  dhcpSubnets: ro.uri,
  dhcpSubnet6s: ro.uri,
  vlanMacTableTemplate: ro.text,
  macPortTemplate: ro.text,
  vlanMacPortTemplate: ro.text,
} as const;

/** midonet-rest 6.4 */
export const routerFields = {
  ...common,
  loadBalancerId: ro.nothing,
  asNumber: rw.int(0),
  localRedirectChainId: ro.nothing,
  forwardChainId: ro.nothing,
  routes: ro.uri,
  loadBalancer: ro.nothing,
  bgpNetworks: ro.uri,
  bgpPeers: ro.uri,
  localRedirectChain: ro.nothing,
  forwardChain: ro.nothing,
} as const;

export const bridgeBody = bodyOf(bridgeFields);
export const bridgeAnswer = answerOf(bridgeFields);
export const routerBody = bodyOf(routerFields);
export const routerAnswer = answerOf(routerFields);
export type BridgeDto = z.output<typeof bridgeAnswer>;
export type RouterDto = z.output<typeof routerAnswer>;
type BridgeBody = z.output<typeof bridgeBody>;
type RouterBody = z.output<typeof routerBody>;

function commonDto(collection: "bridges" | "routers", d: BridgeRecord | RouterRecord, links: Links) {
  return {
    id: d.id,
    tenantId: d.tenantId,
    name: d.name,
    adminStateUp: d.adminStateUp,
    inboundFilterId: d.inboundFilterId,
    outboundFilterId: d.outboundFilterId,
    inboundMirrorIds: [],
    outboundMirrorIds: [],
    uri: links.to(collection, d.id),
    inboundFilter: links.toOrNull("chains", d.inboundFilterId),
    outboundFilter: links.toOrNull("chains", d.outboundFilterId),
    ports: links.to(collection, d.id, "ports"),
    peerPorts: links.to(collection, d.id, "peer_ports"),
  };
}

export function bridgeToDto(b: BridgeRecord, links: Links): BridgeDto {
  const uri = links.to("bridges", b.id);
  return {
    ...commonDto("bridges", b, links),
    vxLanPortIds: [],
    qosPolicyId: null,
    vxLanPorts: `${uri}/vxlan_ports`,
    macTable: `${uri}/mac_table`,
    arpTable: `${uri}/arp_table`,
    dhcpSubnets: `${uri}/dhcp`,
    dhcpSubnet6s: `${uri}/dhcpV6`,
    vlanMacTableTemplate: `${uri}/vlans/{vlanId}/mac_table`,
    macPortTemplate: `${uri}/mac_table/{macAddress}_{portId}`,
    vlanMacPortTemplate: `${uri}/vlans/{vlanId}/mac_table/{macAddress}_{portId}`,
  };
}

export function routerToDto(r: RouterRecord, links: Links): RouterDto {
  const uri = links.to("routers", r.id);
  return {
    ...commonDto("routers", r, links),
    loadBalancerId: null,
    asNumber: r.asNumber ?? 0,
    localRedirectChainId: null,
    forwardChainId: null,
    routes: `${uri}/routes`,
    loadBalancer: null,
    bgpNetworks: `${uri}/bgp_networks`,
    bgpPeers: `${uri}/bgp_peers`,
    localRedirectChain: null,
    forwardChain: null,
  };
}

function recordOf<Id extends BridgeId | RouterId>(body: BridgeBody | RouterBody, id: string) {
  return {
    id: id as Id,
    tenantId: body.tenantId as TenantId,
    name: body.name,
    adminStateUp: body.adminStateUp,
    inboundFilterId: body.inboundFilterId as ChainId | null,
    outboundFilterId: body.outboundFilterId as ChainId | null,
  };
}

/** @param id of the stored bridge (PUT), or the one for a body without id (POST). @throws MidotraceError VALIDATION */
export function bridgeFromBody(body: BridgeBody, id: string): BridgeRecord {
  const record: BridgeRecord = recordOf(body, id);
  const violations = new Violations();
  validateBridge(record, violations);
  if ((body.vxLanPortIds ?? []).length > 0) violations.add("vxLanPortIds", "is set by the server: it must be empty");
  violations.throwIfAny("bridge");
  return record;
}

/** As bridgeFromBody. @throws MidotraceError VALIDATION */
export function routerFromBody(body: RouterBody, id: string): RouterRecord {
  const record: RouterRecord = { ...recordOf<RouterId>(body, id), asNumber: body.asNumber };
  const violations = new Violations();
  validateRouter(record, violations);
  violations.throwIfAny("router");
  return record;
}
