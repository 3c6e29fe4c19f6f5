import { type BridgeId, type ChainId, type PortId, type RouterId, Violations } from "#core/base";
import { formatIpv4, formatMac, parseIpv4, parseIpv4Prefix, parseMac, prefixMask } from "#core/packets";
import { type PortRecord, type RouterPortRecord, validatePort, validatePortNetwork } from "#core/topology";
import * as z from "zod";
import { answerOf, bodyOf, read, ro, rw } from "./fields.ts";
import type { Links } from "./links.ts";

/** The words a body may use for `type`; the legacy ones mean the same. */
const TYPES = {
  Bridge: "Bridge",
  ExteriorBridge: "Bridge",
  InteriorBridge: "Bridge",
  Router: "Router",
  ExteriorRouter: "Router",
  InteriorRouter: "Router",
} as const satisfies Readonly<Record<string, PortRecord["type"]>>;
const TYPE_WORDS = Object.keys(TYPES) as (keyof typeof TYPES)[];

const common = {
  id: rw.id,
  type: rw.of(z.enum(["Bridge", "Router"]), read.oneOf(TYPE_WORDS, null)),
  /** Ours: MidoNet's ports have no name. */
  name: rw.text(""),
  deviceId: ro.uuid,
  adminStateUp: rw.bool(true),
  inboundFilterId: rw.uuidOrNull,
  outboundFilterId: rw.uuidOrNull,
  vifId: rw.uuidOrNull,
  tunnelKey: ro.int,
  hostId: ro.uuidOrNull,
  interfaceName: ro.textOrNull,
  peerId: ro.uuidOrNull,
  active: ro.bool,
  inboundMirrorIds: ro.uuids,
  outboundMirrorIds: ro.uuids,
  postInFilterMirrorIds: ro.uuids,
  preOutFilterMirrorIds: ro.uuids,
  insertionIds: ro.uuids,
  qosPolicyId: ro.nothing,
  uri: ro.uri,
  device: ro.uri,
  host: ro.uriOrNull,
  peer: ro.uriOrNull,
  link: ro.uri,
  portGroups: ro.uri,
  hostInterfacePort: ro.uriOrNull,
  inboundFilter: ro.uriOrNull,
  outboundFilter: ro.uriOrNull,
} as const;

const bridgeOnly = { vlanId: rw.int(0) } as const;
const routerOnly = {
  portSubnet: rw.of(z.array(z.string()), read.texts(null)),
  portAddress: rw.text(null),
  networkAddress: rw.text(null),
  networkLength: rw.intOrNull,
  portMac: rw.text(null),
  rtrPortVni: ro.nothing,
  offRampVxlan: ro.nothing,
  serviceContainerId: ro.nothing,
  bgpStatus: ro.nothing,
  peeringTable: ro.uri,
} as const;

/** midonet-rest 6.5 */
export const portBody = bodyOf({ ...common, ...bridgeOnly, ...routerOnly });
const bridgePortAnswer = answerOf({ ...common, ...bridgeOnly });
const routerPortAnswer = answerOf({ ...common, ...routerOnly });
export const portAnswer = z.union([bridgePortAnswer, routerPortAnswer]);
export type PortBody = z.output<typeof portBody>;
export type PortDto = z.output<typeof bridgePortAnswer> | z.output<typeof routerPortAnswer>;

/** The client sends the whole port with `peerId` set; nothing else of it counts. */
export const portLinkBody = z.object({ peerId: read.uuid(null) });

/** @param active its interface is up on the host it is bound to. */
export function portToDto(p: PortRecord, active: boolean, links: Links): PortDto {
  const shared = {
    id: p.id,
    type: p.type,
    name: p.name,
    deviceId: p.deviceId,
    adminStateUp: p.adminStateUp,
    inboundFilterId: p.inboundFilterId,
    outboundFilterId: p.outboundFilterId,
    vifId: p.vifId ?? null,
    tunnelKey: p.tunnelKey,
    hostId: p.hostId,
    interfaceName: p.interfaceName,
    peerId: p.peerId,
    active,
    inboundMirrorIds: [],
    outboundMirrorIds: [],
    postInFilterMirrorIds: [],
    preOutFilterMirrorIds: [],
    insertionIds: [],
    qosPolicyId: null,
    uri: links.to("ports", p.id),
    device: links.to(p.type === "Bridge" ? "bridges" : "routers", p.deviceId),
    host: links.toOrNull("hosts", p.hostId),
    peer: links.toOrNull("ports", p.peerId),
    link: links.to("ports", p.id, "link"),
    portGroups: links.to("ports", p.id, "port_groups"),
    hostInterfacePort: p.hostId === null ? null : links.to("hosts", p.hostId, "ports", p.id),
    inboundFilter: links.toOrNull("chains", p.inboundFilterId),
    outboundFilter: links.toOrNull("chains", p.outboundFilterId),
  };
  if (p.type === "Bridge") return { ...shared, vlanId: p.vlanId };
  const address = p.portAddress === null ? null : parseIpv4(p.portAddress);
  return {
    ...shared,
    portSubnet: p.portAddress === null ? [] : [`${p.portAddress}/${p.networkLength}`],
    portAddress: p.portAddress,
    networkAddress: address === null ? null : formatIpv4((address & prefixMask(p.networkLength)) >>> 0),
    networkLength: p.networkLength,
    portMac: p.portMac,
    rtrPortVni: null,
    offRampVxlan: null,
    serviceContainerId: null,
    bgpStatus: null,
    peeringTable: links.to("routers", p.deviceId, "ports", p.id, "peering_table"),
  };
}

/** A router port's addresses, as a body says them; null: it says nothing. */
interface Addresses {
  readonly portAddress: string | null;
  readonly networkLength: number;
}

/** `stored`: the body is an echo in which one of the two ways to say the address was changed; that one counts. */
function addressesOf(body: PortBody, stored: RouterPortRecord | null, violations: Violations): Addresses {
  const bySubnet = fromSubnet(body.portSubnet, violations);
  const unchanged =
    stored !== null && bySubnet?.portAddress === stored.portAddress && bySubnet?.networkLength === stored.networkLength;
  if (bySubnet !== null && !unchanged) return bySubnet;
  if (body.portAddress === null && bySubnet !== null) return bySubnet;
  const { portAddress, networkAddress } = body;
  const networkLength = body.networkLength ?? (portAddress === null ? 0 : 32);
  // In an echo the old network may stand beside the new address: the length and the address decide.
  const network = stored === null ? networkAddress : null;
  validatePortNetwork({ portAddress, networkAddress: network, networkLength }, violations);
  return { portAddress, networkLength };
}

function fromSubnet(subnets: readonly string[] | null, violations: Violations): Addresses | null {
  const first = subnets?.find((s) => !s.includes(":"));
  if (first === undefined) return null;
  const prefix = parseIpv4Prefix(first);
  if (prefix === null) violations.add("portSubnet", `must be addresses such as 10.0.0.1/24, not ${first}`);
  return prefix === null ? null : { portAddress: formatIpv4(prefix.address), networkLength: prefix.length };
}

/** What a body asks for, checked. `portMac` null: the store chooses one. */
export type PortDraft =
  | (PortDraftCommon & { readonly type: "Bridge"; readonly vlanId: number })
  | (PortDraftCommon & Addresses & { readonly type: "Router"; readonly portMac: string | null });

interface PortDraftCommon {
  readonly name: string;
  readonly vifId: string | null;
  readonly adminStateUp: boolean;
  readonly inboundFilterId: ChainId | null;
  readonly outboundFilterId: ChainId | null;
}

export interface PortTarget {
  readonly id: string;
  readonly deviceId: string;
  readonly type: PortRecord["type"];
  /** The port as it is, for a PUT. */
  readonly stored: PortRecord | null;
}

/** @throws MidotraceError VALIDATION, also for a `type` that the device does not have. */
export function portFromBody(body: PortBody, target: PortTarget): PortDraft {
  const violations = new Violations();
  const { stored, type } = target;
  if (body.type === null) violations.add("type", "may not be null");
  else if (TYPES[body.type] !== type) violations.add("type", `must be ${type} for a port of this device`);
  const shared = {
    name: body.name,
    vifId: body.vifId,
    adminStateUp: body.adminStateUp,
    inboundFilterId: body.inboundFilterId as ChainId | null,
    outboundFilterId: body.outboundFilterId as ChainId | null,
  };
  const place = { id: target.id as PortId, tunnelKey: 1, hostId: null, interfaceName: null, peerId: null };
  const router = stored?.type === "Router" ? stored : null;
  const mac = body.portMac === null ? null : parseMac(body.portMac);
  const portMac = mac === null ? body.portMac : formatMac(mac);
  const draft: PortDraft =
    type === "Bridge"
      ? { ...shared, type, vlanId: body.vlanId }
      : { ...shared, type, portMac: portMac ?? router?.portMac ?? null, ...addressesOf(body, router, violations) };
  const said = new Set(violations.list.map((v) => v.property));
  const whole = new Violations();
  if (draft.type === "Bridge") validatePort({ ...place, ...draft, deviceId: target.deviceId as BridgeId }, whole);
  else
    validatePort(
      { ...place, ...draft, portMac: draft.portMac ?? "02:00:00:00:00:01", deviceId: target.deviceId as RouterId },
      whole,
    );
  for (const v of whole.list) if (!said.has(v.property)) violations.add(v.property, v.message);
  violations.throwIfAny("port");
  return draft;
}
