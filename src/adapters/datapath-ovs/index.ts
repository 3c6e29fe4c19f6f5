export { type HostNetwork, KernelNetwork, type KernelPaths, type Neighbour } from "./host-network.ts";
export {
  inspectDaemon,
  inspectDatabase,
  type InspectedBridge,
  type InspectedDatabase,
  inspectManagement,
  inspectModule,
  type Looked,
  type ModuleState,
} from "./inspection.ts";
export { OvsDatapath, type OvsDatapathOptions } from "./ovs-datapath.ts";
export { OvsSwitchConfig, type OvsSwitchConfigOptions } from "./ovs-switch-config.ts";
export type { Route } from "./routes.ts";
export type { SwitchConfig, SwitchConfigListener, SwitchConfigOptions } from "./switch-config.ts";
