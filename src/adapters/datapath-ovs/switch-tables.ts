import {
  flag,
  integer,
  mapOf,
  optional,
  type RowId,
  type RowOf,
  rowId,
  setOf,
  type TableRows,
  text,
} from "#protocols/ovsdb";

const strings = mapOf(text, text);

/** What is monitored of the database Open_vSwitch: ovs-vswitchd.conf.db(5). */
export const TABLES = {
  Open_vSwitch: { bridges: setOf(rowId), cur_cfg: integer, next_cfg: integer, datapath_types: setOf(text) },
  Bridge: {
    name: text,
    ports: setOf(rowId),
    /** "" is "system". */
    datapath_type: text,
    fail_mode: optional(text),
    protocols: setOf(text),
    controller: setOf(rowId),
    stp_enable: flag,
    external_ids: strings,
  },
  Port: { name: text, interfaces: setOf(rowId), external_ids: strings },
  Interface: {
    name: text,
    type: text,
    options: strings,
    /** -1: it could not be made, see `error`. */
    ofport: optional(integer),
    ofport_request: optional(integer),
    error: optional(text),
    link_state: optional(text),
    admin_state: optional(text),
    external_ids: strings,
  },
} as const;

export type SwitchRows = TableRows<typeof TABLES>;
export type BridgeRow = RowOf<(typeof TABLES)["Bridge"]>;
export type PortRow = RowOf<(typeof TABLES)["Port"]>;
export type InterfaceRow = RowOf<(typeof TABLES)["Interface"]>;
export type RootRow = RowOf<(typeof TABLES)["Open_vSwitch"]>;

export interface BridgePort {
  readonly id: RowId;
  readonly port: PortRow;
  readonly interfaceId: RowId;
  readonly interface: InterfaceRow;
}

/** The one row of the root table; null: the database was never initialized. */
export function rootOf(rows: SwitchRows): { readonly id: RowId; readonly row: RootRow } | null {
  for (const [id, row] of rows.Open_vSwitch) return { id, row };
  return null;
}

export function bridgeOf(rows: SwitchRows, name: string): { readonly id: RowId; readonly row: BridgeRow } | null {
  for (const [id, row] of rows.Bridge) if (row.name === name) return { id, row };
  return null;
}

/** The ports of a bridge that have one interface; bonds have more and are never ours. */
export function portsOf(rows: SwitchRows, bridge: BridgeRow): BridgePort[] {
  const ports: BridgePort[] = [];
  for (const id of bridge.ports) {
    const port = rows.Port.get(id);
    const interfaceId = port?.interfaces.length === 1 ? port.interfaces[0] : undefined;
    const found = interfaceId === undefined ? undefined : rows.Interface.get(interfaceId);
    if (port !== undefined && interfaceId !== undefined && found !== undefined)
      ports.push({ id, port, interfaceId, interface: found });
  }
  return ports;
}
