/** A topology document brought into the store: devices and what belongs to them; see apply-policy.ts for groups and chains. */
import type { BridgeId, ChainId, HostId, PortId, RouterId, TenantId } from "#core/base";
import { parseIpv4Prefix, formatIpv4 } from "#core/packets";
import type {
  BridgePortSpec,
  BridgeSpec,
  PortRecord,
  RouterPortSpec,
  RouterSpec,
  RouteSpec,
  TopologyDocument,
} from "#core/topology";
import { Names } from "./apply-names.ts";
import { applyChainRules, applyGroups, applyHosts, applyPortGroupMembers, type Job } from "./apply-policy.ts";
import { type ApplyReport, differences, ReportBuilder } from "./apply-report.ts";
import { createBridge, createRouter, updateBridge, updateRouter } from "./devices.ts";
import { bindPort, linkPorts, unbindPort, unlinkPort } from "./links.ts";
import { type Ctx, invalid } from "./objects.ts";
import { APPLY_LOCK } from "./paths.ts";
import { createBridgePort, createRouterPort, updatePort } from "./ports.ts";
import { createRoute, updateRoute } from "./routes.ts";
import { fromTx, readFrom } from "./topology-reader.ts";

/**
 * Adds and changes what the document says; what it does not name stays: also addresses, members and routes beside the
 * named ones, and a filter where the document is silent. The rules of a named chain are replaced (trace rules stay, in
 * front). Nothing is written when everything is so already. Two applies exclude each other by a lock node.
 * @throws MidotraceError VALIDATION for a name that nothing has, naming the field; CONFLICT for a name that several have,
 *   and as the operations of the resources.
 */
export async function applyIn(c: Ctx, doc: TopologyDocument): Promise<ApplyReport> {
  await c.tx.get(APPLY_LOCK);
  const records = await readFrom(fromTx(c.tx));
  const job: Job = { c, records, names: new Names(records), report: new ReportBuilder() };
  await applyHosts(job, doc);
  await applyGroups(job, doc);
  const ports = new Map(records.ports.map((p) => [p.id, p]));
  const placed: PlacedPort[] = [];
  for (const [i, spec] of doc.bridges.entries()) await applyBridge(job, spec, `bridges[${i}]`, ports, placed);
  for (const [i, spec] of doc.routers.entries()) await applyRouter(job, spec, `routers[${i}]`, ports, placed);
  await applyAttachments(job, ports, placed);
  await applyPortGroupMembers(job, doc);
  await applyChainRules(job, doc);
  for (const [i, spec] of doc.routers.entries()) await applyRoutes(job, spec, `routers[${i}].routes`);
  if (c.tx.dirty) await c.tx.touch(APPLY_LOCK);
  return job.report.build();
}

type Ports = Map<PortId, PortRecord>;

/** A port of the document with its id. */
interface PlacedPort {
  readonly id: PortId;
  readonly name: string;
  readonly tenant: string;
  readonly at: string;
  readonly spec: BridgePortSpec | RouterPortSpec;
}

function chainOf(job: Job, tenant: string, name: string | undefined, property: string): ChainId | undefined {
  return name === undefined ? undefined : (job.names.need("chain", tenant, name, property) as ChainId);
}

function devicePatch(job: Job, spec: BridgeSpec | RouterSpec, at: string) {
  return {
    adminStateUp: spec.up,
    inboundFilterId: chainOf(job, spec.tenant, spec.inFilter, `${at}.inFilter`),
    outboundFilterId: chainOf(job, spec.tenant, spec.outFilter, `${at}.outFilter`),
  };
}

async function applyBridge(job: Job, spec: BridgeSpec, at: string, ports: Ports, placed: PlacedPort[]): Promise<void> {
  const { c, names, report } = job;
  const patch = devicePatch(job, spec, at);
  let id = names.find("bridge", spec.tenant, spec.name) as BridgeId | null;
  if (id === null) {
    ({ id } = await createBridge(c, { ...patch, name: spec.name, tenantId: spec.tenant as TenantId }));
    names.add("bridge", spec.tenant, spec.name, id);
    report.created("bridge", spec.name, id);
  } else {
    const before = job.records.bridges.find((b) => b.id === id);
    const changes = before === undefined ? [] : differences(before, patch);
    if (changes.length > 0) await updateBridge(c, id, patch);
    report.changed("bridge", spec.name, id, changes);
  }
  for (const [i, port] of spec.ports.entries()) {
    const where = `${at}.ports[${i}]`;
    const asked = { ...portPatch(job, spec.tenant, port, where), vlanId: port.vlan };
    const create = (device: BridgeId) => createBridgePort(c, device, { ...asked, name: port.name });
    placed.push(await applyPort(job, id, spec, port, where, asked, ports, create));
  }
}

async function applyRouter(job: Job, spec: RouterSpec, at: string, ports: Ports, placed: PlacedPort[]): Promise<void> {
  const { c, names, report } = job;
  const patch = devicePatch(job, spec, at);
  let id = names.find("router", spec.tenant, spec.name) as RouterId | null;
  if (id === null) {
    ({ id } = await createRouter(c, { ...patch, name: spec.name, tenantId: spec.tenant as TenantId }));
    names.add("router", spec.tenant, spec.name, id);
    report.created("router", spec.name, id);
  } else {
    const before = job.records.routers.find((r) => r.id === id);
    const changes = before === undefined ? [] : differences(before, patch);
    if (changes.length > 0) await updateRouter(c, id, patch);
    report.changed("router", spec.name, id, changes);
  }
  for (const [i, port] of spec.ports.entries()) {
    const where = `${at}.ports[${i}]`;
    const prefix = port.address === undefined ? undefined : needPrefix(port.address, `${where}.address`);
    const asked = {
      ...portPatch(job, spec.tenant, port, where),
      portMac: port.mac?.toLowerCase(),
      portAddress: prefix?.address,
      networkLength: prefix?.length,
    };
    const create = (device: RouterId) => createRouterPort(c, device, { ...asked, name: port.name });
    placed.push(await applyPort(job, id, spec, port, where, asked, ports, create));
  }
}

function portPatch(job: Job, tenant: string, port: BridgePortSpec | RouterPortSpec, at: string) {
  return {
    adminStateUp: port.up,
    inboundFilterId: chainOf(job, tenant, port.inFilter, `${at}.inFilter`),
    outboundFilterId: chainOf(job, tenant, port.outFilter, `${at}.outFilter`),
  };
}

async function applyPort<D extends BridgeId | RouterId>(
  job: Job,
  device: D,
  { name: deviceName, tenant }: BridgeSpec | RouterSpec,
  spec: BridgePortSpec | RouterPortSpec,
  at: string,
  asked: Parameters<typeof updatePort>[2],
  ports: Ports,
  create: (device: D) => Promise<PortRecord>,
): Promise<PlacedPort> {
  const { c, names, report } = job;
  const name = `${deviceName}/${spec.name}`;
  const found = names.find("port", device, spec.name) as PortId | null;
  if (found === null) {
    const record = await create(device);
    names.add("port", device, spec.name, record.id);
    ports.set(record.id, record);
    report.created("port", name, record.id);
    return { id: record.id, name, tenant, at, spec };
  }
  const changes = differences(ports.get(found) as object, asked);
  if (changes.length > 0) ports.set(found, await updatePort(c, found, asked));
  report.changed("port", name, found, changes);
  return { id: found, name, tenant, at, spec };
}

function needPrefix(text: string, property: string): { readonly address: string; readonly length: number } {
  const prefix = parseIpv4Prefix(text);
  if (prefix === null) throw invalid("topology document", property, `must be a.b.c.d/n, not ${text}`);
  return { address: formatIpv4(prefix.address), length: prefix.length };
}

/** Takes off what is to be attached elsewhere, then attaches: so an interface or a peer can change hands. */
async function applyAttachments(job: Job, ports: Ports, placed: readonly PlacedPort[]): Promise<void> {
  const { c, names, report } = job;
  const binds: { id: PortId; hostId: HostId; interfaceName: string }[] = [];
  const peers = new Map<PortId, PortId>();
  for (const p of placed) {
    const { bind, link } = p.spec;
    if (bind !== undefined && (link !== undefined || peers.has(p.id)))
      throw invalid("topology document", `${p.at}.bind`, "a port is bound or linked, not both");
    const port = ports.get(p.id);
    if (bind !== undefined) {
      const hostId = names.need("host", "", bind.host, `${p.at}.bind.host`) as HostId;
      if (port?.hostId === hostId && port.interfaceName === bind.interface) continue;
      binds.push({ id: p.id, hostId, interfaceName: bind.interface });
      report.changed("port", p.name, p.id, ["bind"]);
    }
    if (link !== undefined) {
      const peer = names.port(p.tenant, link, `${p.at}.link`);
      for (const [a, b] of [[p.id, peer] as const, [peer, p.id] as const]) {
        if ((peers.get(a) ?? b) !== b)
          throw invalid("topology document", `${p.at}.link`, "one of the two ports is linked to another one");
        peers.set(a, b);
      }
      if (port?.peerId !== peer) report.changed("port", p.name, p.id, ["link"]);
    }
  }
  const links = [...peers].filter(([a, b]) => a < b && ports.get(a)?.peerId !== b);
  for (const id of [...binds.map((b) => b.id), ...links.flat()]) {
    await unlinkPort(c, id);
    await unbindPort(c, id);
  }
  for (const { id, hostId, interfaceName } of binds) await bindPort(c, { portId: id, hostId, interfaceName });
  for (const [a, b] of links) await linkPorts(c, a, b);
}

async function applyRoutes(job: Job, spec: RouterSpec, at: string): Promise<void> {
  const router = job.names.find("router", spec.tenant, spec.name) as RouterId;
  for (const [i, route] of spec.routes.entries()) await applyRoute(job, router, spec, route, `${at}[${i}]`);
}

async function applyRoute(job: Job, router: RouterId, spec: RouterSpec, route: RouteSpec, at: string): Promise<void> {
  const { c, names, report, records } = job;
  const src = needPrefix(route.src, `${at}.src`);
  const dst = needPrefix(route.dst, `${at}.dst`);
  const port = route.port === undefined ? null : names.find("port", router, route.port);
  if (route.port !== undefined && port === null)
    throw invalid("topology document", `${at}.port`, `router ${spec.name} has no port ${route.port}`);
  const wanted = {
    type: route.type,
    srcNetworkAddr: src.address,
    srcNetworkLength: src.length,
    dstNetworkAddr: dst.address,
    dstNetworkLength: dst.length,
    nextHopPort: port as PortId | null,
    nextHopGateway: route.gateway ?? null,
  };
  const name = `${spec.name} ${route.dst}`;
  const same = records.routes.filter((r) => r.routerId === router && differences(r, wanted).length === 0);
  const found = same.find((r) => r.weight === route.weight) ?? same[0];
  if (found === undefined) {
    const record = await createRoute(c, router, { ...wanted, weight: route.weight });
    report.created("route", name, record.id);
    return;
  }
  const changes = differences(found, { weight: route.weight });
  if (changes.length > 0) await updateRoute(c, found.id, { weight: route.weight });
  report.changed("route", name, found.id, changes);
}
