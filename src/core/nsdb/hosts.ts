/** Hosts and tunnel zones inside a transaction. */
import { type HostId, isUuid, MidotraceError, type TunnelZoneId, Violations } from "#core/base";
import {
  HOST_WEIGHTS,
  type HostRecord,
  type HostWeights,
  type TunnelZoneMember,
  type TunnelZoneRecord,
  validateTunnelZoneMember,
} from "#core/topology";
import { decode, encode } from "./codec.ts";
import { HOST, readMember, TUNNEL_ZONE } from "./kinds.ts";
import { bindingsOf } from "./links.ts";
import { type Ctx, EMPTY, erase, find, findAll, insert, need, notFound, patched, change } from "./objects.ts";
import { hostAlivePath, hostZonesPath, ZONE_NAMES_LOCK, zoneMembersPath } from "./paths.ts";

export interface HostPatch extends HostWeights {
  readonly name?: string | undefined;
}

export interface HostInput extends HostWeights {
  readonly id?: HostId | undefined;
  readonly name: string;
}

const weightsOf = (h: HostWeights): HostWeights => ({
  floodingProxyWeight: h.floodingProxyWeight,
  containerWeight: h.containerWeight,
  containerLimit: h.containerLimit,
  enforceContainerLimit: h.enforceContainerLimit,
});

/** Creates the host, or gives it that name. @throws MidotraceError VALIDATION. */
export async function registerHost(c: Ctx, id: HostId, name: string): Promise<HostRecord> {
  const before = await find(c, HOST, id);
  const record: HostRecord = { ...HOST_WEIGHTS, ...before, id, name };
  if (before === null) await insert(c, HOST, record);
  else change(c, HOST, record);
  return record;
}

/** @throws MidotraceError ALREADY_EXISTS; VALIDATION. */
export async function createHost(c: Ctx, input: HostInput): Promise<HostRecord> {
  const named = { ...HOST_WEIGHTS, id: input.id ?? (c.random.uuid() as HostId), name: input.name };
  const record: HostRecord = patched<HostRecord>(named, weightsOf(input));
  await insert(c, HOST, record);
  return record;
}

/** @throws MidotraceError NOT_FOUND */
export async function updateHost(c: Ctx, id: HostId, patch: HostPatch): Promise<HostRecord> {
  const record = patched(await need(c, HOST, id), { name: patch.name, ...weightsOf(patch) });
  change(c, HOST, record);
  return record;
}

/** With its memberships. @throws MidotraceError NOT_FOUND; FORBIDDEN when its agent runs or ports are bound to it. */
export async function deleteHost(c: Ctx, id: HostId): Promise<void> {
  await need(c, HOST, id);
  if ((await c.tx.get(hostAlivePath(id))) !== null) throw new MidotraceError("FORBIDDEN", `host ${id} is alive`);
  const bound = (await bindingsOf(c, id))[0];
  if (bound) throw new MidotraceError("FORBIDDEN", `port ${bound.portId} is bound to host ${id}`);
  for (const zone of await c.tx.children(hostZonesPath(id))) await removeMember(c, zone as TunnelZoneId, id);
  await erase(c, HOST, id);
}

export interface ZoneInput {
  readonly id?: TunnelZoneId | undefined;
  readonly name: string;
  readonly type: TunnelZoneRecord["type"];
}

/** Names are unique: whoever gives one touches the lock, so that two who give the same meet there. */
async function claimZoneName(c: Ctx, name: string, self: string): Promise<void> {
  await c.tx.touch(ZONE_NAMES_LOCK);
  const other = (await findAll(c, TUNNEL_ZONE)).find((z) => z.name === name && z.id !== self);
  if (other) throw new MidotraceError("ALREADY_EXISTS", `tunnel zone ${other.id} has the name ${name}`);
}

/** @throws MidotraceError ALREADY_EXISTS (id or name); VALIDATION. */
export async function createZone(c: Ctx, input: ZoneInput): Promise<TunnelZoneRecord> {
  const record = { id: input.id ?? (c.random.uuid() as TunnelZoneId), name: input.name, type: input.type };
  await claimZoneName(c, record.name, record.id);
  await insert(c, TUNNEL_ZONE, record);
  return record;
}

/** @throws MidotraceError NOT_FOUND; ALREADY_EXISTS (name). */
export async function updateZone(
  c: Ctx,
  id: TunnelZoneId,
  patch: Partial<Omit<ZoneInput, "id">>,
): Promise<TunnelZoneRecord> {
  const before = await need(c, TUNNEL_ZONE, id);
  const record = patched(before, { name: patch.name, type: patch.type });
  if (record.name !== before.name) await claimZoneName(c, record.name, id);
  change(c, TUNNEL_ZONE, record);
  return record;
}

/** With its memberships. @throws MidotraceError NOT_FOUND */
export async function deleteZone(c: Ctx, id: TunnelZoneId): Promise<void> {
  await need(c, TUNNEL_ZONE, id);
  for (const host of await c.tx.children(zoneMembersPath(id))) await removeMember(c, id, host as HostId);
  await erase(c, TUNNEL_ZONE, id);
}

/** @throws MidotraceError VALIDATION */
function checkMember(member: TunnelZoneMember): void {
  const violations = new Violations();
  validateTunnelZoneMember(member, violations);
  violations.throwIfAny("tunnel zone member");
}

const memberPath = (zone: TunnelZoneId, host: HostId): string => `${zoneMembersPath(zone)}/${host}`;

/** @throws MidotraceError NOT_FOUND for zone or host; ALREADY_EXISTS when it is a member. */
export async function addMember(c: Ctx, member: TunnelZoneMember): Promise<TunnelZoneMember> {
  const { tunnelZoneId: zone, hostId: host } = member;
  await need(c, TUNNEL_ZONE, zone);
  await need(c, HOST, host);
  const path = memberPath(zone, host);
  if ((await c.tx.get(path)) !== null)
    throw new MidotraceError("ALREADY_EXISTS", `host ${host} is a member of tunnel zone ${zone}`);
  checkMember(member);
  c.tx.create(path, encode(readMember, member, path));
  c.tx.create(`${hostZonesPath(host)}/${zone}`, EMPTY);
  return member;
}

/** Another address for a member. @throws MidotraceError NOT_FOUND */
export async function updateMember(c: Ctx, member: TunnelZoneMember): Promise<TunnelZoneMember> {
  const path = memberPath(member.tunnelZoneId, member.hostId);
  await getMember(c, member.tunnelZoneId, member.hostId);
  checkMember(member);
  c.tx.set(path, encode(readMember, member, path));
  return member;
}

/** @throws MidotraceError NOT_FOUND when the host is no member. */
export async function getMember(c: Ctx, zone: TunnelZoneId, host: HostId): Promise<TunnelZoneMember> {
  const path = memberPath(zone, host);
  const data = isUuid(zone) && isUuid(host) ? await c.tx.get(path) : null;
  if (data === null) throw notFound(`member of tunnel zone ${zone}:`, `host ${host}`);
  return decode(readMember, data, path);
}

/** @throws MidotraceError NOT_FOUND when the host is no member. */
export async function removeMember(c: Ctx, zone: TunnelZoneId, host: HostId): Promise<void> {
  await getMember(c, zone, host);
  await c.tx.delete(memberPath(zone, host));
  await c.tx.delete(`${hostZonesPath(host)}/${zone}`);
}

/** @throws MidotraceError NOT_FOUND for the zone. */
export async function listMembers(c: Ctx, zone: TunnelZoneId): Promise<TunnelZoneMember[]> {
  await need(c, TUNNEL_ZONE, zone);
  const hosts = await c.tx.children(zoneMembersPath(zone));
  const texts = await c.tx.getMany(hosts.map((h) => memberPath(zone, h as HostId)));
  return texts.flatMap((data, i) =>
    data === null ? [] : [decode(readMember, data, memberPath(zone, hosts[i] as HostId))],
  );
}
