import { isUuid, MidotraceError } from "#core/base";
import type { DeviceType } from "#core/topology";
import { type ApiClient, type Json, textOf } from "./api-client.ts";

export interface Resolved {
  readonly id: string;
  /** "red-router", "red-web/red-1"; the id when it has no name. */
  readonly name: string;
}

const COLLECTION = { BRIDGE: "/bridges", ROUTER: "/routers" } as const;

/**
 * What a user calls a device: its id, its name, and for a port "device/port" (or its own name alone).
 * @throws MidotraceError NOT_FOUND when there is none; CONFLICT, listing the candidates, when there are several.
 */
export async function resolveDevice(client: ApiClient, type: DeviceType, ref: string): Promise<Resolved> {
  const id = ref.toLowerCase();
  if (type === "PORT") return isUuid(id) ? await portById(client, id) : portByName(client, ref);
  if (isUuid(id)) {
    const device = await client.object(`${COLLECTION[type]}/${id}`);
    return { id, name: textOf(device, "name") || id };
  }
  const devices = await client.list(COLLECTION[type]);
  return only(
    devices.filter((d) => textOf(d, "name") === ref).map(resolved),
    kindText(type),
    ref,
    devices.map((d) => textOf(d, "name")),
  );
}

/** An id or a name of a trace request. @throws as `resolveDevice`. */
export async function resolveTrace(client: ApiClient, ref: string): Promise<Json> {
  if (isUuid(ref.toLowerCase())) return client.object(`/traces/${ref.toLowerCase()}`);
  const traces = await client.list("/traces");
  const found = traces.filter((t) => textOf(t, "name") === ref);
  const { id } = only(
    found.map(resolved),
    "trace request",
    ref,
    traces.map((t) => textOf(t, "name")),
  );
  return found.find((t) => textOf(t, "id") === id) ?? {};
}

/** Names of all ports as "device/port". */
export async function portNames(client: ApiClient): Promise<ReadonlyMap<string, Resolved>> {
  const [ports, bridges, routers] = await Promise.all([
    client.list("/ports"),
    client.list("/bridges"),
    client.list("/routers"),
  ]);
  const devices = new Map([...bridges, ...routers].map((d) => [textOf(d, "id"), textOf(d, "name")]));
  return new Map(
    ports.map((p) => {
      const device = devices.get(textOf(p, "deviceId")) || textOf(p, "deviceId");
      return [textOf(p, "id"), { id: textOf(p, "id"), name: `${device}/${textOf(p, "name") || textOf(p, "id")}` }];
    }),
  );
}

async function portById(client: ApiClient, id: string): Promise<Resolved> {
  const found = (await portNames(client)).get(id);
  if (found === undefined) throw new MidotraceError("NOT_FOUND", `there is no port ${id}`);
  return found;
}

async function portByName(client: ApiClient, ref: string): Promise<Resolved> {
  const ports = [...(await portNames(client)).values()];
  const found = ports.filter((p) => p.name === ref || p.name.slice(p.name.indexOf("/") + 1) === ref);
  const exact = found.filter((p) => p.name === ref);
  return only(
    exact.length > 0 ? exact : found,
    "port",
    ref,
    ports.map((p) => p.name),
  );
}

function only(found: readonly Resolved[], kind: string, ref: string, names: readonly string[]): Resolved {
  const [first] = found;
  if (first === undefined) {
    const known = [...new Set(names)].filter((n) => n !== "").sort();
    const listed = known.length === 0 ? "" : `; there ${known.length === 1 ? "is" : "are"} ${shorten(known)}`;
    throw new MidotraceError("NOT_FOUND", `there is no ${kind} ${ref}${listed}`);
  }
  if (found.length === 1) return first;
  const candidates = found.map((f) => `${f.name} (${f.id})`).join(", ");
  throw new MidotraceError(
    "CONFLICT",
    `${ref} is the name of ${found.length} ${kind}s, name one by its id: ${candidates}`,
  );
}

function shorten(names: readonly string[]): string {
  const shown = names.slice(0, 12).join(", ");
  return names.length > 12 ? `${shown} and ${names.length - 12} more` : shown;
}

function resolved(object: Json): Resolved {
  return { id: textOf(object, "id"), name: textOf(object, "name") || textOf(object, "id") };
}

function kindText(type: DeviceType): string {
  return type.toLowerCase();
}
