import { ask, isNotOffered } from "./client.ts";
import type { DeviceType } from "./resources.ts";

export interface Device {
  readonly type: DeviceType;
  readonly id: string;
  /** "red-web", "red-web/red-1"; the id where there is no name. */
  readonly name: string;
  /** Beside the name in a list: the tenant, or where a port is bound. */
  readonly note: string;
}

interface Named {
  readonly id: string;
  readonly name: string;
  readonly tenantId?: string;
  readonly deviceId?: string;
  readonly interfaceName?: string | null;
  readonly hostId?: string | null;
}

const COLLECTION: Readonly<Record<DeviceType, string>> = { BRIDGE: "bridges", ROUTER: "routers", PORT: "ports" };

/**
 * The devices that the viewer may choose from, by name. A list that is not offered to the viewer is empty: then the id has
 * to be typed.
 */
export async function listDevices(signal: AbortSignal): Promise<Device[]> {
  const [bridges, routers, ports] = await Promise.all(
    (["BRIDGE", "ROUTER", "PORT"] as const).map((type) => listOf(type, signal)),
  );
  const owner = new Map([...(bridges ?? []), ...(routers ?? [])].map((d) => [d.id, d.name]));
  const devices: Device[] = [];
  for (const d of routers ?? []) devices.push({ type: "ROUTER", id: d.id, name: nameOf(d), note: d.tenantId ?? "" });
  for (const d of bridges ?? []) devices.push({ type: "BRIDGE", id: d.id, name: nameOf(d), note: d.tenantId ?? "" });
  for (const p of ports ?? []) {
    const of = owner.get(p.deviceId ?? "");
    const name = of === undefined ? nameOf(p) : `${of}/${nameOf(p)}`;
    devices.push({ type: "PORT", id: p.id, name, note: p.interfaceName ?? "" });
  }
  return devices.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}

async function listOf(type: DeviceType, signal: AbortSignal): Promise<readonly Named[]> {
  try {
    return await ask<readonly Named[]>(`/${COLLECTION[type]}`, { signal });
  } catch (error) {
    if (isNotOffered(error)) return [];
    throw error;
  }
}

/** The ways to the names that were asked for: they do not change while a page is open. */
const known = new Map<string, Promise<string>>();

/** @returns the device's name, its id where it has none or may not be seen. */
export function deviceName(type: DeviceType, id: string): Promise<string> {
  const key = `${type} ${id}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  const name = readName(type, id).catch(() => {
    known.delete(key);
    return id;
  });
  known.set(key, name);
  return name;
}

async function readName(type: DeviceType, id: string): Promise<string> {
  const device = await ask<Named & { readonly type?: "Bridge" | "Router" }>(`/${COLLECTION[type]}/${id}`);
  if (type !== "PORT" || device.deviceId === undefined) return nameOf(device);
  const of = await deviceName(device.type === "Router" ? "ROUTER" : "BRIDGE", device.deviceId);
  return `${of}/${nameOf(device)}`;
}

const nameOf = (d: Named): string => (d.name === "" ? d.id : d.name);
