export * from "./context.ts";
export * from "./flow-state.ts";
export { ICMP } from "./icmp.ts";
export { MAX_TRAVERSALS, Simulation } from "./simulation.ts";
