/** Routes inside a transaction. */
import type { PortId, RouteId, RouterId } from "#core/base";
import type { RouteRecord, RouterPortRecord } from "#core/topology";
import { PORT, ROUTE, ROUTER } from "./kinds.ts";
import { type Ctx, EMPTY, erase, find, findAll, findMany, insert, invalid, need, patched, change } from "./objects.ts";
import { portRoutesPath, routerRoutesPath } from "./paths.ts";

export type RouteInput = Omit<RouteRecord, "id" | "routerId"> & { readonly id?: RouteId | undefined };

/**
 * @throws MidotraceError NOT_FOUND for the router; ALREADY_EXISTS; VALIDATION when `nextHopPort` is no port of it, or is
 *   missing where the type needs one.
 */
export async function createRoute(c: Ctx, router: RouterId, input: RouteInput): Promise<RouteRecord> {
  await need(c, ROUTER, router);
  const id = input.id ?? (c.random.uuid() as RouteId);
  const record: RouteRecord = { ...input, attributes: input.attributes ?? null, id, routerId: router };
  const port = record.nextHopPort === null ? null : await find(c, PORT, record.nextHopPort);
  if (record.nextHopPort !== null && port?.deviceId !== router)
    throw invalid("route", "nextHopPort", `must be a port of router ${router}`);
  if (port === null && (record.type === "Normal" || record.type === "Local"))
    throw invalid("route", "nextHopPort", `a route of type ${record.type} needs one`);
  await addRoute(c, record);
  return record;
}

async function addRoute(c: Ctx, record: RouteRecord): Promise<void> {
  await insert(c, ROUTE, record);
  c.tx.create(`${routerRoutesPath(record.routerId)}/${record.id}`, EMPTY);
  if (record.nextHopPort !== null) c.tx.create(`${portRoutesPath(record.nextHopPort)}/${record.id}`, EMPTY);
}

/** @throws MidotraceError NOT_FOUND */
export async function deleteRoute(c: Ctx, id: RouteId): Promise<void> {
  const record = await need(c, ROUTE, id);
  await c.tx.delete(`${routerRoutesPath(record.routerId)}/${id}`);
  if (record.nextHopPort !== null) await c.tx.delete(`${portRoutesPath(record.nextHopPort)}/${id}`);
  await erase(c, ROUTE, id);
}

/** Another weight for a route. @throws MidotraceError NOT_FOUND */
export async function updateRoute(
  c: Ctx,
  id: RouteId,
  patch: { readonly weight?: number | undefined },
): Promise<RouteRecord> {
  const record = patched(await need(c, ROUTE, id), patch);
  change(c, ROUTE, record);
  return record;
}

/** Of one router, or all. @throws MidotraceError NOT_FOUND for the router. */
export async function listRoutes(c: Ctx, router?: RouterId): Promise<RouteRecord[]> {
  if (router === undefined) return findAll(c, ROUTE);
  await need(c, ROUTER, router);
  return findMany(c, ROUTE, await c.tx.children(routerRoutesPath(router)));
}

export async function deleteRoutesOf(c: Ctx, directory: string): Promise<void> {
  for (const id of await c.tx.children(directory)) await deleteRoute(c, id as RouteId);
}

/**
 * The route by which a router takes packets to a port's own address is made, moved and removed with the address; other
 * routes of that type are the user's, and one that the user deleted stays so.
 * @param before the port's address until now.
 */
export async function setLocalRoute(c: Ctx, port: RouterPortRecord, before: string | null): Promise<void> {
  if (port.portAddress === before) return;
  for (const route of before === null ? [] : await routesThrough(c, port.id)) {
    if (route.type === "Local" && route.dstNetworkAddr === before && route.dstNetworkLength === 32)
      await deleteRoute(c, route.id);
  }
  if (port.portAddress === null) return;
  await addRoute(c, {
    id: c.random.uuid() as RouteId,
    routerId: port.deviceId,
    type: "Local",
    srcNetworkAddr: "0.0.0.0",
    srcNetworkLength: 0,
    dstNetworkAddr: port.portAddress,
    dstNetworkLength: 32,
    nextHopPort: port.id,
    nextHopGateway: null,
    weight: 0,
    attributes: null,
  });
}

async function routesThrough(c: Ctx, port: PortId): Promise<RouteRecord[]> {
  return findMany(c, ROUTE, await c.tx.children(portRoutesPath(port)));
}
