/** Bridges and routers inside a transaction. */
import type { BridgeId, ChainId, RouterId, TenantId } from "#core/base";
import type { BridgeRecord, RouterRecord } from "#core/topology";
import { updateRefs } from "./filters.ts";
import { BRIDGE, type Kind, ROUTER } from "./kinds.ts";
import { type Ctx, erase, findAll, insert, need, patched, validate } from "./objects.ts";
import { deletePort, portsOf } from "./ports.ts";
import { deleteRoutesOf } from "./routes.ts";
import { routerRoutesPath } from "./paths.ts";
import { moveTenant } from "./tenant-index.ts";
import { rewriteDevice } from "./trace-rules.ts";
import { deleteTracesOn } from "./traces.ts";

export interface DevicePatch {
  readonly tenantId?: TenantId | undefined;
  readonly name?: string | undefined;
  readonly adminStateUp?: boolean | undefined;
  readonly inboundFilterId?: ChainId | null | undefined;
  readonly outboundFilterId?: ChainId | null | undefined;
}

export interface RouterPatch extends DevicePatch {
  readonly asNumber?: number | undefined;
}

export interface RouterInput extends RouterPatch {
  readonly id?: RouterId | undefined;
}

export interface DeviceInput<Id> extends DevicePatch {
  readonly id?: Id | undefined;
}

export interface DeviceFilter {
  readonly tenantId?: string | undefined;
}

const complete = <Id extends string>(c: Ctx, input: DeviceInput<Id>) => ({
  id: input.id ?? (c.random.uuid() as Id),
  tenantId: input.tenantId ?? ("" as TenantId),
  name: input.name ?? "",
  adminStateUp: input.adminStateUp ?? true,
  inboundFilterId: input.inboundFilterId ?? null,
  outboundFilterId: input.outboundFilterId ?? null,
});

/** The fields of a patch and nothing else: an object from elsewhere may have more. */
const known = (p: DevicePatch): DevicePatch => ({
  tenantId: p.tenantId,
  name: p.name,
  adminStateUp: p.adminStateUp,
  inboundFilterId: p.inboundFilterId,
  outboundFilterId: p.outboundFilterId,
});

/** @throws MidotraceError ALREADY_EXISTS; NOT_FOUND for a filter; VALIDATION. */
export async function createBridge(c: Ctx, input: DeviceInput<BridgeId>): Promise<BridgeRecord> {
  const record: BridgeRecord = complete(c, input);
  await insert(c, BRIDGE, record);
  await updateRefs(c, "BRIDGE", null, record);
  return record;
}

/** @throws MidotraceError ALREADY_EXISTS; NOT_FOUND for a filter; VALIDATION. */
export async function createRouter(c: Ctx, input: RouterInput): Promise<RouterRecord> {
  const record: RouterRecord = { ...complete(c, input), asNumber: input.asNumber ?? 0 };
  await insert(c, ROUTER, record);
  await updateRefs(c, "ROUTER", null, record);
  return record;
}

/** @throws MidotraceError NOT_FOUND for the bridge or a filter; VALIDATION. */
export async function updateBridge(c: Ctx, id: BridgeId, patch: DevicePatch): Promise<BridgeRecord> {
  const before = await need(c, BRIDGE, id);
  const asked = patched(before, known(patch));
  validate(BRIDGE, asked);
  await moveTenant(c, "BRIDGE", before, asked.tenantId);
  return (await rewriteDevice(c, "BRIDGE", before, asked)) as BridgeRecord;
}

/** @throws MidotraceError NOT_FOUND for the router or a filter; VALIDATION. */
export async function updateRouter(c: Ctx, id: RouterId, patch: RouterPatch): Promise<RouterRecord> {
  const before = await need(c, ROUTER, id);
  const asked: RouterRecord = patched(before, { ...known(patch), asNumber: patch.asNumber });
  validate(ROUTER, asked);
  await moveTenant(c, "ROUTER", before, asked.tenantId);
  return (await rewriteDevice(c, "ROUTER", before, asked)) as RouterRecord;
}

/** With its ports and trace requests. @throws MidotraceError NOT_FOUND */
export async function deleteBridge(c: Ctx, id: BridgeId): Promise<void> {
  await need(c, BRIDGE, id);
  await dropContents(c, "BRIDGE", id);
  await updateRefs(c, "BRIDGE", await need(c, BRIDGE, id), null);
  await erase(c, BRIDGE, id);
}

/** With its ports, routes and trace requests. @throws MidotraceError NOT_FOUND */
export async function deleteRouter(c: Ctx, id: RouterId): Promise<void> {
  await need(c, ROUTER, id);
  await dropContents(c, "ROUTER", id);
  await deleteRoutesOf(c, routerRoutesPath(id));
  await updateRefs(c, "ROUTER", await need(c, ROUTER, id), null);
  await erase(c, ROUTER, id);
}

async function dropContents(c: Ctx, type: "BRIDGE" | "ROUTER", id: string): Promise<void> {
  for (const port of await portsOf(c, id)) await deletePort(c, port.id);
  await deleteTracesOn(c, type, id);
}

export async function listDevices<T extends BridgeRecord | RouterRecord>(
  c: Ctx,
  kind: Kind<T>,
  filter: DeviceFilter = {},
): Promise<T[]> {
  const all = await findAll(c, kind);
  return filter.tenantId === undefined ? all : all.filter((r) => r.tenantId === filter.tenantId);
}
