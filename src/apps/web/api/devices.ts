import type { TraceDeviceDto } from "#core/api-contract";
import { ask, isNotOffered } from "./client.ts";
import type { DeviceType } from "./resources.ts";

export interface Device {
  readonly type: DeviceType;
  readonly id: string;
  /** "red-web", "red-web/red-1"; the id where there is no name. */
  readonly name: string;
  /** Beside the name in a list: the tenant. */
  readonly note: string;
}

interface Named {
  readonly id: string;
  readonly name: string;
  readonly deviceId?: string;
}

const COLLECTION: Readonly<Record<DeviceType, string>> = { BRIDGE: "bridges", ROUTER: "routers", PORT: "ports" };

/**
 * The devices that the viewer may trace, by name. Where the server does not tell there are none: then the id has to be
 * typed.
 */
export async function listDevices(signal: AbortSignal): Promise<Device[]> {
  try {
    const found = await ask<readonly TraceDeviceDto[]>("/trace_devices", { signal });
    return found
      .map((d) => ({ type: d.deviceType, id: d.deviceId, name: d.name, note: d.tenantId }))
      .sort((a, b) => ORDER.compare(a.name, b.name));
  } catch (error) {
    if (isNotOffered(error)) return [];
    throw error;
  }
}

/** "red-2" stands before "red-10". */
const ORDER = new Intl.Collator("en", { numeric: true });

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
