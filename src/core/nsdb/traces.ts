/** Trace requests inside a transaction. */
import type { RuleId, TraceRequestId } from "#core/base";
import { type Condition, type DeviceType, LIMIT_MAX, type TraceRequestRecord } from "#core/topology";
import { type Device, findDevice } from "./filters.ts";
import { RULE, TRACE } from "./kinds.ts";
import {
  broken,
  type Ctx,
  EMPTY,
  erase,
  find,
  findAll,
  findMany,
  insert,
  need,
  notFound,
  patched,
  put,
  validate,
} from "./objects.ts";
import { deviceTracesPath } from "./paths.ts";
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
}

const NOUN: Readonly<Record<DeviceType, string>> = { BRIDGE: "bridge", ROUTER: "router", PORT: "port" };

async function needDevice(c: Ctx, type: DeviceType, id: string): Promise<Device> {
  const device = await findDevice(c, type, id);
  if (device === null) throw notFound(NOUN[type], id);
  return device;
}

/** @throws MidotraceError NOT_FOUND when there is no such device of that type; ALREADY_EXISTS; VALIDATION. */
export async function createTrace(c: Ctx, input: TraceInput): Promise<TraceRequestRecord> {
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
  c.tx.create(`${deviceTracesPath(request.deviceType, request.deviceId)}/${request.id}`, EMPTY);
  return input.enabled === true ? arm(c, request, device, c.random.uuid() as RuleId) : request;
}

/** Enabling an enabled request changes nothing: its rule id stays, and so does what the limit has counted. @throws MidotraceError NOT_FOUND */
export async function enableTrace(c: Ctx, id: TraceRequestId): Promise<TraceRequestRecord> {
  const request = await need(c, TRACE, id);
  if (request.enabledRule !== null) return request;
  const device = await needDevice(c, request.deviceType, request.deviceId);
  return arm(c, request, device, c.random.uuid() as RuleId);
}

/** @throws MidotraceError NOT_FOUND */
export async function disableTrace(c: Ctx, id: TraceRequestId): Promise<TraceRequestRecord> {
  return disarm(c, await need(c, TRACE, id));
}

/** @throws MidotraceError NOT_FOUND */
export async function deleteTrace(c: Ctx, id: TraceRequestId): Promise<void> {
  const request = await disableTrace(c, id);
  await c.tx.delete(`${deviceTracesPath(request.deviceType, request.deviceId)}/${id}`);
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
    await needDevice(c, request.deviceType, request.deviceId);
    await c.tx.delete(`${deviceTracesPath(before.deviceType, before.deviceId)}/${id}`);
    c.tx.create(`${deviceTracesPath(request.deviceType, request.deviceId)}/${id}`, EMPTY);
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

/** All requests, oldest first. */
export async function listTraces(c: Ctx, filter: TraceFilter = {}): Promise<TraceRequestRecord[]> {
  const found: TraceRequestRecord[] = [];
  for (const request of await findAll(c, TRACE)) {
    if (filter.deviceId !== undefined && request.deviceId !== filter.deviceId) continue;
    if (filter.tenantId !== undefined && (await traceTenant(c, request)) !== filter.tenantId) continue;
    found.push(request);
  }
  return found.sort((a, b) => a.creationTimestampMs - b.creationTimestampMs || (a.id < b.id ? -1 : 1));
}

/** Owner of the device of a request; null when the device is gone. */
export async function traceTenant(c: Ctx, request: TraceRequestRecord): Promise<string | null> {
  const device = await findDevice(c, request.deviceType, request.deviceId);
  return device === null ? null : tenantOf(c, device);
}
