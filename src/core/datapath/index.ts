export * from "./datapath.ts";
export { longestServed, tunnelTagGrowth } from "./frame-length.ts";
export { FlowTable } from "./flow-table.ts";
export { flowSourcePort } from "./flow-words.ts";
