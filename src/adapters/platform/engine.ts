import { setFlagsFromString } from "node:v8";

/**
 * V8 watches where arrays and objects are made that live long, and from then on makes all from there among the old. What
 * queues keep for a while (segments that wait for a target that is down) teaches it that for the steps of every packet: the
 * later ones die at once, and hold all that they refer to until the next full collection. That made a traced packet twice as
 * dear, for good (bench/exports.ts). Called by a process at its start.
 */
export function neverPretenure(): void {
  setFlagsFromString("--no-allocation-site-pretenuring");
}
