/** This machine's clock, timers and chance, in the shape that the rest of the system asks for. */
export { systemClock } from "./clock.ts";
export { inlineDeeply, keepPausesShort, neverPretenure } from "./engine.ts";
export { Followed, type FollowedOptions } from "./followed.ts";
export { jsonLog, type ProcessLog, type ProcessLogLevel } from "./json-log.ts";
export { systemRandom } from "./random.ts";
export { systemScheduler } from "./scheduler.ts";
export { readSecretFile } from "./secret-file.ts";
export { StateDirectory } from "./state-directory.ts";
export { readCaFile, readTlsFiles, type TlsMaterial } from "./tls-files.ts";
