export * from "./context.ts";
export * from "./flow-state.ts";
export { deviceRef } from "./explain.ts";
export { ICMP, whyNoIcmpError } from "./icmp.ts";
export { MAX_TRAVERSALS, Simulation } from "./simulation.ts";
export { isMalformedIpv4 } from "./router.ts";
