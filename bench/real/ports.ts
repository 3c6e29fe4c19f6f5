/** Ports of the emulated switch. */
export const TUNNEL_OFPORT = 1;
export const VM_OFPORT = 2;
/** Where a learning switch finds the router. */
export const ROUTER_OFPORT = 3;
