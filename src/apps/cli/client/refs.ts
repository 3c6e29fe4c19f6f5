import { isUuid, MidotraceError, nearestWord } from "#core/base";
import type { DeviceType } from "#core/topology";
import { type ApiClient, type Json, textOf } from "./api-client.ts";
import { flowPage } from "./flow-text.ts";

export const TRACE = {
  name: "ID",
  description: "id or name of a trace request, or the beginning of its id",
  completes: "trace",
} as const;

export interface Resolved {
  readonly id: string;
  /** "red-router", "red-web/red-1"; the id when it has no name. */
  readonly name: string;
}

/**
 * What may be traced, of one type or of all, as tenants may ask, too: they may list no bridges, routers and ports, but these.
 * Ports are called "device/port".
 */
export async function devices(client: ApiClient, type?: DeviceType): Promise<readonly Resolved[]> {
  const all = await client.list("/trace_devices");
  return all
    .filter((d) => type === undefined || d["deviceType"] === type)
    .map((d) => ({ id: textOf(d, "deviceId"), name: textOf(d, "name") }));
}

/**
 * What a user calls a device: its id, its name, and for a port "device/port" (or its own name alone).
 * @throws MidotraceError NOT_FOUND when there is none; CONFLICT, listing the candidates, when there are several.
 */
export async function resolveDevice(client: ApiClient, type: DeviceType, ref: string): Promise<Resolved> {
  const all = await devices(client, type);
  const id = ref.toLowerCase();
  if (isUuid(id)) {
    const found = all.find((d) => d.id === id);
    if (found === undefined) throw new MidotraceError("NOT_FOUND", `there is no ${kindText(type)} ${id}`);
    return found;
  }
  return type === "PORT" ? portByName(all, ref) : named(all, kindText(type), ref);
}

/** An id or a name of a trace request. @throws as `resolveDevice`. */
export async function resolveTrace(client: ApiClient, ref: string): Promise<Json> {
  if (isUuid(ref.toLowerCase())) return client.object(`/traces/${ref.toLowerCase()}`);
  const traces = await client.list("/traces");
  const { id } = named(traces.map(resolved), "trace request", ref);
  return traces.find((t) => textOf(t, "id") === id) ?? {};
}

/** An id or a name of a chain, or the beginning of its id. @throws as `resolveDevice`. */
export async function resolveChain(client: ApiClient, ref: string): Promise<Resolved> {
  if (isUuid(ref.toLowerCase())) return { id: ref.toLowerCase(), name: ref };
  return named((await client.list("/chains")).map(resolved), "chain", ref);
}

/** Where the beginning of a flow trace's id is looked for: its newest flows. */
const NEWEST = 1_000;

/**
 * The id of a flow trace of a request: itself, the beginning of one of the newest, or `latest`.
 * @throws as `resolveDevice`.
 */
export async function resolveFlow(client: ApiClient, requestId: string, ref: string): Promise<string> {
  const id = ref.toLowerCase();
  if (isUuid(id)) return id;
  const flowsOf = async (limit: number): Promise<string[]> =>
    (await flowPage(client, `/traces/${requestId}/flows?limit=${limit}`)).flows.map((f) => f.flowTraceId as string);
  if (ref === "latest") {
    const [newest] = await flowsOf(1);
    if (newest === undefined) throw new MidotraceError("NOT_FOUND", "no flow has been traced yet");
    return newest;
  }
  const found = BEGINNING.test(id) ? (await flowsOf(NEWEST)).filter((f) => f.startsWith(id)) : [];
  if (found.length === 1) return found[0] as string;
  if (found.length > 1)
    throw new MidotraceError("CONFLICT", `${found.length} flow traces begin with ${ref}: ${shorten(found)}`);
  throw new MidotraceError(
    "NOT_FOUND",
    `no flow trace begins with ${ref} among the newest ${NEWEST}; midotrace trace flows lists them, and a whole id is found always`,
  );
}

/** Of an id: so short that it can be typed, so long that it is no name. */
const BEGINNING = /^[0-9a-f]{4}[0-9a-f-]{0,32}$/;

/** The one of that name; else, the one whose id begins so. */
function named(all: readonly Resolved[], kind: string, ref: string): Resolved {
  const exact = all.filter((r) => r.name === ref);
  const id = ref.toLowerCase();
  const found = exact.length > 0 || !BEGINNING.test(id) ? exact : all.filter((r) => r.id.startsWith(id));
  return only(
    found,
    kind,
    ref,
    all.map((r) => r.name),
  );
}

function portByName(ports: readonly Resolved[], ref: string): Resolved {
  const found = ports.filter((p) => p.name === ref || p.name.slice(p.name.indexOf("/") + 1) === ref);
  const exact = found.filter((p) => p.name === ref);
  if (found.length === 0) return named(ports, "port", ref);
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
    const guess = nearestWord(ref, known);
    const meant = guess === null ? "" : `, did you mean ${guess}?`;
    const listed = known.length === 0 ? "" : `; there ${known.length === 1 ? "is" : "are"} ${shorten(known)}`;
    throw new MidotraceError("NOT_FOUND", `there is no ${kind} ${ref}${meant || listed}`);
  }
  if (found.length === 1) return first;
  const candidates = found.map((f) => `${f.name} (${f.id})`).join(", ");
  throw new MidotraceError(
    "CONFLICT",
    found.some((f) => f.name === ref || f.name.endsWith(`/${ref}`))
      ? `${ref} is the name of ${found.length} ${kind}s, name one by its id: ${candidates}`
      : `the ids of ${found.length} ${kind}s begin with ${ref}: ${candidates}`,
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
