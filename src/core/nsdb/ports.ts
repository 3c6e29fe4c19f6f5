/** Ports inside a transaction. */
import { type BridgeId, type ChainId, isUuid, type PortGroupId, type PortId, type RouterId } from "#core/base";
import { formatMac } from "#core/packets";
import type { BridgePortRecord, PortRecord, RouterPortRecord } from "#core/topology";
import { dropStaticMacsOf } from "./bridge-tables.ts";
import { updateRefs } from "./filters.ts";
import { BRIDGE, PORT, ROUTER } from "./kinds.ts";
import { unbindPort, unlinkPort } from "./links.ts";
import { type Ctx, EMPTY, erase, findAll, findMany, insert, need, patched, validate } from "./objects.ts";
import { devicePortsPath, portGroupPortsPath, portGroupsOfPath, portRoutesPath } from "./paths.ts";
import { deleteRoutesOf, setLocalRoute } from "./routes.ts";
import { rewriteDevice } from "./trace-rules.ts";
import { deleteTracesOn } from "./traces.ts";
import { allocateTunnelKey, freeTunnelKey } from "./tunnel-keys.ts";

interface CommonInput {
  readonly id?: PortId | undefined;
  readonly name?: string | undefined;
  readonly adminStateUp?: boolean | undefined;
  readonly inboundFilterId?: ChainId | null | undefined;
  readonly outboundFilterId?: ChainId | null | undefined;
  readonly vifId?: string | null | undefined;
}

export interface BridgePortInput extends CommonInput {
  readonly vlanId?: number | undefined;
}

export interface RouterPortInput extends CommonInput {
  /** Default: random, `ac:ca:ba:…`. */
  readonly portMac?: string | undefined;
  readonly portAddress?: string | null | undefined;
  readonly networkLength?: number | undefined;
}

/** What an update may change; the rest (device, tunnel key, binding, link) is kept. Fields of the other type are ignored. */
export type PortPatch = Omit<BridgePortInput & RouterPortInput, "id">;

const PORT_TYPE = { Bridge: "BRIDGE", Router: "ROUTER" } as const;
const indexPath = (port: PortRecord): string => `${devicePortsPath(PORT_TYPE[port.type], port.deviceId)}/${port.id}`;

const common = (c: Ctx, input: CommonInput) => ({
  id: input.id ?? (c.random.uuid() as PortId),
  name: input.name ?? "",
  adminStateUp: input.adminStateUp ?? true,
  inboundFilterId: input.inboundFilterId ?? null,
  outboundFilterId: input.outboundFilterId ?? null,
  vifId: input.vifId ?? null,
  hostId: null,
  interfaceName: null,
  peerId: null,
});

async function add(c: Ctx, record: PortRecord): Promise<void> {
  await insert<PortRecord>(c, PORT, record);
  c.tx.create(indexPath(record), EMPTY);
  await updateRefs(c, "PORT", null, record);
}

/** @throws MidotraceError NOT_FOUND for the bridge or a filter; ALREADY_EXISTS; VALIDATION; TUNNEL_KEYS_EXHAUSTED. */
export async function createBridgePort(c: Ctx, bridge: BridgeId, input: BridgePortInput): Promise<BridgePortRecord> {
  await need(c, BRIDGE, bridge);
  const draft = common(c, input);
  const tunnelKey = await allocateTunnelKey(c, draft.id);
  const record: BridgePortRecord = { ...draft, type: "Bridge", deviceId: bridge, tunnelKey, vlanId: input.vlanId ?? 0 };
  await add(c, record);
  return record;
}

/**
 * With the Local route to its address, when it has one.
 * @throws MidotraceError NOT_FOUND for the router or a filter; ALREADY_EXISTS; VALIDATION; TUNNEL_KEYS_EXHAUSTED.
 */
export async function createRouterPort(c: Ctx, router: RouterId, input: RouterPortInput): Promise<RouterPortRecord> {
  await need(c, ROUTER, router);
  const draft = common(c, input);
  const record: RouterPortRecord = {
    ...draft,
    type: "Router",
    deviceId: router,
    tunnelKey: await allocateTunnelKey(c, draft.id),
    portMac: input.portMac ?? formatMac(0xacca_ba00_0000 + Math.floor(c.random.next() * 0x100_0000)),
    portAddress: input.portAddress ?? null,
    networkLength: input.networkLength ?? 0,
  };
  await add(c, record);
  await setLocalRoute(c, record, null);
  return record;
}

/** @throws MidotraceError NOT_FOUND for the port or a filter; VALIDATION. */
export async function updatePort(c: Ctx, id: PortId, patch: PortPatch): Promise<PortRecord> {
  const before = await need(c, PORT, id);
  const { name, adminStateUp, inboundFilterId, outboundFilterId, vifId } = patch;
  const shared = { name, adminStateUp, inboundFilterId, outboundFilterId, vifId };
  const { portMac, portAddress, networkLength } = patch;
  const asked =
    before.type === "Bridge"
      ? patched(before, { ...shared, vlanId: patch.vlanId })
      : patched(before, { ...shared, portMac, portAddress, networkLength });
  validate(PORT, asked);
  const after = (await rewriteDevice(c, "PORT", before, asked)) as PortRecord;
  if (after.type === "Router" && before.type === "Router") await setLocalRoute(c, after, before.portAddress);
  return after;
}

/**
 * With the routes through it, its link, binding, memberships, trace requests and entries of its bridge's MAC table.
 * @throws MidotraceError NOT_FOUND
 */
export async function deletePort(c: Ctx, id: PortId): Promise<void> {
  await need(c, PORT, id);
  await dropStaticMacsOf(c, await need(c, PORT, id));
  await deleteTracesOn(c, "PORT", id);
  await unlinkPort(c, id);
  await unbindPort(c, id);
  await deleteRoutesOf(c, portRoutesPath(id));
  for (const group of await c.tx.children(portGroupsOfPath(id)))
    await c.tx.delete(`${portGroupPortsPath(group as PortGroupId)}/${id}`);
  const record = await need(c, PORT, id);
  await updateRefs(c, "PORT", record, null);
  await freeTunnelKey(c, record.tunnelKey);
  await c.tx.delete(indexPath(record));
  await erase(c, PORT, id);
}

export interface PortFilter {
  readonly deviceId?: string | undefined;
  readonly hostId?: string | undefined;
}

export async function listPorts(c: Ctx, filter: PortFilter = {}): Promise<PortRecord[]> {
  const all = filter.deviceId === undefined ? await findAll(c, PORT) : await portsOf(c, filter.deviceId);
  return filter.hostId === undefined ? all : all.filter((p) => p.hostId === filter.hostId);
}

/** The ports of a bridge or router; empty when there is none with this id. */
export async function portsOf(c: Ctx, deviceId: string): Promise<PortRecord[]> {
  if (!isUuid(deviceId)) return [];
  const ids = await Promise.all(
    (["BRIDGE", "ROUTER"] as const).map((type) => c.tx.children(devicePortsPath(type, deviceId))),
  );
  return findMany(c, PORT, ids.flat());
}
