/** Trace requests inside a transaction. */
import { isUuid, type RuleId, type TraceRequestId } from "#core/base";
import { type Condition, type DeviceType, LIMIT_MAX, type TraceRequestRecord } from "#core/topology";
import { type Device, findDevice } from "./filters.ts";
import { RULE, TRACE } from "./kinds.ts";
import {
  broken,
  type Ctx,
  EMPTY,
  erase,
  find,
  findMany,
  insert,
  need,
  notFound,
  patched,
  pathOf,
  put,
  validate,
} from "./objects.ts";
import { deviceTracesPath } from "./paths.ts";
import { needRoom, NO_QUOTA, type TraceQuota } from "./quota.ts";
import { SwitchedLately } from "./switched-lately.ts";
import { indexTrace, touchOwner, tracesOfTenant, unindexTrace } from "./tenant-index.ts";
import { arm, disarm, tenantOf } from "./trace-rules.ts";

export interface TraceInput {
  readonly id?: TraceRequestId | undefined;
  readonly name: string;
  readonly deviceType: DeviceType;
  readonly deviceId: string;
  readonly condition: Condition;
  readonly creationTimestampMs?: number | undefined;
  /** Default LIMIT_MAX. */
  readonly limit?: bigint | undefined;
  readonly enabled?: boolean | undefined;
}

export interface TracePatch {
  readonly name?: string | undefined;
  readonly deviceType?: DeviceType | undefined;
  readonly deviceId?: string | undefined;
  readonly condition?: Condition | undefined;
  readonly creationTimestampMs?: number | undefined;
  readonly limit?: bigint | undefined;
  readonly enabled?: boolean | undefined;
}

export interface TraceFilter {
  readonly deviceId?: string | undefined;
  /** Owner of the device (for a port: of its bridge or router). */
  readonly tenantId?: string | undefined;
  readonly enabled?: boolean | undefined;
}

/** A part of a list in the order of the ids. */
export interface TracePage {
  readonly traces: readonly TraceRequestRecord[];
  readonly more: boolean;
}

const NOUN: Readonly<Record<DeviceType, string>> = { BRIDGE: "bridge", ROUTER: "router", PORT: "port" };

async function needDevice(c: Ctx, type: DeviceType, id: string): Promise<Device> {
  const device = await findDevice(c, type, id);
  if (device === null) throw notFound(NOUN[type], id);
  return device;
}

/**
 * @param quota of the device's tenant; default: none.
 * @throws MidotraceError NOT_FOUND when there is no such device of that type; ALREADY_EXISTS; VALIDATION; LIMIT_EXCEEDED.
 */
export async function createTrace(
  c: Ctx,
  input: TraceInput,
  quota: TraceQuota = NO_QUOTA,
): Promise<TraceRequestRecord> {
  const request: TraceRequestRecord = {
    id: input.id ?? (c.random.uuid() as TraceRequestId),
    name: input.name,
    deviceType: input.deviceType,
    deviceId: input.deviceId,
    condition: input.condition,
    creationTimestampMs: input.creationTimestampMs ?? c.clock.nowMs(),
    limit: input.limit ?? LIMIT_MAX,
    enabledRule: null,
    enabledChain: null,
  };
  const device = await needDevice(c, request.deviceType, request.deviceId);
  await insert(c, TRACE, request);
  await place(c, request, device);
  const enabled = input.enabled === true ? await arm(c, request, device, c.random.uuid() as RuleId) : request;
  await needRoom(
    c,
    await tenantOf(c, device),
    enabled.enabledRule === null ? { ...quota, enabledTraces: null } : quota,
  );
  return enabled;
}

/** Into the indexes of its device and of the device's tenant. */
async function place(c: Ctx, { id, deviceType }: TraceRequestRecord, device: Device): Promise<void> {
  c.tx.create(`${deviceTracesPath(deviceType, device.id)}/${id}`, EMPTY);
  await indexTrace(c, await tenantOf(c, device), id);
  await touchOwner(c, deviceType, device);
}

async function displace(c: Ctx, { id, deviceType, deviceId }: TraceRequestRecord): Promise<void> {
  await c.tx.delete(`${deviceTracesPath(deviceType, deviceId)}/${id}`);
  await unindexTrace(c, await tenantOf(c, await needDevice(c, deviceType, deviceId)), id);
}

/**
 * Enabling an enabled request changes nothing: its rule id stays, and so does what the limit has counted.
 * @throws MidotraceError NOT_FOUND, LIMIT_EXCEEDED
 */
export async function enableTrace(
  c: Ctx,
  id: TraceRequestId,
  quota: TraceQuota = NO_QUOTA,
): Promise<TraceRequestRecord> {
  const request = await need(c, TRACE, id);
  if (request.enabledRule !== null) return request;
  const device = await needDevice(c, request.deviceType, request.deviceId);
  const enabled = await arm(c, request, device, c.random.uuid() as RuleId);
  await needRoom(c, await tenantOf(c, device), { ...quota, traces: null });
  return enabled;
}

/**
 * Enables or disables a request, as its present state makes the caller decide; undefined: it stays as it is.
 * @param lately what others of the kind have asked for: asked for at once, with the request.
 * @throws MidotraceError NOT_FOUND, LIMIT_EXCEEDED, and what `decide` throws.
 */
export async function switchTrace(
  c: Ctx,
  id: TraceRequestId,
  decide: (stored: TraceRequestRecord) => boolean | undefined,
  quota: TraceQuota = NO_QUOTA,
  lately = new SwitchedLately(),
): Promise<void> {
  if (isUuid(id)) await c.tx.peekMany([pathOf(TRACE, id), ...lately.paths()]);
  const stored = await need(c, TRACE, id);
  const enabled = decide(stored);
  if (enabled === undefined) return;
  const { enabledChain } = enabled ? await enableTrace(c, id, quota) : await disableTrace(c, id);
  const chain = enabledChain ?? stored.enabledChain;
  if (chain !== null) lately.note(stored.deviceType, stored.deviceId, chain);
}

/** @throws MidotraceError NOT_FOUND */
export async function disableTrace(c: Ctx, id: TraceRequestId): Promise<TraceRequestRecord> {
  return disarm(c, await need(c, TRACE, id));
}

/** @throws MidotraceError NOT_FOUND */
export async function deleteTrace(c: Ctx, id: TraceRequestId): Promise<void> {
  const request = await disableTrace(c, id);
  await displace(c, request);
  await erase(c, TRACE, id);
}

/**
 * Changes whatever the patch names. The rule of an enabled request follows its condition and limit, and moves with it to
 * another device, keeping its id.
 * @throws MidotraceError NOT_FOUND for the request or the new device; VALIDATION.
 */
export async function updateTrace(c: Ctx, id: TraceRequestId, patch: TracePatch): Promise<TraceRequestRecord> {
  const before = await need(c, TRACE, id);
  const { enabled, ...fields } = patch;
  let request: TraceRequestRecord = patched(before, fields);
  validate(TRACE, request);
  const moves = request.deviceType !== before.deviceType || request.deviceId !== before.deviceId;
  if (moves) {
    const to = await needDevice(c, request.deviceType, request.deviceId);
    await displace(c, before);
    await place(c, request, to);
    await disarm(c, before);
    request = { ...request, enabledRule: null, enabledChain: null };
    put(c, TRACE, request);
    if (before.enabledRule !== null && enabled !== false) {
      const device = await needDevice(c, request.deviceType, request.deviceId);
      request = await arm(c, request, device, before.enabledRule);
    }
  } else {
    put(c, TRACE, request);
    if (request.enabledRule !== null) {
      const rule = await find(c, RULE, request.enabledRule);
      if (rule?.type !== "trace")
        throw broken(`trace request ${id} names ${request.enabledRule}, which is no trace rule`);
      put(c, RULE, { ...rule, condition: request.condition, limit: request.limit });
    }
  }
  if (enabled === undefined) return request;
  return enabled ? enableTrace(c, id) : disableTrace(c, id);
}

/** The requests on a device, from its own index. */
export async function tracesOn(c: Ctx, type: DeviceType, id: string): Promise<TraceRequestRecord[]> {
  return findMany(c, TRACE, await c.tx.children(deviceTracesPath(type, id)));
}

/** Deletes every request on a device that is about to be deleted. */
export async function deleteTracesOn(c: Ctx, type: DeviceType, id: string): Promise<void> {
  for (const request of await tracesOn(c, type, id)) await deleteTrace(c, request.id);
}

/** Ids of the requests that may fit, sorted: of a tenant or a device only theirs are looked at. */
async function candidates(c: Ctx, { tenantId, deviceId }: TraceFilter): Promise<string[]> {
  if (deviceId === undefined)
    return tenantId === undefined ? c.tx.children(TRACE.directory) : tracesOfTenant(c, tenantId);
  if (!isUuid(deviceId)) return [];
  const types = ["BRIDGE", "ROUTER", "PORT"] as const;
  const lists = await Promise.all(types.map((type) => c.tx.children(deviceTracesPath(type, deviceId))));
  const ids = lists.flat();
  if (tenantId === undefined) return ids;
  const own = new Set(await tracesOfTenant(c, tenantId));
  return ids.filter((id) => own.has(id));
}

const fits = (r: TraceRequestRecord, { enabled }: TraceFilter): boolean =>
  enabled === undefined || enabled === (r.enabledRule !== null);

/** All requests, oldest first. */
export async function listTraces(c: Ctx, filter: TraceFilter = {}): Promise<TraceRequestRecord[]> {
  const found = await findMany(c, TRACE, await candidates(c, filter));
  return found
    .filter((r) => fits(r, filter))
    .sort((a, b) => a.creationTimestampMs - b.creationTimestampMs || (a.id < b.id ? -1 : 1));
}

/**
 * At most `limit` requests in the order of their ids, those after the id `marker`. Reads no more than it gives, and those it
 * passes over because of `enabled`.
 */
export async function pageTraces(
  c: Ctx,
  filter: TraceFilter,
  page: { readonly limit: number; readonly marker?: string | undefined },
): Promise<TracePage> {
  const { limit, marker } = page;
  const ids = (await candidates(c, filter)).filter((id) => marker === undefined || id > marker);
  const traces: TraceRequestRecord[] = [];
  for (let at = 0; at < ids.length && traces.length <= limit; at += limit + 1) {
    const some = await findMany(c, TRACE, ids.slice(at, at + limit + 1));
    traces.push(...some.filter((r) => fits(r, filter)));
  }
  return { traces: traces.slice(0, limit), more: traces.length > limit };
}

/** Owner of the device of a request; null when the device is gone. */
export async function traceTenant(c: Ctx, request: TraceRequestRecord): Promise<string | null> {
  const device = await findDevice(c, request.deviceType, request.deviceId);
  return device === null ? null : tenantOf(c, device);
}
