import { type HostId, type PortId, type TunnelZoneId, Violations } from "#core/base";
import {
  HOST_WEIGHTS,
  type HostRecord,
  type HostWeights,
  type TunnelZoneMember,
  type TunnelZoneRecord,
  validateHost,
  validateTunnelZone,
  validateTunnelZoneMember,
} from "#core/topology";
import * as z from "zod";
import { answerOf, bodyOf, read, ro, rw } from "./fields.ts";
import type { Links } from "./links.ts";

const INTERFACE_TYPES = ["Physical", "Virtual", "Tunnel", "Unknown"] as const;
const ENDPOINTS = ["DATAPATH", "PHYSICAL", "VM", "GRE", "CAPWAP", "LOCALHOST", "TUNTAP", "UNKNOWN"] as const;

/** midonet-rest 6.9 */
export const interfaceFields = {
  hostId: ro.uuid,
  name: ro.text,
  mac: ro.textOrNull,
  mtu: ro.int,
  status: ro.int,
  type: ro.of(z.enum(INTERFACE_TYPES)),
  endpoint: ro.of(z.enum(ENDPOINTS)),
  portType: ro.textOrNull,
  addresses: ro.texts,
  uri: ro.uri,
} as const;
export const interfaceAnswer = answerOf(interfaceFields);
export type InterfaceDto = z.output<typeof interfaceAnswer>;

export const hostFields = {
  id: rw.id,
  name: rw.of(z.string(), read.text(null)),
  addresses: ro.texts,
  alive: ro.bool,
  hostInterfaces: ro.of(z.array(interfaceAnswer)),
  floodingProxyWeight: rw.of(z.int(), read.int(null)),
  containerWeight: rw.of(z.int(), read.int(null)),
  containerLimit: rw.of(z.int(), read.int(null)),
  enforceContainerLimit: rw.of(z.boolean(), read.bool(null)),
  uri: ro.uri,
  interfaces: ro.uri,
  ports: ro.uri,
} as const;
export const hostBody = bodyOf(hostFields);
export const hostAnswer = answerOf(hostFields);
export type HostDto = z.output<typeof hostAnswer>;

/** What an agent says of one interface of its host: the fields of the answer, but for host and URI. */
export type HostInterface = Readonly<Omit<InterfaceDto, "hostId" | "uri" | "addresses" | "type" | "endpoint">> & {
  readonly type: string;
  readonly endpoint: string;
  readonly addresses: readonly string[];
};

export function interfaceToDto(hostId: string, i: HostInterface, links: Links): InterfaceDto {
  return {
    ...i,
    hostId,
    addresses: [...i.addresses],
    type: INTERFACE_TYPES.find((t) => t === i.type) ?? "Unknown",
    endpoint: ENDPOINTS.find((e) => e === i.endpoint) ?? "UNKNOWN",
    uri: links.to("hosts", hostId, "interfaces", i.name),
  };
}

export function hostToDto(
  h: HostRecord,
  state: { readonly alive: boolean; readonly interfaces: readonly HostInterface[] },
  links: Links,
): HostDto {
  return {
    id: h.id,
    name: h.name,
    addresses: state.interfaces.flatMap((i) => i.addresses),
    alive: state.alive,
    hostInterfaces: state.interfaces.map((i) => interfaceToDto(h.id, i, links)),
    floodingProxyWeight: h.floodingProxyWeight ?? HOST_WEIGHTS.floodingProxyWeight,
    containerWeight: h.containerWeight ?? HOST_WEIGHTS.containerWeight,
    containerLimit: h.containerLimit ?? HOST_WEIGHTS.containerLimit,
    enforceContainerLimit: h.enforceContainerLimit ?? HOST_WEIGHTS.enforceContainerLimit,
    uri: links.to("hosts", h.id),
    interfaces: links.to("hosts", h.id, "interfaces"),
    ports: links.to("hosts", h.id, "ports"),
  };
}

type HostBody = z.output<typeof hostBody>;

function weightsFrom(body: HostBody): HostWeights {
  return {
    floodingProxyWeight: body.floodingProxyWeight ?? undefined,
    containerWeight: body.containerWeight ?? undefined,
    containerLimit: body.containerLimit ?? undefined,
    enforceContainerLimit: body.enforceContainerLimit ?? undefined,
  };
}

/** @throws MidotraceError VALIDATION */
export function hostFromBody(body: HostBody, id: string): HostRecord {
  const record = { ...weightsFrom(body), id: id as HostId, name: body.name } as HostRecord;
  const violations = new Violations();
  validateHost(record, violations);
  violations.throwIfAny("host");
  return record;
}

/**
 * The weights are all that a PUT changes. The first of them has to be there, as in every MidoNet; clients of 2015.06 do
 * not know the others.
 * @throws MidotraceError VALIDATION
 */
export function hostWeightsFromBody(body: HostBody, stored: HostRecord): HostWeights {
  const weights = weightsFrom(body);
  const violations = new Violations();
  if (weights.floodingProxyWeight === undefined) violations.add("floodingProxyWeight", "may not be null");
  validateHost({ id: stored.id, name: stored.name, ...weights }, violations);
  violations.throwIfAny("host");
  return weights;
}

export const bindingFields = {
  portId: rw.uuidOrNull,
  hostId: ro.uuid,
  interfaceName: rw.text(null),
  uri: ro.uri,
  host: ro.uri,
  port: ro.uri,
} as const;
export const bindingBody = bodyOf(bindingFields);
export const bindingAnswer = answerOf(bindingFields);
export type BindingDto = z.output<typeof bindingAnswer>;

export interface BindingRecord {
  readonly hostId: HostId;
  readonly portId: PortId;
  readonly interfaceName: string;
}

export function bindingToDto(b: BindingRecord, links: Links): BindingDto {
  return {
    portId: b.portId,
    hostId: b.hostId,
    interfaceName: b.interfaceName,
    uri: links.to("hosts", b.hostId, "ports", b.portId),
    host: links.to("hosts", b.hostId),
    port: links.to("ports", b.portId),
  };
}

/** @throws MidotraceError VALIDATION */
export function bindingFromBody(body: z.output<typeof bindingBody>, hostId: string): BindingRecord {
  const violations = new Violations();
  const { portId, interfaceName } = body;
  if (portId === null) violations.add("portId", "may not be null");
  if (interfaceName === null || interfaceName === "") violations.add("interfaceName", "may not be empty");
  violations.throwIfAny("binding");
  return { hostId: hostId as HostId, portId: (portId ?? "") as PortId, interfaceName: interfaceName ?? "" };
}

const ZONE_TYPES = ["gre", "vxlan", "vtep"] as const;

/** midonet-rest 6.10 */
export const tunnelZoneFields = {
  id: rw.id,
  name: rw.text(null),
  type: rw.oneOf(ZONE_TYPES),
  uri: ro.uri,
  hosts: ro.uri,
} as const;
export const tunnelZoneBody = bodyOf(tunnelZoneFields);
export const tunnelZoneAnswer = answerOf(tunnelZoneFields);
export type TunnelZoneDto = z.output<typeof tunnelZoneAnswer>;

export function tunnelZoneToDto({ id, name, type }: TunnelZoneRecord, links: Links): TunnelZoneDto {
  return { id, name, type, uri: links.to("tunnel_zones", id), hosts: links.to("tunnel_zones", id, "hosts") };
}

/** @throws MidotraceError VALIDATION */
export function tunnelZoneFromBody(body: z.output<typeof tunnelZoneBody>, id: string): TunnelZoneRecord {
  const record = { id: id as TunnelZoneId, name: body.name, type: body.type } as TunnelZoneRecord;
  const violations = new Violations();
  validateTunnelZone(record, violations);
  violations.throwIfAny("tunnel zone");
  return record;
}

export const zoneMemberFields = {
  tunnelZoneId: ro.uuid,
  hostId: rw.uuidOrNull,
  ipAddress: rw.text(null),
  uri: ro.uri,
  host: ro.uri,
  tunnelZone: ro.uri,
} as const;
export const zoneMemberBody = bodyOf(zoneMemberFields);
export const zoneMemberAnswer = answerOf(zoneMemberFields);
export type ZoneMemberDto = z.output<typeof zoneMemberAnswer>;

export function zoneMemberToDto({ tunnelZoneId, hostId, ipAddress }: TunnelZoneMember, links: Links): ZoneMemberDto {
  return {
    tunnelZoneId,
    hostId,
    ipAddress,
    uri: links.to("tunnel_zones", tunnelZoneId, "hosts", hostId),
    host: links.to("hosts", hostId),
    tunnelZone: links.to("tunnel_zones", tunnelZoneId),
  };
}

/** @throws MidotraceError VALIDATION */
export function zoneMemberFromBody(body: z.output<typeof zoneMemberBody>, zoneId: string): TunnelZoneMember {
  const record = { ...body, tunnelZoneId: zoneId as TunnelZoneId } as TunnelZoneMember;
  const violations = new Violations();
  validateTunnelZoneMember(record, violations);
  violations.throwIfAny("tunnel zone member");
  return record;
}
