export * from "./store.ts";
export * from "./paths.ts";
export { decode, encode } from "./codec.ts";
export {
  BRIDGE,
  CHAIN,
  HOST,
  IP_ADDR_GROUP,
  type Kind,
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
export { transact, type TransactOptions, Tx } from "./tx.ts";
export type { Ctx } from "./objects.ts";
export { applyDocument, initialize, Nsdb, type NsdbOptions } from "./nsdb.ts";
export type { DeviceFilter, DeviceInput, DevicePatch } from "./devices.ts";
export type { BridgePortInput, PortFilter, PortPatch, RouterPortInput } from "./ports.ts";
export type { Binding } from "./links.ts";
export type { ChainInput, ChainPatch, PlacedRule, RuleInput } from "./chains.ts";
export type { RouteInput } from "./routes.ts";
export type { ZoneInput } from "./hosts.ts";
export type { PortGroupFilter, PortGroupInput, PortGroupPatch } from "./groups.ts";
export type { TraceFilter, TraceInput, TracePatch } from "./traces.ts";
export { type ArpEntry, type HostInterface, HostState, type MacEntry } from "./host-state.ts";
export { readTopology } from "./topology-reader.ts";
export type { ApplyEntry, ApplyReport } from "./apply-report.ts";
export { checkStore } from "./check.ts";
export { readMapping } from "./links.ts";
