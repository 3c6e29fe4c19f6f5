import { type IpAddrGroupId, type PortGroupId, type TenantId, Violations } from "#core/base";
import { parseIpv4 } from "#core/packets";
import {
  type IpAddrGroupRecord,
  type PortGroupRecord,
  validateIpAddrGroup,
  validateIpAddrGroupAddr,
  validatePortGroup,
} from "#core/topology";
import type * as z from "zod";
import { answerOf, bodyOf, ro, rw } from "./fields.ts";
import type { Links } from "./links.ts";

/** midonet-rest 6.11 */
export const portGroupFields = {
  id: rw.id,
  tenantId: rw.text(""),
  name: rw.text(""),
  stateful: rw.bool(false),
  uri: ro.uri,
  ports: ro.uri,
} as const;
export const portGroupBody = bodyOf(portGroupFields);
export const portGroupAnswer = answerOf(portGroupFields);
export type PortGroupDto = z.output<typeof portGroupAnswer>;

export function portGroupToDto({ id, tenantId, name, stateful }: PortGroupRecord, links: Links): PortGroupDto {
  const uri = links.to("port_groups", id);
  return { id, tenantId, name, stateful, uri, ports: `${uri}/ports` };
}

/** @throws MidotraceError VALIDATION */
export function portGroupFromBody(body: z.output<typeof portGroupBody>, id: string): PortGroupRecord {
  const record: PortGroupRecord = { ...body, id: id as PortGroupId, tenantId: body.tenantId as TenantId };
  const violations = new Violations();
  validatePortGroup(record, violations);
  violations.throwIfAny("port group");
  return record;
}

export const portGroupPortFields = {
  portGroupId: ro.uuid,
  portId: rw.uuidOrNull,
  uri: ro.uri,
  port: ro.uri,
  portGroup: ro.uri,
} as const;
export const portGroupPortBody = bodyOf(portGroupPortFields);
export const portGroupPortAnswer = answerOf(portGroupPortFields);
export type PortGroupPortDto = z.output<typeof portGroupPortAnswer>;

export function portGroupPortToDto(portGroupId: string, portId: string, links: Links): PortGroupPortDto {
  return {
    portGroupId,
    portId,
    uri: links.to("port_groups", portGroupId, "ports", portId),
    port: links.to("ports", portId),
    portGroup: links.to("port_groups", portGroupId),
  };
}

/** @throws MidotraceError VALIDATION */
export function portGroupPortFromBody(body: z.output<typeof portGroupPortBody>): string {
  const violations = new Violations();
  if (body.portId === null) violations.add("portId", "may not be null");
  violations.throwIfAny("member");
  return body.portId ?? "";
}

/** midonet-rest 6.12 */
export const ipAddrGroupFields = {
  id: rw.id,
  name: rw.text(null),
  uri: ro.uri,
  addrs: ro.uri,
  ipAddrPorts: ro.texts,
  inboundChainId: ro.nothing,
  outboundChainId: ro.nothing,
  ruleIds: ro.uuids,
} as const;
export const ipAddrGroupBody = bodyOf(ipAddrGroupFields);
export const ipAddrGroupAnswer = answerOf(ipAddrGroupFields);
export type IpAddrGroupDto = z.output<typeof ipAddrGroupAnswer>;

export function ipAddrGroupToDto({ id, name }: IpAddrGroupRecord, links: Links): IpAddrGroupDto {
  const uri = links.to("ip_addr_groups", id);
  const unused = { ipAddrPorts: [], inboundChainId: null, outboundChainId: null, ruleIds: [] };
  return { id, name, uri, addrs: `${uri}/ip_addrs`, ...unused };
}

/** @throws MidotraceError VALIDATION */
export function ipAddrGroupFromBody(body: z.output<typeof ipAddrGroupBody>, id: string): IpAddrGroupRecord {
  const record = { id: id as IpAddrGroupId, name: body.name } as IpAddrGroupRecord;
  const violations = new Violations();
  validateIpAddrGroup(record, violations);
  violations.throwIfAny("ip address group");
  return record;
}

export const ipAddrFields = {
  addr: rw.text(null),
  version: rw.intOrNull,
  ipAddrGroupId: ro.uuid,
  uri: ro.uri,
  ipAddrGroup: ro.uri,
} as const;
export const ipAddrBody = bodyOf(ipAddrFields);
export const ipAddrAnswer = answerOf(ipAddrFields);
export type IpAddrDto = z.output<typeof ipAddrAnswer>;

const versionOf = (addr: string): 4 | 6 => (parseIpv4(addr) === null ? 6 : 4);

export function ipAddrToDto(groupId: string, addr: string, links: Links): IpAddrDto {
  const version = versionOf(addr);
  return {
    addr,
    version,
    ipAddrGroupId: groupId,
    uri: links.to("ip_addr_groups", groupId, "versions", version, "ip_addrs", addr),
    ipAddrGroup: links.to("ip_addr_groups", groupId),
  };
}

/** @returns the address as written. @throws MidotraceError VALIDATION */
export function ipAddrFromBody(body: z.output<typeof ipAddrBody>): string {
  const violations = new Violations();
  validateIpAddrGroupAddr(body.addr, violations);
  if (body.version === null) violations.add("version", "may not be null");
  else if (violations.list.length === 0 && body.version !== versionOf(body.addr ?? ""))
    violations.add("version", `must be ${versionOf(body.addr ?? "")} for this address, not ${body.version}`);
  violations.throwIfAny("ip address");
  return body.addr ?? "";
}
