/** Port groups and IP address groups inside a transaction. */
import { type IpAddrGroupId, isUuid, MidotraceError, type PortGroupId, type PortId, type TenantId } from "#core/base";
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from "#core/packets";
import type { IpAddrGroupRecord, PortGroupRecord } from "#core/topology";
import { IP_ADDR_GROUP, PORT, PORT_GROUP } from "./kinds.ts";
import {
  type Ctx,
  EMPTY,
  erase,
  findAll,
  findMany,
  insert,
  invalid,
  need,
  notFound,
  patched,
  change,
} from "./objects.ts";
import { groupAddressesPath, portGroupPortsPath, portGroupsOfPath } from "./paths.ts";

export interface PortGroupPatch {
  readonly tenantId?: TenantId | undefined;
  readonly name?: string | undefined;
  readonly stateful?: boolean | undefined;
}

export interface PortGroupInput extends PortGroupPatch {
  readonly id?: PortGroupId | undefined;
}

export interface PortGroupFilter {
  readonly tenantId?: string | undefined;
  readonly portId?: string | undefined;
}

/** @throws MidotraceError ALREADY_EXISTS; VALIDATION. */
export async function createPortGroup(c: Ctx, input: PortGroupInput): Promise<PortGroupRecord> {
  const record: PortGroupRecord = {
    id: input.id ?? (c.random.uuid() as PortGroupId),
    tenantId: input.tenantId ?? ("" as TenantId),
    name: input.name ?? "",
    stateful: input.stateful ?? false,
  };
  await insert(c, PORT_GROUP, record);
  return record;
}

/** @throws MidotraceError NOT_FOUND */
export async function updatePortGroup(c: Ctx, id: PortGroupId, patch: PortGroupPatch): Promise<PortGroupRecord> {
  const { tenantId, name, stateful } = patch;
  const record = patched(await need(c, PORT_GROUP, id), { tenantId, name, stateful });
  change(c, PORT_GROUP, record);
  return record;
}

/** With its memberships; conditions that name it stay, and match nothing. @throws MidotraceError NOT_FOUND */
export async function deletePortGroup(c: Ctx, id: PortGroupId): Promise<void> {
  await need(c, PORT_GROUP, id);
  for (const port of await c.tx.children(portGroupPortsPath(id))) await removePort(c, id, port as PortId);
  await erase(c, PORT_GROUP, id);
}

export async function listPortGroups(c: Ctx, filter: PortGroupFilter = {}): Promise<PortGroupRecord[]> {
  const { tenantId, portId } = filter;
  const all =
    portId === undefined
      ? await findAll(c, PORT_GROUP)
      : await findMany(c, PORT_GROUP, await c.tx.children(portGroupsOfPath(portId as PortId)));
  return tenantId === undefined ? all : all.filter((g) => g.tenantId === tenantId);
}

/** @throws MidotraceError NOT_FOUND for group or port; ALREADY_EXISTS when it is a member. */
export async function addPort(c: Ctx, group: PortGroupId, port: PortId): Promise<void> {
  await need(c, PORT_GROUP, group);
  await need(c, PORT, port);
  if (await isMember(c, group, port))
    throw new MidotraceError("ALREADY_EXISTS", `port ${port} is a member of port group ${group}`);
  c.tx.create(`${portGroupPortsPath(group)}/${port}`, EMPTY);
  c.tx.create(`${portGroupsOfPath(port)}/${group}`, EMPTY);
}

/** False also when there is no such group. */
export async function isMember(c: Ctx, group: PortGroupId, port: PortId): Promise<boolean> {
  if (!isUuid(group) || !isUuid(port)) return false;
  return (await c.tx.get(`${portGroupPortsPath(group)}/${port}`)) !== null;
}

/** @throws MidotraceError NOT_FOUND when the port is no member. */
export async function removePort(c: Ctx, group: PortGroupId, port: PortId): Promise<void> {
  if (!(await isMember(c, group, port))) throw notFound(`member of port group ${group}:`, `port ${port}`);
  await c.tx.delete(`${portGroupPortsPath(group)}/${port}`);
  await c.tx.delete(`${portGroupsOfPath(port)}/${group}`);
}

/** @throws MidotraceError NOT_FOUND for the group. */
export async function listGroupPorts(c: Ctx, group: PortGroupId): Promise<PortId[]> {
  await need(c, PORT_GROUP, group);
  return (await c.tx.children(portGroupPortsPath(group))) as PortId[];
}

/** @throws MidotraceError ALREADY_EXISTS; VALIDATION. */
export async function createIpAddrGroup(
  c: Ctx,
  input: { readonly id?: IpAddrGroupId | undefined; readonly name: string },
): Promise<IpAddrGroupRecord> {
  const record: IpAddrGroupRecord = { id: input.id ?? (c.random.uuid() as IpAddrGroupId), name: input.name };
  await insert(c, IP_ADDR_GROUP, record);
  return record;
}

/** @throws MidotraceError NOT_FOUND */
export async function updateIpAddrGroup(
  c: Ctx,
  id: IpAddrGroupId,
  patch: { readonly name?: string | undefined },
): Promise<IpAddrGroupRecord> {
  const record = patched(await need(c, IP_ADDR_GROUP, id), { name: patch.name });
  change(c, IP_ADDR_GROUP, record);
  return record;
}

/** With its addresses; conditions that name it stay, and match nothing. @throws MidotraceError NOT_FOUND */
export async function deleteIpAddrGroup(c: Ctx, id: IpAddrGroupId): Promise<void> {
  await need(c, IP_ADDR_GROUP, id);
  await erase(c, IP_ADDR_GROUP, id);
}

/** One text per address (RFC 5952 for IPv6), so that an address is in a group once. @throws MidotraceError VALIDATION */
export function canonicalAddress(text: string): string {
  const v4 = parseIpv4(text);
  if (v4 !== null) return formatIpv4(v4);
  const v6 = parseIpv6(text);
  if (v6 !== null) return formatIpv6(v6);
  throw invalid("ip address", "addr", `must be an IPv4 or IPv6 address, not ${text}`);
}

/** @returns the address as stored. @throws MidotraceError NOT_FOUND for the group; ALREADY_EXISTS; VALIDATION for the address. */
export async function addAddress(c: Ctx, group: IpAddrGroupId, address: string): Promise<string> {
  await need(c, IP_ADDR_GROUP, group);
  const addr = canonicalAddress(address);
  if (await hasAddress(c, group, addr))
    throw new MidotraceError("ALREADY_EXISTS", `ip address group ${group} has the address ${addr}`);
  c.tx.create(`${groupAddressesPath(group)}/${addr}`, EMPTY);
  return addr;
}

/** @throws MidotraceError VALIDATION for the address. */
export async function hasAddress(c: Ctx, group: IpAddrGroupId, address: string): Promise<boolean> {
  const addr = canonicalAddress(address);
  return isUuid(group) && (await c.tx.get(`${groupAddressesPath(group)}/${addr}`)) !== null;
}

/** An absent address is no error. @throws MidotraceError NOT_FOUND for the group; VALIDATION for the address. */
export async function removeAddress(c: Ctx, group: IpAddrGroupId, address: string): Promise<void> {
  await need(c, IP_ADDR_GROUP, group);
  await c.tx.delete(`${groupAddressesPath(group)}/${canonicalAddress(address)}`);
}

/** @throws MidotraceError NOT_FOUND for the group. */
export async function listAddresses(c: Ctx, group: IpAddrGroupId): Promise<string[]> {
  await need(c, IP_ADDR_GROUP, group);
  return c.tx.children(groupAddressesPath(group));
}
