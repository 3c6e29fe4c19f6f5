export * from "./store.ts";
export { isPath, MAX_DATA_BYTES, requirePath, requireWellFormed } from "./limits.ts";
export * from "./paths.ts";
export { decode, encode, type Reader } from "./codec.ts";
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
export { type NodeChange, transact, type TransactOptions, Tx } from "./tx.ts";
export { NO_QUOTA, type TraceQuota } from "./quota.ts";
export type { Ctx } from "./objects.ts";
export { applyDocument, Nsdb, type NsdbOptions } from "./nsdb.ts";
export {
  type ImportMark,
  initialize,
  LAYOUT_VERSION,
  readIdentity,
  readImportMark,
  type StoreIdentity,
} from "./identity.ts";
export { type GuardedStore, guardIdentity, type GuardOptions, LOOK_AGAIN_MS } from "./identity-guard.ts";
export type { DeviceFilter, DeviceInput, DevicePatch } from "./devices.ts";
export type { ArpSeed, StaticMac } from "./bridge-tables.ts";
export type { BridgePortInput, PortFilter, PortPatch, RouterPortInput } from "./ports.ts";
export type { Binding } from "./links.ts";
export type { ChainInput, ChainPatch, PlacedRule, RuleInput } from "./chains.ts";
export type { RouteInput } from "./routes.ts";
export type { ZoneInput } from "./hosts.ts";
export type { PortGroupFilter, PortGroupInput, PortGroupPatch } from "./groups.ts";
export type { TraceFilter, TraceInput, TracePatch } from "./traces.ts";
export { type ArpEntry, type HostInterface, HostState, type ListedMac, type MacEntry } from "./host-state.ts";
export { type Collector, Collectors, collectorUrl } from "./collectors.ts";
export { MeasuredStore, STORE_METRICS } from "./measured-store.ts";
export { readTopology } from "./topology-reader.ts";
export type { ApplyEntry, ApplyReport } from "./apply-report.ts";
export { checkStore, inspectStore, inspectTree, type StoreReport } from "./check.ts";
export { NsdbTree, type Reading, readTree, type TreeNode } from "./tree.ts";
export { readMapping } from "./links.ts";
export { exportStore, parseStoreDocument, type StoreDocument, treeOf } from "./store-document.ts";
export { type ImportOptions, type ImportReport, importStore } from "./import-store.ts";
export { ZNODE_EXAMPLES } from "./znode-examples.ts";
export { znodeReference } from "./znode-reference.ts";
