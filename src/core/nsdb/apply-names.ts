/** Names of a topology document → ids, among the objects that exist and those that the document makes. */
import type { PortId } from "#core/base";
import type { Condition, TopologyRecords } from "#core/topology";
import { conflict, invalid } from "./objects.ts";

export type NamedKind =
  | "host"
  | "tunnelZone"
  | "ipAddrGroup"
  | "portGroup"
  | "chain"
  | "bridge"
  | "router"
  | "port"
  | "route";

interface Named {
  readonly id: string;
  readonly name: string;
  readonly tenantId?: string;
}

/** Kinds without tenant, and ports (whose "tenant" is the id of their device), have one name space per second key. */
export class Names {
  private readonly exact = new Map<string, string[]>();
  private readonly loose = new Map<string, string[]>();

  constructor(records: TopologyRecords) {
    const addAll = (kind: NamedKind, objects: readonly Named[]): void => {
      for (const o of objects) this.add(kind, o.tenantId ?? "", o.name, o.id);
    };
    addAll("host", records.hosts);
    addAll("tunnelZone", records.tunnelZones);
    addAll("ipAddrGroup", records.ipAddrGroups);
    addAll("portGroup", records.portGroups);
    addAll("chain", records.chains);
    addAll("bridge", records.bridges);
    addAll("router", records.routers);
    for (const p of records.ports) if (p.name !== "") this.add("port", p.deviceId, p.name, p.id);
  }

  add(kind: NamedKind, space: string, name: string, id: string): void {
    push(this.exact, `${kind}\n${space}\n${name}`, id);
    push(this.loose, `${kind}\n${name}`, id);
  }

  /** Null when there is none. @throws MidotraceError CONFLICT when there are several: a name does not say which. */
  find(kind: NamedKind, space: string, name: string): string | null {
    return single(this.exact.get(`${kind}\n${space}\n${name}`) ?? [], kind, name);
  }

  /** In the name space if it is there, else wherever it is. @throws MidotraceError CONFLICT when there are several. */
  findAnywhere(kind: NamedKind, space: string, name: string): string | null {
    return this.find(kind, space, name) ?? single(this.loose.get(`${kind}\n${name}`) ?? [], kind, name);
  }

  /** @throws MidotraceError VALIDATION at `property` when there is none; CONFLICT when there are several. */
  need(kind: NamedKind, space: string, name: string, property: string): string {
    const id = this.findAnywhere(kind, space, name);
    if (id === null) throw invalid("topology document", property, `there is no ${kind} ${name}`);
    return id;
  }

  /** Resolves "device/port". @throws MidotraceError VALIDATION when there is none; CONFLICT when there are several. */
  port(tenant: string, reference: string, property: string): PortId {
    const slash = reference.indexOf("/");
    const device = reference.slice(0, Math.max(slash, 0));
    const name = reference.slice(slash + 1);
    const found = (["bridge", "router"] as const).flatMap((kind) => {
      const id = this.findAnywhere(kind, tenant, device);
      const port = id === null ? null : this.find("port", id, name);
      return port === null ? [] : [port];
    });
    const id = single(found, "port", reference);
    if (id === null) throw invalid("topology document", property, `there is no port ${reference} (device/port)`);
    return id as PortId;
  }

  /** References by name become ids; what is no name of anything stays as it is (an id). */
  condition(c: Condition, tenant: string): Condition {
    const group = (name: string): string => this.findAnywhere("portGroup", tenant, name) ?? name;
    const addresses = (name: string): string => this.findAnywhere("ipAddrGroup", "", name) ?? name;
    const port = (text: string): string => (text.includes("/") ? this.port(tenant, text, "condition.inPorts") : text);
    const device = (name: string): string =>
      this.findAnywhere("bridge", tenant, name) ?? this.findAnywhere("router", tenant, name) ?? name;
    return {
      ...c,
      ...(c.portGroup === undefined ? {} : { portGroup: group(c.portGroup) }),
      ...(c.inPortGroup === undefined ? {} : { inPortGroup: group(c.inPortGroup) }),
      ...(c.outPortGroup === undefined ? {} : { outPortGroup: group(c.outPortGroup) }),
      ...(c.ipAddrGroupSrc === undefined ? {} : { ipAddrGroupSrc: addresses(c.ipAddrGroupSrc) }),
      ...(c.ipAddrGroupDst === undefined ? {} : { ipAddrGroupDst: addresses(c.ipAddrGroupDst) }),
      ...(c.inPorts === undefined ? {} : { inPorts: c.inPorts.map(port) }),
      ...(c.outPorts === undefined ? {} : { outPorts: c.outPorts.map(port) }),
      ...(c.traversedDevice === undefined ? {} : { traversedDevice: device(c.traversedDevice) }),
    };
  }
}

function push(map: Map<string, string[]>, key: string, id: string): void {
  const ids = map.get(key);
  if (ids === undefined) map.set(key, [id]);
  else ids.push(id);
}

function single(ids: readonly string[], kind: string, name: string): string | null {
  if (ids.length > 1) throw conflict(`${ids.length} objects of kind ${kind} have the name ${name}: ${ids.join(", ")}`);
  return ids[0] ?? null;
}
