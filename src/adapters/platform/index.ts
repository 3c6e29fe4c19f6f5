/** This machine's clock, timers and chance, in the shape that the rest of the system asks for. */
export { systemClock } from "./clock.ts";
export { jsonLog, type ProcessLog, type ProcessLogLevel } from "./json-log.ts";
export { systemRandom } from "./random.ts";
export { systemScheduler } from "./scheduler.ts";
export { StateDirectory } from "./state-directory.ts";
