/** A whole cluster in one process: virtual hosts and VMs over an in-process fabric. */
export * from "./lab.ts";
export { labCommand } from "./main.ts";
export { LAB_OPTIONS } from "./options.ts";
export { labCleanCommand, labExecCommand } from "./real/commands.ts";
export { type RealHost, RealLab, type RealLabOptions, type RealVm } from "./real/real-lab.ts";
export { Supervised } from "./real/supervised.ts";
export * from "./replay.ts";
export * from "./timer-pool.ts";
export * from "./traffic.ts";
export * from "./vm.ts";
export * from "./vm-answer.ts";
export * from "./vm-table.ts";
