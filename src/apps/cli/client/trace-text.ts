import type { Io } from "#apps/cli/options";
import { type DeviceType, LIMIT_MAX } from "#core/topology";
import { type ApiClient, type Json, textOf } from "./api-client.ts";
import { conditionText } from "./condition-text.ts";
import { isForbidden, portNames, resolveDevice } from "./refs.ts";
import { table } from "./table.ts";

/** Trace requests as a table, devices by name. */
export async function printRequests(client: ApiClient, requests: readonly Json[], io: Io): Promise<void> {
  if (requests.length === 0) {
    io.out("there are no trace requests\n");
    return;
  }
  const names = await deviceNames(client, requests);
  const rows = requests.map((r) => [
    textOf(r, "id"),
    textOf(r, "name") || "-",
    `${textOf(r, "deviceType").toLowerCase()} ${names.get(textOf(r, "deviceId")) ?? textOf(r, "deviceId")}`,
    r["enabled"] === true ? "enabled" : "disabled",
    limitText(r["limit"]),
    conditionText(r["condition"]),
  ]);
  io.out(table([["ID", "NAME", "DEVICE", "STATE", "LIMIT", "MATCH"], ...rows]));
}

/** From the lists of devices, or one by one where the lists are the administrator's. */
async function deviceNames(client: ApiClient, requests: readonly Json[]): Promise<ReadonlyMap<string, string>> {
  const types = new Set(requests.map((r) => textOf(r, "deviceType")));
  try {
    return await listedNames(client, types);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    const devices = new Map(requests.map((r) => [textOf(r, "deviceId"), textOf(r, "deviceType") as DeviceType]));
    const found = await Promise.all([...devices].map(([id, type]) => resolveDevice(client, type, id)));
    return new Map(found.map((d) => [d.id, d.name]));
  }
}

async function listedNames(client: ApiClient, types: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  const collect = async (path: string): Promise<void> => {
    for (const device of await client.list(path)) names.set(textOf(device, "id"), textOf(device, "name"));
  };
  if (types.has("BRIDGE")) await collect("/bridges");
  if (types.has("ROUTER")) await collect("/routers");
  if (types.has("PORT")) for (const [id, port] of await portNames(client)) names.set(id, port.name);
  return names;
}

/** Exact, and in a word where it means "no limit". */
function limitText(limit: unknown): string {
  if (typeof limit !== "bigint" && typeof limit !== "number") return "-";
  return BigInt(limit) === LIMIT_MAX ? `${LIMIT_MAX} (all)` : String(limit);
}
