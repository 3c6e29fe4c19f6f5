import type { Violations } from "#core/base";
import type { BridgePortSpec, RouterPortSpec, TopologyDocument } from "./document.ts";
import { didYouMean } from "#core/base";

type Port = BridgePortSpec | RouterPortSpec;

type Known = ReadonlySet<string> | ReadonlyMap<string, unknown>;

interface Placed {
  readonly port: Port;
  readonly path: string;
}

/** Adds a violation for each name that is defined twice, and for each reference to a name that is not defined. */
export function checkReferences(d: TopologyDocument, violations: Violations): void {
  const hosts = unique(d.hosts, "hosts", "host", violations);
  unique(d.tunnelZones, "tunnelZones", "tunnel zone", violations);
  const addressGroups = unique(d.ipAddrGroups, "ipAddrGroups", "IP address group", violations);
  const portGroups = unique(d.portGroups, "portGroups", "port group", violations);
  const chains = unique(d.chains, "chains", "chain", violations);
  const ports = placePorts(d, violations);
  const refer = (path: string, kind: string, name: string | undefined, known: Known): void => {
    if (name === undefined || name === "" || known.has(name)) return;
    violations.add(path, `there is no ${kind} "${name}" in this document${didYouMean(name, known.keys())}`);
  };
  d.tunnelZones.forEach((zone, i) => {
    for (const host of Object.keys(zone.hosts)) refer(`tunnelZones[${i}].hosts.${host}`, "host", host, hosts);
  });
  d.portGroups.forEach((group, i) => {
    group.ports.forEach((name, n) => refer(`portGroups[${i}].ports[${n}]`, "port", name, ports));
  });
  d.chains.forEach((chain, i) => {
    chain.rules.forEach(({ jump, condition: c }, n) => {
      const at = `chains[${i}].rules[${n}]`;
      refer(`${at}.jump`, "chain", jump, chains);
      refer(`${at}.condition.portGroup`, "port group", c.portGroup, portGroups);
      refer(`${at}.condition.inPortGroup`, "port group", c.inPortGroup, portGroups);
      refer(`${at}.condition.outPortGroup`, "port group", c.outPortGroup, portGroups);
      refer(`${at}.condition.ipAddrGroupSrc`, "IP address group", c.ipAddrGroupSrc, addressGroups);
      refer(`${at}.condition.ipAddrGroupDst`, "IP address group", c.ipAddrGroupDst, addressGroups);
    });
  });
  const filters = (path: string, o: { readonly inFilter?: string; readonly outFilter?: string }): void => {
    refer(`${path}.inFilter`, "chain", o.inFilter, chains);
    refer(`${path}.outFilter`, "chain", o.outFilter, chains);
  };
  d.bridges.forEach((bridge, i) => filters(`bridges[${i}]`, bridge));
  d.routers.forEach((router, i) => {
    filters(`routers[${i}]`, router);
    const own = new Set(router.ports.map((p) => p.name));
    router.routes.forEach((route, n) =>
      refer(`routers[${i}].routes[${n}].port`, `port of router "${router.name}"`, route.port, own),
    );
  });
  for (const { port, path } of ports.values()) {
    filters(path, port);
    refer(`${path}.bind.host`, "host", port.bind?.host, hosts);
    refer(`${path}.link`, "port", port.link, ports);
  }
  checkLinks(ports, violations);
  checkBindings(ports, violations);
}

function unique(
  items: readonly { readonly name: string }[],
  path: string,
  kind: string,
  violations: Violations,
): Set<string> {
  const names = new Set<string>();
  items.forEach(({ name }, i) => {
    if (name === "") return;
    if (names.has(name)) violations.add(`${path}[${i}].name`, `there are two ${kind}s "${name}"`);
    names.add(name);
  });
  return names;
}

/** Ports by "device/port". Bridges and routers share that name space, so their names must differ. */
function placePorts(d: TopologyDocument, violations: Violations): Map<string, Placed> {
  const bridges = unique(d.bridges, "bridges", "bridge", violations);
  unique(d.routers, "routers", "router", violations);
  d.routers.forEach((router, i) => {
    if (bridges.has(router.name)) violations.add(`routers[${i}].name`, `there is a bridge "${router.name}", too`);
  });
  const ports = new Map<string, Placed>();
  const place = (devices: TopologyDocument["bridges"] | TopologyDocument["routers"], kind: string): void => {
    devices.forEach((device, i) => {
      unique(device.ports, `${kind}[${i}].ports`, "port", violations);
      device.ports.forEach((port: Port, n) => {
        const name = `${device.name}/${port.name}`;
        if (port.name !== "" && !ports.has(name)) ports.set(name, { port, path: `${kind}[${i}].ports[${n}]` });
      });
    });
  };
  place(d.bridges, "bridges");
  place(d.routers, "routers");
  return ports;
}

/** A link joins two different ports, neither of which is bound or linked elsewhere. */
function checkLinks(ports: ReadonlyMap<string, Placed>, violations: Violations): void {
  const takenBy = new Map<string, string>();
  for (const [name, { port, path }] of ports) {
    const other = port.link;
    if (other === undefined) continue;
    const target = ports.get(other)?.port;
    if (other === name) violations.add(`${path}.link`, "a port cannot be linked to itself");
    else if (target?.bind !== undefined)
      violations.add(`${path}.link`, `"${other}" is bound to a host and cannot be linked`);
    else if (target?.link !== undefined && target.link !== name)
      violations.add(`${path}.link`, `"${other}" is linked to "${target.link}" already`);
    else if (takenBy.has(other) && takenBy.get(other) !== name)
      violations.add(`${path}.link`, `"${other}" is linked to "${takenBy.get(other)}" already`);
    takenBy.set(other, name);
  }
}

function checkBindings(ports: ReadonlyMap<string, Placed>, violations: Violations): void {
  const taken = new Map<string, string>();
  for (const [name, { port, path }] of ports) {
    if (port.bind === undefined) continue;
    const key = JSON.stringify([port.bind.host, port.bind.interface]);
    const owner = taken.get(key);
    if (owner === undefined) taken.set(key, name);
    else
      violations.add(
        `${path}.bind.interface`,
        `"${port.bind.interface}" of host "${port.bind.host}" is bound to "${owner}" already`,
      );
  }
}
