export * from "./datapath.ts";
export { longestServed, tunnelTagGrowth } from "./frame-length.ts";
export { FlowRecords, NONE, OWN_WORD } from "./flow-records.ts";
export { FlowTable, type Masked } from "./flow-table.ts";
export { packetIn } from "./packet-in.ts";
export { FLOW_WORDS, flowSourcePort, MaskedWords, writeFlowWords } from "./flow-words.ts";
