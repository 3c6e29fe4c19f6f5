import { byId, type Operation, type RowId, wire } from "#protocols/ovsdb";
import { type BridgePort, type BridgeRow, bridgeOf, portsOf, rootOf, type SwitchRows } from "./switch-tables.ts";

/** Of bridge, ports and interfaces that were made here; its value is the name of the bridge. */
export const OWNER_KEY = "midotrace-owner";
/** Number of the kernel's device that a port was made for: a device of the same name may be another one. */
export const IFINDEX_KEY = "midotrace-ifindex";
export const TUNNEL_NAME = "midotrace-vxlan";
/** Away from the numbers that the switch gives by itself, which count from 1. */
export const TUNNEL_OFPORT_REQUEST = 65_000;
/** The switch is driven in this version only. */
const PROTOCOL = "OpenFlow13";

export interface DesiredSwitch {
  readonly bridge: string;
  readonly datapathType: "system" | "netdev";
  /** Dotted. */
  readonly tunnelIp: string;
  /** Bound interfaces whose device exists, with its ifindex; null: it is not known yet what is bound. */
  readonly devices: ReadonlyMap<string, number> | null;
}

/** Operations that belong together. */
export interface Change {
  /** For the log: "add port tap-1". */
  readonly what: string;
  readonly operations: readonly Operation[];
}

export interface Plan {
  /** Each may be done without the others. None: everything is as desired. */
  readonly changes: readonly Change[];
  /** What cannot be changed from here, in an operator's words. */
  readonly blocked: readonly string[];
}

/**
 * What leads from the database's contents to the desired switch. What is right already is not touched; a port that must be
 * made anew is deleted by one plan, and added by the one after the switch has seen the deletion.
 */
export function planSwitch(rows: SwitchRows, desired: DesiredSwitch): Plan {
  const root = rootOf(rows);
  if (root === null)
    return { changes: [], blocked: ["Open vSwitch's database to be initialized (ovs-vsctl --no-wait init)"] };
  const bridge = bridgeOf(rows, desired.bridge);
  if (bridge === null) return { changes: [newBridge(root.id, desired)], blocked: [] };
  const { id, row } = bridge;
  if (row.external_ids.get(OWNER_KEY) !== desired.bridge && row.controller.length > 0) {
    const help = "remove it, or name another bridge by --bridge";
    return { changes: [], blocked: [`bridge ${desired.bridge}, which somebody else's controller drives: ${help}`] };
  }
  const ports = portsOf(rows, row);
  const blocked: string[] = [];
  const changes = [...bridgeChanges(id, row, desired), ...tunnelChanges(id, ports, desired)];
  if (desired.devices !== null) changes.push(...deviceChanges(rows, id, ports, desired, desired.devices, blocked));
  return { changes, blocked };
}

export function isOurs(port: BridgePort, bridge: string): boolean {
  return port.port.external_ids.get(OWNER_KEY) === bridge;
}

function newBridge(root: RowId, desired: DesiredSwitch): Change {
  const owner = ownerIds(desired.bridge);
  const { bridge } = desired;
  const row = {
    name: bridge,
    ports: wire.set([wire.named("port")]),
    datapath_type: desired.datapathType,
    fail_mode: "secure",
    protocols: wire.set([PROTOCOL]),
    external_ids: owner,
  };
  return {
    what: `add bridge ${bridge}`,
    operations: [
      { op: "insert", table: "Interface", "uuid-name": "interface", row: { name: bridge, type: "internal" } },
      {
        op: "insert",
        table: "Port",
        "uuid-name": "port",
        row: { name: bridge, interfaces: wire.named("interface"), external_ids: owner },
      },
      { op: "insert", table: "Bridge", "uuid-name": "bridge", row },
      {
        op: "mutate",
        table: "Open_vSwitch",
        where: byId(root),
        mutations: [["bridges", "insert", wire.set([wire.named("bridge")])]],
      },
    ],
  };
}

/** Only columns that are wrong: writing the others would be a change to the switch all the same. */
function bridgeChanges(id: RowId, row: BridgeRow, desired: DesiredSwitch): Change[] {
  const changes: Change[] = [];
  const update = (what: string, columns: Extract<Operation, { op: "update" }>["row"]): void => {
    const operation: Operation = { op: "update", table: "Bridge", where: byId(id), row: columns };
    changes.push({ what: `${what} of bridge ${desired.bridge}`, operations: [operation] });
  };
  if ((row.datapath_type || "system") !== desired.datapathType)
    update(`set datapath_type=${desired.datapathType}`, { datapath_type: desired.datapathType });
  if (row.fail_mode !== "secure") update("set fail_mode=secure", { fail_mode: "secure" });
  if (!row.protocols.includes(PROTOCOL))
    update(`add ${PROTOCOL} to the protocols`, { protocols: wire.set([...row.protocols, PROTOCOL]) });
  if (row.stp_enable) update("switch off STP", { stp_enable: false });
  if (row.external_ids.get(OWNER_KEY) !== desired.bridge)
    update("note ownership", { external_ids: wire.map([...row.external_ids, [OWNER_KEY, desired.bridge]]) });
  return changes;
}

function tunnelChanges(bridge: RowId, ports: readonly BridgePort[], desired: DesiredSwitch): Change[] {
  const options = new Map([
    ["key", "flow"],
    ["remote_ip", "flow"],
    ["local_ip", desired.tunnelIp],
  ]);
  const found = ports.find((p) => p.interface.name === TUNNEL_NAME);
  if (found === undefined) {
    const more = { type: "vxlan", options: wire.map(options), ofport_request: TUNNEL_OFPORT_REQUEST };
    return [addPort(bridge, TUNNEL_NAME, desired.bridge, more, 0)];
  }
  const { interface: now, interfaceId } = found;
  const right = now.type === "vxlan" && sameMap(now.options, options) && now.ofport_request === TUNNEL_OFPORT_REQUEST;
  if (right && isOurs(found, desired.bridge)) return [];
  const row = { type: "vxlan", options: wire.map(options), ofport_request: TUNNEL_OFPORT_REQUEST };
  return [
    {
      what: `repair tunnel port ${TUNNEL_NAME}`,
      operations: [
        { op: "update", table: "Interface", where: byId(interfaceId), row },
        { op: "update", table: "Port", where: byId(found.id), row: { external_ids: ownerIds(desired.bridge) } },
      ],
    },
  ];
}

function deviceChanges(
  rows: SwitchRows,
  bridge: RowId,
  ports: readonly BridgePort[],
  desired: DesiredSwitch,
  devices: ReadonlyMap<string, number>,
  blocked: string[],
): Change[] {
  const changes: Change[] = [];
  const here = new Set<string>();
  for (const port of ports) {
    const { name } = port.interface;
    here.add(name);
    if (name === TUNNEL_NAME || name === desired.bridge || !isOurs(port, desired.bridge)) continue;
    const reason = staleness(port, devices.get(name));
    if (reason !== null) changes.push(deletePort(bridge, port, reason));
  }
  for (const [name, ifindex] of devices) {
    if (here.has(name)) continue;
    if (nameTaken(rows, name)) {
      blocked.push(`interface ${name}, which is a port of another bridge of Open vSwitch`);
      continue;
    }
    changes.push(addPort(bridge, name, desired.bridge, { external_ids: deviceIds(desired.bridge, ifindex) }, ifindex));
  }
  return changes;
}

/** Why our port must go; null: it may stay. */
function staleness(port: BridgePort, ifindex: number | undefined): string | null {
  if (ifindex === undefined) return "it is not bound, or its device is gone";
  if (port.interface.external_ids.get(IFINDEX_KEY) !== String(ifindex)) return "its device is another one now";
  return port.interface.type === "" || port.interface.type === "system" ? null : "its type was changed";
}

function nameTaken(rows: SwitchRows, name: string): boolean {
  for (const row of rows.Port.values()) if (row.name === name) return true;
  for (const row of rows.Interface.values()) if (row.name === name) return true;
  return false;
}

function addPort(
  bridge: RowId,
  name: string,
  owner: string,
  more: Extract<Operation, { op: "insert" }>["row"],
  n: number,
): Change {
  return {
    what: `add port ${name}`,
    operations: [
      { op: "insert", table: "Interface", "uuid-name": `interface${n}`, row: { name, ...more } },
      {
        op: "insert",
        table: "Port",
        "uuid-name": `port${n}`,
        row: { name, interfaces: wire.named(`interface${n}`), external_ids: ownerIds(owner) },
      },
      {
        op: "mutate",
        table: "Bridge",
        where: byId(bridge),
        mutations: [["ports", "insert", wire.set([wire.named(`port${n}`)])]],
      },
    ],
  };
}

/** The rows go by themselves once nothing refers to them. */
function deletePort(bridge: RowId, port: BridgePort, reason: string): Change {
  const mutations = [["ports", "delete", wire.set([wire.uuid(port.id)])]] as const;
  const operation: Operation = { op: "mutate", table: "Bridge", where: byId(bridge), mutations };
  return { what: `delete port ${port.interface.name} (${reason})`, operations: [operation] };
}

const ownerIds = (owner: string) => wire.map([[OWNER_KEY, owner]]);
const deviceIds = (owner: string, ifindex: number) =>
  wire.map([
    [OWNER_KEY, owner],
    [IFINDEX_KEY, String(ifindex)],
  ]);

function sameMap(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}
