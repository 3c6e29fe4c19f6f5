/** Network namespaces with real Open vSwitch on this machine: what `midotrace lab --ovs` and tests stand on. Linux, root. */
export { Capture } from "./capture.ts";
export { type CleanOptions, type CleanReport, cleanTestbed, listTestbeds, type TestbedStatus } from "./clean.ts";
export { endChild, hasCommand, run, type RunOptions, type RunResult, toolEnvironment, until } from "./command.ts";
export { testbedMissing } from "./missing.ts";
export { NetworkNamespace } from "./namespace.ts";
export { OvsDaemons } from "./ovs-daemons.ts";
export { OvsHost, type OvsHostOptions } from "./ovs-host.ts";
export { type LinkEnd, Testbed, type TestbedOptions } from "./testbed.ts";
export { Underlay, type UnderlayOptions } from "./underlay.ts";
export { VmNamespace, type VmOptions } from "./vm-namespace.ts";
export {
  startZookeeper,
  ZookeeperEnsemble,
  zookeeperMissing,
  type ZookeeperMode,
  type ZookeeperPorts,
  ZookeeperServer,
  type ZookeeperSetup,
  type ZookeeperTls,
  zookeeperTlsMissing,
} from "./zookeeper.ts";
