export type { FabricCounters, SwitchCounters, UnderlayCounters } from "./counters.ts";
export { Fabric, type FabricOptions, type Tap, type TappedDatagram } from "./fabric.ts";
export { FabricSwitch, type FabricSwitchOptions, type SwitchSurroundings, type VmPort } from "./fabric-switch.ts";
export { type Impairment, REORDER_HOLD_MS } from "./impairment.ts";
export { TUNNEL_NAME, TUNNEL_OFPORT, type VmReceiver } from "./ports.ts";
