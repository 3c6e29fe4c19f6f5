/**
 * Which trace requests are on devices of which tenant, so that a tenant's list reads that tenant's requests and no others.
 * A node per request, in one transaction with whatever makes, moves or deletes the request, or changes whose the device is.
 *
 * A listing cannot be asserted (`Tx`). So that a change of a device's tenant never misses a request that is made meanwhile,
 * a new request touches the `traces` directory of the bridge or router it belongs to, and the change reads it.
 */
import type { ChainId, TenantId } from "#core/base";
import type { BridgeRecord, DeviceType, RouterRecord, TopologyRecords } from "#core/topology";
import type { Device } from "./filters.ts";
import { CHAIN, PORT } from "./kinds.ts";
import { type Ctx, EMPTY, find, findMany, put } from "./objects.ts";
import { chainAutoPath, devicePortsPath, deviceTracesPath, tenantPath, TENANTS, tenantTracesPath } from "./paths.ts";

/** @throws MidotraceError INTERNAL in a store whose index was not made. */
export async function indexTrace(c: Ctx, tenant: string, trace: string): Promise<void> {
  for (const directory of [tenantPath(tenant), tenantTracesPath(tenant)])
    if ((await c.tx.get(directory)) === null) c.tx.create(directory, EMPTY);
  c.tx.create(`${tenantTracesPath(tenant)}/${trace}`, EMPTY);
}

export async function unindexTrace(c: Ctx, tenant: string, trace: string): Promise<void> {
  await c.tx.delete(`${tenantTracesPath(tenant)}/${trace}`);
}

/** Ids, sorted. */
export function tracesOfTenant(c: Ctx, tenant: string): Promise<string[]> {
  return c.tx.children(tenantTracesPath(tenant));
}

/** To be called by whoever makes a request on the device. */
export async function touchOwner(c: Ctx, type: DeviceType, device: Device): Promise<void> {
  if (type !== "PORT") await c.tx.touch(deviceTracesPath(type, device.id));
  else if ("deviceId" in device)
    await c.tx.touch(deviceTracesPath(device.type === "Bridge" ? "BRIDGE" : "ROUTER", device.deviceId));
}

/** The device changes hands, and with it the requests on it and on its ports, and the chains that were made for them. */
export async function moveTenant(
  c: Ctx,
  type: "BRIDGE" | "ROUTER",
  before: BridgeRecord | RouterRecord,
  tenant: string,
): Promise<void> {
  if (before.tenantId === tenant) return;
  await c.tx.get(deviceTracesPath(type, before.id));
  const ports = await findMany(c, PORT, await c.tx.children(devicePortsPath(type, before.id)));
  for (const device of [before, ...ports]) await moveMadeChain(c, device.inboundFilterId, before.tenantId, tenant);
  const directories = [deviceTracesPath(type, before.id), ...ports.map(({ id }) => deviceTracesPath("PORT", id))];
  for (const directory of directories) {
    for (const trace of await c.tx.children(directory)) {
      await unindexTrace(c, before.tenantId, trace);
      await indexTrace(c, tenant, trace);
    }
  }
}

/** The chain that enabling made for a device is its owner's. */
async function moveMadeChain(c: Ctx, id: ChainId | null, from: string, tenant: string): Promise<void> {
  if (id === null || (await c.tx.get(chainAutoPath(id))) === null) return;
  const chain = await find(c, CHAIN, id);
  if (chain?.tenantId === from) put(c, CHAIN, { ...chain, tenantId: tenant as TenantId });
}

/** The nodes of the whole index, parents first: for a store or a document that has none yet. */
export function indexNodes(t: Pick<TopologyRecords, "bridges" | "routers" | "ports" | "traces">): string[] {
  const owners = new Map<string, string>([...t.bridges, ...t.routers].map((d) => [d.id, d.tenantId]));
  const ports = new Map<string, string>(t.ports.map((p) => [p.id, p.deviceId]));
  const paths = new Set<string>([TENANTS]);
  for (const { id, deviceId } of t.traces) {
    const tenant = owners.get(ports.get(deviceId) ?? deviceId);
    if (tenant === undefined) continue;
    for (const path of [tenantPath(tenant), tenantTracesPath(tenant), `${tenantTracesPath(tenant)}/${id}`])
      paths.add(path);
  }
  return [...paths];
}
