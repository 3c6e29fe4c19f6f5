/** What each row of `PATHS` holds, as its reader. */
import { readStaticMac } from "./bridge-tables.ts";
import type { Reader } from "./codec.ts";
import { readCollector } from "./collectors.ts";
import { readArp, readInterface } from "./host-state.ts";
import { readIdentity, readImportMark } from "./identity.ts";
import {
  BRIDGE,
  CHAIN,
  HOST,
  IP_ADDR_GROUP,
  PORT,
  PORT_GROUP,
  readMember,
  readRuleList,
  ROUTE,
  ROUTER,
  RULE,
  TRACE,
  TUNNEL_ZONE,
} from "./kinds.ts";
import { readMapping } from "./links.ts";
import { readSystemState } from "./system-state.ts";
import { readAuto } from "./trace-rules.ts";
import { readCounter, readOwner } from "./tunnel-keys.ts";

/** Every kind of record that stands at `directory/id`. */
export const RECORD_KINDS = [
  BRIDGE,
  ROUTER,
  PORT,
  CHAIN,
  RULE,
  ROUTE,
  PORT_GROUP,
  IP_ADDR_GROUP,
  HOST,
  TUNNEL_ZONE,
  TRACE,
] as const;

/** By pattern; the rows that are not here are empty. */
export const CONTENT: Readonly<Record<string, Reader<unknown>>> = {
  ...Object.fromEntries(RECORD_KINDS.map((kind) => [`${kind.directory}/<id>`, kind.read as Reader<unknown>])),
  "/bridges/<id>/static_macs/<vlan>,<mac>": readStaticMac,
  "/routers/<id>/arp_table/<ip>": readArp,
  "/chains/<id>/rules": readRuleList,
  "/chains/<id>/auto": readAuto,
  "/hosts/<id>/interfaces/<name>": readInterface,
  "/hosts/<id>/vrnMappings/ports/<portId>": readMapping,
  "/tunnel_zones/<id>/memberships/<hostId>": readMember,
  "/tunnel_keys": readCounter,
  "/tunnel_keys/<key>": readOwner,
  "/collectors/<id>": readCollector,
  "/system_state": readSystemState,
  "/store": readIdentity,
  "/import": readImportMark,
};
